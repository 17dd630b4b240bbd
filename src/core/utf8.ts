/**
 * Tells whether a part of a text takes at most `maxBytes` bytes as UTF-8, from `start` to before `end`.
 * Only a text near the limit is walked through: a code unit takes one to three bytes, so most answers follow
 * from the length alone.
 */
export function utf8BytesAtMost(text: string, start: number, end: number, maxBytes: number): boolean {
  const units = end - start;
  if (units * 3 <= maxBytes) return true;
  if (units > maxBytes) return false;
  let bytes = units;
  for (let index = start; index < end; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // Each half of a surrogate pair stands for two of the pair's four bytes.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
    if (bytes > maxBytes) return false;
  }
  return true;
}

/** How many bytes a part of a text takes as UTF-8, from `start` to before `end`. */
export function utf8Length(text: string, start: number, end: number): number {
  let bytes = end - start;
  for (let index = start; index < end; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // Each half of a surrogate pair stands for two of the pair's four bytes.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
