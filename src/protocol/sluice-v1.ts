/** The frames of `sluice.v1`, read and written (PROTOCOL.md is their law). */

import type { ErrorCode } from '../errors.ts';
import { MAX_FRAME_BYTES, MAX_FRAME_MESSAGES, MAX_NACK_TEXT_LENGTH } from '../limits.ts';
import { JSON_ESCAPED, JSON_PLAIN } from './check-json.ts';
import { judgeMessage, type RefusalCode } from './frame.ts';
import { utf8BytesAtMost } from './utf8.ts';

/** The subprotocol of the WebSocket. */
export const SLUICE_V1 = 'sluice.v1';

/** What an ack promises (PROTOCOL.md, "Acknowledgement levels"). */
export const ACK_LEVELS = ['none', 'stored', 'committed'] as const;
export type AckLevel = (typeof ACK_LEVELS)[number];

/** What a client may have outstanding. */
export interface Credit {
  messages: number;
  bytes: number;
}

export interface Hello {
  t: 'hello';
  producer: string | undefined;
  ack: AckLevel;
  epoch: number | undefined;
  resume: boolean;
  next: number | undefined;
}

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
  | { t: 'bye' };

/** A frame that is none: why, and what to tell the client. */
export interface BadFrame {
  t: 'bad';
  code: Extract<
    ErrorCode,
    'invalid_frame' | 'invalid_hello' | 'unknown_type' | 'binary_frame' | 'frame_too_large'
  >;
  message: string;
}

/** Reads a client's frame. Never throws. */
export function readClientFrame(frame: string | ArrayBuffer): ClientFrame | BadFrame {
  if (typeof frame !== 'string') return bad('binary_frame', 'Binary frames are not taken: send text');
  if (!utf8BytesAtMost(frame, 0, frame.length, MAX_FRAME_BYTES)) {
    return bad('frame_too_large', `The frame is larger than ${MAX_FRAME_BYTES} bytes: send smaller batches`);
  }
  return readBatchHeader(frame) ?? readOther(frame);
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
      'The first line is no JSON object: send {"t":"batch","seq":1,"n":1} and the messages below it',
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
    case 'ping':
    case 'flush':
    case 'bye':
      return { t: header.t };
    default:
      return bad(
        'unknown_type',
        `Unknown frame type ${typeof header.t === 'string' ? JSON.stringify(header.t.slice(0, 40)) : ''}: hello, batch, ping, pong, flush and bye are known`,
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
  const { producer, ack = 'stored', epoch, resume = false, next } = header;
  if (producer !== undefined && typeof producer !== 'string')
    return bad('invalid_hello', 'hello: producer is a text');
  if (!ACK_LEVELS.includes(ack as AckLevel)) {
    return bad('invalid_hello', `hello: ack is one of ${ACK_LEVELS.join(', ')}`);
  }
  if (epoch !== undefined && !isWhole(epoch, 1))
    return bad('invalid_hello', 'hello: epoch is a whole number from 1');
  if (typeof resume !== 'boolean') return bad('invalid_hello', 'hello: resume is true or false');
  if (next !== undefined && !isWhole(next, 1))
    return bad('invalid_hello', 'hello: next is a whole number from 1');
  if (resume && (epoch === undefined || next === undefined)) {
    return bad('invalid_hello', 'hello: to resume, name epoch and next');
  }
  return { t: 'hello', producer, ack: ack as AckLevel, epoch, resume, next };
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
  /** The refused ones, those of skipped lines included: how far behind the first line, and why. */
  refused: readonly { offset: number; code: RefusalCode }[];
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
  maxMessageBytes: number,
): BatchBody | undefined {
  const bodyEnd = frame.charCodeAt(frame.length - 1) === 10 ? frame.length - 1 : frame.length;
  // One plain message, as from a producer that does not batch: without arrays that grow.
  if (n === 1 && skip === 0) {
    const newline = frame.indexOf('\n', bodyStart);
    const isOneLine = newline === -1 || newline === frame.length - 1;
    if (isOneLine && judgeMessage(frame, bodyStart, bodyEnd, maxMessageBytes) === JSON_PLAIN) {
      const text = frame.slice(bodyStart, bodyEnd);
      return { payloads: [text], plain: [true], text, refused: NOTHING_REFUSED };
    }
  }
  const payloads: string[] = [];
  const plain: boolean[] = [];
  let refused: { offset: number; code: RefusalCode }[] | undefined;
  let isWhole = skip === 0;
  let start = bodyStart;
  for (let line = 0; line < n; line += 1) {
    // The last line ended before.
    if (start > bodyEnd) return undefined;
    let end = frame.indexOf('\n', start);
    if (end === -1 || end > bodyEnd) end = bodyEnd;
    const verdict = judgeMessage(frame, start, end, maxMessageBytes);
    if (verdict !== JSON_PLAIN && verdict !== JSON_ESCAPED) {
      isWhole = false;
      refused ??= [];
      refused.push({ offset: line, code: verdict });
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
  known: boolean;
  ack: AckLevel;
  /** How far the outbox reaches, or the shard's memory where there is no outbox. */
  taken: number;
  committed: number;
  missing: { from: number; to: number } | undefined;
  credit: Credit;
  maxMessageBytes: number;
  delivery: 'exactly-once' | 'at-least-once';
}

export function encodeWelcome(welcome: Welcome, hasOutbox: boolean): string {
  const { producer, epoch, known, ack, taken, committed, missing, credit, maxMessageBytes, delivery } =
    welcome;
  return JSON.stringify({
    t: 'welcome',
    producer,
    epoch,
    known,
    ack,
    [hasOutbox ? 'stored' : 'taken']: taken,
    committed,
    missing,
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
export type FlowReason = 'outbox_full' | 'memory_full' | 'room';

export function encodeFlow(creditText: string, reason: FlowReason): string {
  return `{"t":"flow",${creditText},"reason":"${reason}"}`;
}

export function encodeGap(expected: number, got: number): string {
  return `{"t":"gap","expected":${expected},"got":${got}}`;
}

/** A refusal of the messages `from` to `to`, or of a frame where these are missing. */
export function encodeNack(
  code: ErrorCode,
  isTemporary: boolean,
  message: string,
  range?: { from: number; to: number },
): string {
  return JSON.stringify({
    t: 'nack',
    from: range?.from,
    to: range?.to,
    code,
    temporary: isTemporary,
    message: message.slice(0, MAX_NACK_TEXT_LENGTH),
  });
}
