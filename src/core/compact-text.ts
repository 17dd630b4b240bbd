/** Texts that do not keep a larger one alive. */

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What a text may keep alive beside itself: less is not worth a copy. */
const TOLERATED_CHARACTERS = 4_096;

/**
 * A slice of a text keeps the whole text in memory. So a frame of 1 MiB of blanks with one short message in it would cost 1 MiB for as
 * long as the message waits: its texts are copied then.
 *
 * @param texts slices without newlines and without halves of surrogate pairs
 * @param parentCharacters length of the text that they are slices of
 * @returns the same texts; copies where they are less than half of what they keep alive
 */
export function compactTexts(texts: string[], characters: number, parentCharacters: number): string[] {
  if (texts.length === 0 || (characters + texts.length) * 2 + TOLERATED_CHARACTERS >= parentCharacters)
    return texts;
  return decoder.decode(encoder.encode(texts.join('\n'))).split('\n');
}
