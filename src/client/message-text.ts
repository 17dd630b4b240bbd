/** The texts of messages: what can be one, and how many bytes it takes. */

import type { ClientErrorCode } from './errors.ts';

/** Stands in the place of a message that was dropped: its sequence has to be skipped. */
export const DROPPED = '-';

/** The JSON of a value, or why there is none. */
export function jsonOf(message: unknown): string | { message: string; cause?: unknown } {
  try {
    const text = JSON.stringify(message);
    if (text !== undefined) return text;
  } catch (cause) {
    // The platform's sentence names a BigInt and a circle. What is thrown may also have none.
    return { message: `JSON.stringify failed: ${(cause as Error | undefined)?.message}`, cause };
  }
  const kind = typeof message === 'object' ? 'what toJSON gives' : `type ${typeof message}`;
  return { message: `There is no JSON for ${kind}` };
}

const EMPTY = -1;
const NEWLINE = -2;
const LONE_SURROGATE = -3;
const NO_TEXT = -4;
const LONE_DASH = -5;
const NUL = -6;
export const HAS_REPLACEMENT = -7;

/** Why a text cannot be a message, by what `lineBytes` found: the first is that of -1. */
const LINE_REFUSALS: readonly [text: string, code?: ClientErrorCode][] = [
  ['is empty'],
  ['has more than one line'],
  ['has half a surrogate pair', 'lone_surrogate'],
  ['is not a text: use send'],
  ['is a lone "-"'],
  ['has a NUL', 'nul_character'],
  ['has no escape that JSON has before U+FFFD'],
];

/** Why a text cannot be a message. `found`: a negative answer of `lineBytes`. */
export function lineRefusal(found: number): { code: ClientErrorCode; message: string } {
  const [text, code = 'invalid_json'] = LINE_REFUSALS[-1 - found] as [string, ClientErrorCode?];
  return { code, message: `The message ${text}` };
}

/**
 * Bytes that a message takes as a line: in UTF-8, with its newline. Negative for what cannot be one, and for a text with
 * U+FFFD: a server takes that for bytes that were not UTF-8.
 */
export function lineBytes(text: string): number {
  if (typeof text !== 'string') return NO_TEXT;
  if (text.length < 2) {
    if (text.length === 0) return EMPTY;
    if (text === DROPPED) return LONE_DASH;
  }
  let bytes = text.length + 1;
  let found = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) {
      if (unit === 10) return NEWLINE;
      if (unit === 0) return NUL;
    } else if (unit < 0x800) bytes += 1;
    else if (unit < 0xd800 || unit > 0xdfff) {
      bytes += 2;
      if (unit === 0xfffd) found = HAS_REPLACEMENT;
    } else {
      // A pair is two units and four bytes.
      if (unit > 0xdbff || (text.charCodeAt(index + 1) & 0xfc00) !== 0xdc00) return LONE_SURROGATE;
      bytes += 2;
      index += 1;
    }
  }
  return found < 0 ? found : bytes;
}

/** Writes U+FFFD as an escape, which JSON allows wherever it allows the character, but not after half an escape. */
export function escapeReplacement(json: string): string {
  return json.replaceAll(/(\\*)\ufffd/g, (all, { length }: string) =>
    length % 2 === 0 ? `${all.slice(0, -1)}\\ufffd` : all,
  );
}

/** Bytes of a well-formed text in UTF-8, from `start` to before `end`. */
export function utf8Bytes(text: string, start: number, end: number): number {
  let bytes = end - start;
  for (let index = start; index < end; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // Each half of a pair stands for two of its four bytes.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
