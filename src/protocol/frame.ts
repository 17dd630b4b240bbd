/**
 * A raw socket's frame: text that holds one message, or many separated by newlines (PROTOCOL.md, "Raw mode").
 */

import type { ErrorCode } from '../core/errors.ts';
import {
  DEFAULT_MAX_MESSAGE_BYTES,
  MAX_FRAME_BYTES,
  MAX_NACK_TEXT_LENGTH,
  MAX_NESTING_DEPTH,
  MAX_NUMERIC_FRACTION_DIGITS,
  MAX_NUMERIC_INTEGER_DIGITS,
  MAX_REFUSALS_PER_ERROR_FRAME,
} from '../core/limits.ts';
import { utf8BytesAtMost } from '../core/utf8.ts';
import {
  checkJson,
  JSON_ESCAPED,
  JSON_INVALID,
  JSON_LONE_SURROGATE,
  JSON_NUL,
  JSON_NUMBER_OUT_OF_RANGE,
  JSON_PLAIN,
  JSON_TOO_DEEP,
} from './check-json.ts';

/** Why a message, or a whole frame, was not taken. */
export type RefusalCode = Extract<
  ErrorCode,
  | 'binary_frame'
  | 'frame_too_large'
  | 'message_too_large'
  | 'invalid_json'
  | 'invalid_utf8'
  | 'nul_character'
  | 'lone_surrogate'
  | 'number_out_of_range'
  | 'nesting_too_deep'
  | 'buffer_full'
  | 'memory_full'
  | 'rate_limited'
  | 'invalid_message'
  | 'sink_failed'
>;

/** One refused message. `line` counts the frame's lines from 1; 0 means the frame as a whole. */
export interface Refusal {
  line: number;
  code: RefusalCode;
  /** Why, where the code alone does not say it. */
  message?: string;
}

/** What a frame holds: the good messages, in order, and what was refused beside them. */
export interface DecodedFrame {
  /** The messages' own texts: never parsed and rewritten, so that 2^53 + 1 stays what it was. */
  payloads: string[];
  /** Per payload: true when it has no backslash and no control character, so that no writer must escape it. */
  plain: boolean[];
  /** The payloads one below the other, where the frame has nothing else. */
  text: string | undefined;
  /** Every refused message of the frame, spelled out up to `MAX_REFUSALS_PER_ERROR_FRAME`. */
  refusals: readonly Refusal[];
  /** How many messages were refused in all. */
  refusedCount: number;
}

export interface FrameLimits {
  /** Default 64 KiB. */
  maxMessageBytes: number;
  /** Default 1 MiB. */
  maxFrameBytes: number;
  /** True where a message may hold U+FFFD, whatever it stands for. Default false. */
  takesReplacement?: boolean;
}

/**
 * What a platform writes in place of bytes that are not UTF-8. The text frames of a WebSocket come decoded, so a message with it
 * may be another one than was sent.
 */
export const REPLACEMENT = '\ufffd';

export const DEFAULT_FRAME_LIMITS: FrameLimits = {
  maxMessageBytes: DEFAULT_MAX_MESSAGE_BYTES,
  maxFrameBytes: MAX_FRAME_BYTES,
};

const REFUSAL_OF_VERDICT: Record<number, RefusalCode> = {
  [JSON_INVALID]: 'invalid_json',
  [JSON_NUL]: 'nul_character',
  [JSON_LONE_SURROGATE]: 'lone_surrogate',
  [JSON_NUMBER_OUT_OF_RANGE]: 'number_out_of_range',
  [JSON_TOO_DEEP]: 'nesting_too_deep',
};

/** The same while it is being collected. */
interface Collected extends DecodedFrame {
  refusals: Refusal[];
}

const NONE_REFUSED: readonly Refusal[] = [];

const NEWLINE = '\n';

// White space as JSON knows it: a line of other blanks, such as a no-break space, is a message that is not JSON.
const BLANK = /^[ \t\r]*$/;

/**
 * Splits a frame into messages and checks each of them. Bad messages never harm the good ones beside them.
 * Blank lines are skipped, so that a trailing newline is no message.
 *
 * @param lines filled with the line of each payload, counted from 1
 */
export function decodeFrame(
  frame: string | ArrayBuffer,
  limits: FrameLimits = DEFAULT_FRAME_LIMITS,
  lines?: number[],
): DecodedFrame {
  if (typeof frame !== 'string') return refusedWhole('binary_frame');
  if (!utf8BytesAtMost(frame, 0, frame.length, limits.maxFrameBytes)) return refusedWhole('frame_too_large');

  // One look at a frame is next to nothing; the messages are looked at only where it finds something.
  const refusesReplacement = !limits.takesReplacement && frame.includes(REPLACEMENT);

  // Most frames hold one plain message. Their answer is made as literals: an array that grows by its first push takes
  // room for seventeen, and the garbage of a hundred thousand such frames a second is felt.
  if (
    frame.indexOf(NEWLINE) === -1 &&
    !refusesReplacement &&
    utf8BytesAtMost(frame, 0, frame.length, limits.maxMessageBytes) &&
    checkJson(frame) === JSON_PLAIN
  ) {
    lines?.push(1);
    return { payloads: [frame], plain: [true], text: frame, refusals: NONE_REFUSED, refusedCount: 0 };
  }

  const decoded: Collected = { payloads: [], plain: [], text: undefined, refusals: [], refusedCount: 0 };
  let taken = 0;
  let start = 0;
  for (let line = 1; start <= frame.length; line += 1) {
    let end = frame.indexOf(NEWLINE, start);
    if (end === -1) end = frame.length;
    // A frame may hold a million empty lines, none of which is worth a look.
    if (end > start) decodeLine(frame, start, end, line, limits.maxMessageBytes, refusesReplacement, decoded);
    if (lines !== undefined && lines.length < decoded.payloads.length) lines.push(line);
    start = end + 1;
  }
  for (const payload of decoded.payloads) taken += payload.length + 1;
  // Blank lines, blanks around messages and refused ones would make the frame longer than its messages.
  if (taken === frame.length + 1) decoded.text = frame;
  return decoded;
}

function decodeLine(
  frame: string,
  start: number,
  end: number,
  line: number,
  maxMessageBytes: number,
  refusesReplacement: boolean,
  decoded: Collected,
): void {
  const verdict = judgeMessage(frame, start, end, maxMessageBytes, refusesReplacement);
  if (verdict === JSON_PLAIN) {
    decoded.payloads.push(start === 0 && end === frame.length ? frame : frame.slice(start, end));
    decoded.plain.push(true);
  } else if (verdict === JSON_ESCAPED) {
    // The trim drops the carriage return of a sender that ends its lines with CRLF.
    decoded.payloads.push(frame.slice(start, end).trim());
    decoded.plain.push(false);
  } else if (verdict !== 'invalid_json' || !BLANK.test(frame.slice(start, end))) {
    refuse(decoded, line, verdict);
  }
}

/**
 * Looks at one message of a frame.
 *
 * @returns `JSON_PLAIN` or `JSON_ESCAPED` where it is good, else why it is refused; an empty line is not JSON.
 */
export function judgeMessage(
  frame: string,
  start: number,
  end: number,
  maxMessageBytes: number,
  refusesReplacement = false,
): typeof JSON_PLAIN | typeof JSON_ESCAPED | RefusalCode {
  // The size comes first: a message over the limit is not worth reading.
  if (!utf8BytesAtMost(frame, start, end, maxMessageBytes)) return 'message_too_large';
  // The message alone: to search from it to the end of the frame, for each message, would be quadratic.
  if (refusesReplacement && frame.slice(start, end).includes(REPLACEMENT)) return 'invalid_utf8';
  const verdict = checkJson(frame, start, end);
  if (verdict === JSON_PLAIN || verdict === JSON_ESCAPED) return verdict;
  return REFUSAL_OF_VERDICT[verdict] ?? 'invalid_json';
}

function refuse(decoded: Collected, line: number, code: RefusalCode): void {
  decoded.refusedCount += 1;
  if (decoded.refusals.length < MAX_REFUSALS_PER_ERROR_FRAME) decoded.refusals.push({ line, code });
}

function refusedWhole(code: RefusalCode): DecodedFrame {
  return { payloads: [], plain: [], text: undefined, refusals: [{ line: 0, code }], refusedCount: 1 };
}

/** The sentence that goes with a refusal: what was wrong and what to do. */
export function refusalText(
  code: RefusalCode | 'message_dropped',
  limits: FrameLimits = DEFAULT_FRAME_LIMITS,
): string {
  switch (code) {
    case 'binary_frame':
      return 'Binary frames are not taken: send text frames with one JSON message per line';
    case 'frame_too_large':
      return `The frame is larger than ${limits.maxFrameBytes} bytes: split it into several frames`;
    case 'message_too_large':
      return `The message is larger than ${limits.maxMessageBytes} bytes: split it, or raise the sink's maxMessageBytes`;
    case 'invalid_json':
      return 'The message is not valid JSON: send one JSON value per line';
    case 'invalid_utf8':
      return 'The message holds U+FFFD, which stands for bytes that were not UTF-8: send UTF-8, and write a true U+FFFD as \\ufffd';
    case 'message_dropped':
      return 'The client has dropped this message, and its sequence is used up';
    case 'nul_character':
      return 'The message holds a NUL character (\\u0000), which Postgres cannot store: remove it';
    case 'lone_surrogate':
      return 'The message holds half of a surrogate pair (\\ud800 to \\udfff), which is no character: remove it';
    case 'number_out_of_range':
      return `The message holds a number that Postgres cannot store: at most ${MAX_NUMERIC_INTEGER_DIGITS} digits before the point and ${MAX_NUMERIC_FRACTION_DIGITS} after it`;
    case 'nesting_too_deep':
      return `The message is nested deeper than ${MAX_NESTING_DEPTH} levels: flatten it`;
    case 'invalid_message':
      return "The sink's schema refuses the message: send what it asks for";
    case 'sink_failed':
      return "The sink's own schema failed, and the message was not taken: the sink has to be put right";
    case 'rate_limited':
      return 'A limit of what you may send is used up: send the frame again later';
    case 'memory_full':
      return 'There is no memory left for now: reconnect after a second or more, and send the refused messages again';
    case 'buffer_full':
      return 'The buffer is full because the database takes less than arrives: reconnect later, and send the refused messages again';
  }
}

/** The error frame that answers refusals: one per frame received, however many of its messages were refused. */
export function encodeErrorFrame(
  refusals: readonly Refusal[],
  refusedCount: number,
  limits: FrameLimits = DEFAULT_FRAME_LIMITS,
): string {
  return JSON.stringify({
    t: 'error',
    refused: refusedCount,
    errors: refusals.map(({ line, code, message }) => ({
      line,
      code,
      message: message?.slice(0, MAX_NACK_TEXT_LENGTH) ?? refusalText(code, limits),
    })),
  });
}
