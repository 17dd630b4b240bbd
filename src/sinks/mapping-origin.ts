/** Names functions, so that a mapping that was changed can be told from the one before. */

/** A function by a hash of its source text (FNV-1a). Two functions of one text count as one. */
export function originOf(compute: (...given: never[]) => unknown): string {
  let hash = 0x811c9dc5;
  for (const character of String(compute)) {
    hash ^= character.codePointAt(0) as number;
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return `function ${hash.toString(16).padStart(8, '0')}`;
}
