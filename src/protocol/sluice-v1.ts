/** The frames of `sluice.v1`, read and written (PROTOCOL.md is their law). */

import type { ErrorCode } from '../core/errors.ts';
import {
  MAX_FRAME_BYTES,
  MAX_FRAME_MESSAGES,
  MAX_NACK_TEXT_LENGTH,
  MAX_SESSION_NAME_LENGTH,
  MAX_TOKEN_LENGTH,
} from '../core/limits.ts';
import { utf8BytesAtMost } from '../core/utf8.ts';
import { JSON_ESCAPED, JSON_PLAIN } from './check-json.ts';
import { judgeMessage, REPLACEMENT, type RefusalCode } from './frame.ts';

/** The subprotocols of the WebSocket: acknowledged, and raw under a name. */
export const SLUICE_V1 = 'sluice.v1';
export const SLUICE_RAW = 'sluice.raw';

/** What an ack promises (PROTOCOL.md, "Acknowledgement levels"). */
export const ACK_LEVELS = ['none', 'stored', 'committed'] as const;
export type AckLevel = (typeof ACK_LEVELS)[number];

/** What a client may have outstanding. */
export interface Credit {
  messages: number;
  bytes: number;
}

/** A hello: a client begins an epoch, goes on in one, or recovers what an older instance of it has left. */
export type Hello = {
  t: 'hello';
  producer: string | undefined;
  ack: AckLevel;
  /** Who the client is, where it could not say so in the upgrade. */
  token: string | undefined;
} & HelloIntent;

export type HelloIntent =
  | { intent: 'begin'; epoch: number | undefined; instance: string | undefined }
  | { intent: 'resume'; epoch: number; instance: string | undefined; session: string; next: number }
  | { intent: 'recover'; instance: string; session: string | undefined; next: number };

/** The header of a batch; its messages begin at `bodyStart`. */
export interface BatchHeader {
  t: 'batch';
  seq: number;
  n: number;
  bodyStart: number;
}

export type ClientFrame =
  | Hello
  | BatchHeader
  | { t: 'ping' }
  | { t: 'pong'; id: number }
  | { t: 'flush' }
  | { t: 'auth'; token: string }
  | { t: 'bye' };

/** A frame that is none: why, and what to tell the client. */
export interface BadFrame {
  t: 'bad';
  code: Extract<
    ErrorCode,
    'invalid_frame' | 'invalid_hello' | 'unknown_type' | 'invalid_utf8' | 'frame_too_large'
  >;
  message: string;
}

/** Reads a client's frame, decoded where it was binary. Never throws. */
export function readClientFrame(frame: string): ClientFrame | BadFrame {
  if (!utf8BytesAtMost(frame, 0, frame.length, MAX_FRAME_BYTES)) return frameTooLarge();
  return readBatchHeader(frame) ?? readOther(frame);
}

export function frameTooLarge(): BadFrame {
  return bad('frame_too_large', `The frame is larger than ${MAX_FRAME_BYTES} bytes: send smaller batches`);
}

const BATCH_HEAD = '{"t":"batch","seq":';
const BATCH_MIDDLE = ',"n":';

// The usual spelling of the header, read without parsing: it precedes every frame of the hot path. Any other spelling
// of the same object is JSON too, and takes the long way.
function readBatchHeader(frame: string): BatchHeader | undefined {
  if (!frame.startsWith(BATCH_HEAD)) return undefined;
  let at = BATCH_HEAD.length;
  let seq = 0;
  let digits = 0;
  for (let code = frame.charCodeAt(at) - 48; code >= 0 && code <= 9; code = frame.charCodeAt(at) - 48) {
    seq = seq * 10 + code;
    at += 1;
    digits += 1;
  }
  // JSON knows no number with a zero in front.
  if (digits === 0 || digits > 15 || frame.charCodeAt(at - digits) === 48) return undefined;
  if (!frame.startsWith(BATCH_MIDDLE, at)) return undefined;
  at += BATCH_MIDDLE.length;
  let n = 0;
  digits = 0;
  for (let code = frame.charCodeAt(at) - 48; code >= 0 && code <= 9; code = frame.charCodeAt(at) - 48) {
    n = n * 10 + code;
    at += 1;
    digits += 1;
  }
  if (digits === 0 || digits > 5 || frame.charCodeAt(at - digits) === 48 || n > MAX_FRAME_MESSAGES)
    return undefined;
  if (frame.charCodeAt(at) !== 125 || frame.charCodeAt(at + 1) !== 10) return undefined;
  return { t: 'batch', seq, n, bodyStart: at + 2 };
}

function readOther(frame: string): ClientFrame | BadFrame {
  const newline = frame.indexOf('\n');
  const headerText = newline === -1 ? frame : frame.slice(0, newline);
  let header: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(headerText);
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new Error('no object');
    header = parsed as Record<string, unknown>;
  } catch {
    return bad(
      'invalid_frame',
      'The first line is not a JSON object: send {"t":"batch","seq":1,"n":1} and the messages below it',
    );
  }
  switch (header.t) {
    case 'batch':
      return readBatch(header, newline);
    case 'hello':
      return readHello(header);
    case 'pong':
      return isWhole(header.id, 0)
        ? { t: 'pong', id: header.id }
        : bad('invalid_frame', 'pong: id is the number of the ping');
    case 'auth':
      return isToken(header.token)
        ? { t: 'auth', token: header.token }
        : bad('invalid_frame', `auth: token is ${TOKEN_TEXT}`);
    case 'ping':
    case 'flush':
    case 'bye':
      return { t: header.t };
    default:
      return bad(
        'unknown_type',
        `Unknown frame type ${typeof header.t === 'string' ? JSON.stringify(header.t.slice(0, 40)) : ''}: hello, batch, ping, pong, flush, auth and bye are known`,
      );
  }
}

function readBatch({ seq, n }: Record<string, unknown>, newline: number): BatchHeader | BadFrame {
  if (!isWhole(seq, 1)) return bad('invalid_frame', 'batch: seq is a whole number from 1');
  if (!isWhole(n, 1) || n > MAX_FRAME_MESSAGES) {
    return bad('invalid_frame', `batch: n is a whole number from 1 to ${MAX_FRAME_MESSAGES}`);
  }
  if (seq > Number.MAX_SAFE_INTEGER - n + 1)
    return bad('invalid_frame', 'batch: sequences end at 2^53 - 1; begin a new epoch');
  if (newline === -1)
    return bad('invalid_frame', 'batch: the messages follow below the header, one per line');
  return { t: 'batch', seq, n, bodyStart: newline + 1 };
}

function readHello(header: Record<string, unknown>): Hello | BadFrame {
  const { producer, token, ack = 'stored', resume = false, recover = false } = header;
  if (producer !== undefined && typeof producer !== 'string')
    return bad('invalid_hello', 'hello: producer is a text');
  if (token !== undefined && !isToken(token)) return bad('invalid_hello', `hello: token is ${TOKEN_TEXT}`);
  if (!ACK_LEVELS.includes(ack as AckLevel))
    return bad('invalid_hello', `hello: ack is one of ${ACK_LEVELS.join(', ')}`);
  for (const [name, value] of Object.entries({ resume, recover })) {
    if (typeof value !== 'boolean') return bad('invalid_hello', `hello: ${name} is true or false`);
  }
  if (resume === true && recover === true)
    return bad('invalid_hello', 'hello: either resume or recover, not both');
  for (const name of ['epoch', 'next'] as const) {
    if (header[name] !== undefined && !isWhole(header[name], 1))
      return bad('invalid_hello', `hello: ${name} is a whole number from 1 to 2^53 - 1`);
  }
  for (const name of ['instance', 'session'] as const) {
    if (header[name] !== undefined && !isSessionName(header[name]))
      return bad(
        'invalid_hello',
        `hello: ${name} is a text of 1 to ${MAX_SESSION_NAME_LENGTH} characters of A-Z a-z 0-9 . _ -`,
      );
  }
  const fields = header as { epoch?: number; next?: number; instance?: string; session?: string };
  const { epoch, next, instance, session } = fields;
  const hello = { t: 'hello', producer, ack: ack as AckLevel, token } as const;
  if (resume === true) {
    if (epoch === undefined || session === undefined || next === undefined)
      return bad('invalid_hello', 'hello: to resume, name epoch, session and next');
    return { ...hello, intent: 'resume', epoch, instance, session, next };
  }
  if (recover === true) {
    if (instance === undefined || next === undefined)
      return bad('invalid_hello', 'hello: to recover, name instance and next');
    return { ...hello, intent: 'recover', instance, session, next };
  }
  return { ...hello, intent: 'begin', epoch, instance };
}

const SESSION_NAME = /^[A-Za-z0-9._-]+$/;

function isSessionName(value: unknown): boolean {
  return typeof value === 'string' && value.length <= MAX_SESSION_NAME_LENGTH && SESSION_NAME.test(value);
}

// What a header can hold: those who verify a token may be asked with a request.
const TOKEN = /^[\x21-\x7e]+$/;
const TOKEN_TEXT = `a text of 1 to ${MAX_TOKEN_LENGTH} characters, printable ones of ASCII without spaces`;

function isToken(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TOKEN_LENGTH && TOKEN.test(value);
}

function isWhole(value: unknown, min: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min;
}

function bad(code: BadFrame['code'], message: string): BadFrame {
  return { t: 'bad', code, message };
}

/** The messages of a batch from a sequence on. */
export interface BatchBody {
  /** The good ones, in order. */
  payloads: string[];
  /** Per payload: true when it has no backslash and no control character. */
  plain: boolean[];
  /** All of them one below the other, as in the frame; undefined where the frame has something else in between. */
  text: string | undefined;
  /** The refused ones, those of skipped lines included: how far after the first line, and why. */
  refused: readonly RefusedLine[];
}

/** A line of a batch that is not taken. */
export interface RefusedLine {
  /** How far after the first line. */
  offset: number;
  code: LineRefusal;
  /** Why, where the code alone does not say it. */
  message?: string;
}

/** Why a line of a batch is not taken. */
export type LineRefusal = RefusalCode | 'message_dropped';

/** Stands in the place of a message that the client has dropped. */
const DROPPED = '-';

/** What the lines of a batch are judged by. */
export interface LineLimits {
  maxMessageBytes: number;
  /** False where U+FFFD may stand for bytes that were not UTF-8, and is refused. */
  takesReplacement: boolean;
  /** Lines of a binary frame that were not UTF-8, counted from the header, which is 0. */
  badLines?: ReadonlySet<number> | undefined;
}

const NOTHING_REFUSED: BatchBody['refused'] = [];

/**
 * Reads the lines below a batch's header.
 *
 * @param skip lines that were taken before: they are judged again, and not taken
 * @returns undefined where there are not exactly `n` lines
 */
export function readBatchBody(
  frame: string,
  { n, bodyStart }: BatchHeader,
  skip: number,
  { maxMessageBytes, takesReplacement, badLines }: LineLimits,
): BatchBody | undefined {
  const refusesReplacement = !takesReplacement && frame.includes(REPLACEMENT);
  const bodyEnd = frame.charCodeAt(frame.length - 1) === 10 ? frame.length - 1 : frame.length;
  // One plain message, as from a producer that does not batch: without arrays that grow.
  if (n === 1 && skip === 0) {
    const newline = frame.indexOf('\n', bodyStart);
    const isOneLine = newline === -1 || newline === frame.length - 1;
    const isSound = isOneLine && !refusesReplacement && badLines === undefined;
    if (isSound && judgeMessage(frame, bodyStart, bodyEnd, maxMessageBytes) === JSON_PLAIN) {
      const text = frame.slice(bodyStart, bodyEnd);
      return { payloads: [text], plain: [true], text, refused: NOTHING_REFUSED };
    }
  }
  const payloads: string[] = [];
  const plain: boolean[] = [];
  let refused: RefusedLine[] | undefined;
  let isWhole = skip === 0;
  let start = bodyStart;
  for (let line = 0; line < n; line += 1) {
    // The last line ended before.
    if (start > bodyEnd) return undefined;
    let end = frame.indexOf('\n', start);
    if (end === -1 || end > bodyEnd) end = bodyEnd;
    const isBad = badLines?.has(line + 1) === true;
    const verdict = isBad
      ? 'invalid_utf8'
      : judgeMessage(frame, start, end, maxMessageBytes, refusesReplacement);
    if (verdict !== JSON_PLAIN && verdict !== JSON_ESCAPED) {
      const isDropped = verdict === 'invalid_json' && end - start === 1 && frame.startsWith(DROPPED, start);
      isWhole = false;
      refused ??= [];
      refused.push({ offset: line, code: isDropped ? 'message_dropped' : verdict });
    } else if (line >= skip) {
      const text = frame.slice(start, end);
      const payload = verdict === JSON_PLAIN ? text : text.trim();
      if (payload.length !== text.length) isWhole = false;
      payloads.push(payload);
      plain.push(verdict === JSON_PLAIN);
    }
    start = end + 1;
  }
  if (start <= bodyEnd) return undefined;
  const text = isWhole ? frame.slice(bodyStart, bodyEnd) : undefined;
  return { payloads, plain, text, refused: refused ?? NOTHING_REFUSED };
}

/** What a welcome says. */
export interface Welcome {
  producer: string;
  epoch: number;
  /** Missing after a recovery that goes on in the newest session. */
  session: string | undefined;
  known: boolean;
  ack: AckLevel;
  /** How far the outbox reaches, or the shard's memory where there is no outbox. */
  taken: number;
  committed: number;
  missing: { from: number; to: number } | undefined;
  /** How far the epoch was when the session ended that a recovery has named, where that is not the newest. */
  sure: number | undefined;
  credit: Credit;
  maxMessageBytes: number;
  delivery: 'exactly-once' | 'at-least-once';
}

export function encodeWelcome(welcome: Welcome, hasOutbox: boolean): string {
  const { producer, epoch, session, known, ack, taken, committed, missing, sure } = welcome;
  const { credit, maxMessageBytes, delivery } = welcome;
  return JSON.stringify({
    t: 'welcome',
    producer,
    epoch,
    session,
    known,
    ack,
    [hasOutbox ? 'stored' : 'taken']: taken,
    committed,
    missing,
    sure,
    credit,
    limits: { frameBytes: MAX_FRAME_BYTES, messageBytes: maxMessageBytes, frameMessages: MAX_FRAME_MESSAGES },
    delivery,
  });
}

/** An ack; `creditText` comes from `encodeCredit`, since it is the same for many sockets. */
export function encodeAck(taken: number, committed: number, creditText: string, hasOutbox: boolean): string {
  return `{"t":"ack","${hasOutbox ? 'stored' : 'taken'}":${taken},"committed":${committed},${creditText}}`;
}

export function encodeCredit({ messages, bytes }: Credit): string {
  return `"credit":{"messages":${messages},"bytes":${bytes}}`;
}

/** Why the credit changed without an ack. */
export type FlowReason = 'outbox_full' | 'memory_full' | 'rate' | 'room';

/** @param retryMs when it may be worth while to ask again */
export function encodeFlow(creditText: string, reason: FlowReason, retryMs?: number): string {
  const retry = retryMs === undefined ? '' : `,"retryMs":${retryMs}`;
  return `{"t":"flow",${creditText},"reason":"${reason}"${retry}}`;
}

/** Asks for a fresh token within so many milliseconds. */
export function encodeAuth(withinMs: number): string {
  return `{"t":"auth","withinMs":${withinMs}}`;
}

export function encodeGap(expected: number, got: number): string {
  return `{"t":"gap","expected":${expected},"got":${got}}`;
}

/** Who refused a message, and where it does not fit. What is null is left out. */
export interface NackDetails {
  by: string | null;
  column: string | null;
  constraint: string | null;
  sqlState: string | null;
}

/** A refusal of the messages `from` to `to`, or of a frame where these are missing. */
export function encodeNack(
  code: ErrorCode,
  isTemporary: boolean,
  message: string,
  range?: { from: number; to: number },
  details?: NackDetails,
): string {
  return JSON.stringify({
    t: 'nack',
    from: range?.from,
    to: range?.to,
    code,
    temporary: isTemporary,
    message: message.slice(0, MAX_NACK_TEXT_LENGTH),
    by: details?.by ?? undefined,
    column: details?.column ?? undefined,
    constraint: details?.constraint ?? undefined,
    sqlState: details?.sqlState ?? undefined,
  });
}
