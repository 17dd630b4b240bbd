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
  return { message: `No JSON for type ${typeof message}` };
}

/** What no message holds, or only after `escapeReplacement`. Half a surrogate pair is a character here, a whole one is another. */
const SUSPECT = /[\n\0\ufffd\ud800-\udfff]/;

const REFUSALS: readonly [pattern: RegExp, reason: string, code?: ClientErrorCode][] = [
  [/^$/, 'is empty'],
  [/\n/, 'has a newline'],
  [/[\ud800-\udfff]/u, 'has half a surrogate pair', 'lone_surrogate'],
  [/^-$/, 'is a lone "-"'],
  [/\0/, 'has a NUL', 'nul_character'],
  [/\ufffd/, 'has U+FFFD after half an escape'],
];

/** A text as it is sent, or why it cannot be a message. */
export function lineOf(text: string): string | { code: ClientErrorCode; message: string } {
  let line = text;
  let refusal: (typeof REFUSALS)[number] | undefined;
  if (typeof text !== 'string') refusal = [SUSPECT, 'is not a text: use send'];
  else if (!text[1] || SUSPECT.test(text)) {
    // A server takes the character for bytes that were not UTF-8.
    line = escapeReplacement(text);
    refusal = REFUSALS.find(([pattern]) => pattern.test(line));
  }
  if (!refusal) return line;
  const [, reason, code = 'invalid_json'] = refusal;
  return { code, message: `The message ${reason}` };
}

/** Writes U+FFFD as an escape, which JSON allows wherever it allows the character, but not after half an escape. */
function escapeReplacement(json: string): string {
  return json.replaceAll(/(\\*)\ufffd/g, (all, { length }: string) =>
    length % 2 === 0 ? `${all.slice(0, -1)}\\ufffd` : all,
  );
}

/** Bytes of a well-formed text in UTF-8. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // Each half of a pair stands for two of its four bytes.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
