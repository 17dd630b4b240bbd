/**
 * MD5 (RFC 1321) of a text that fits into one block, for `hash64`: every write to the store needs the hash of its
 * stream's id, and with the general function a write in a group takes 21 µs instead of 15 (DESIGN.md, "The message
 * store"). The tests hold it against other implementations.
 */

/** Bytes of a block that are not its padding: 64 less the marking bit and the length. */
const MAX_BYTES = 55;

// RFC 1321, 3.4: the integer part of 2^32 times abs(sin(i)), i from 1 in radians.
const SINES = Int32Array.from({ length: 64 }, (_, step) =>
  Math.floor(2 ** 32 * Math.abs(Math.sin(step + 1))),
);
const SHIFTS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
].map((shifts) => Uint8Array.from({ length: 16 }, (_, step) => shifts[step % 4] as number));
const WORDS = [
  (step: number) => step,
  (step: number) => (5 * step + 1) % 16,
  (step: number) => (3 * step + 5) % 16,
  (step: number) => (7 * step) % 16,
].map((word) => Uint8Array.from({ length: 16 }, (_, step) => word(step)));

const [SHIFTS_1, SHIFTS_2, SHIFTS_3, SHIFTS_4] = SHIFTS as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
const [, WORDS_2, WORDS_3, WORDS_4] = WORDS as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];

// Shared: the function is synchronous and never re-entered.
const block = new Int32Array(16);
const digest = new DataView(new ArrayBuffer(8));

/** The first eight bytes of the MD5 as a signed big-endian integer; undefined where the text is not ASCII, or too long for a block. */
export function md5OfShortText(text: string): bigint | undefined {
  const { length } = text;
  if (length > MAX_BYTES) return undefined;
  block.fill(0);
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return undefined;
    block[index >> 2] = (block[index >> 2] as number) | (code << ((index & 3) << 3));
  }
  block[length >> 2] = (block[length >> 2] as number) | (0x80 << ((length & 3) << 3));
  block[14] = length << 3;

  let a = 0x67452301;
  let b = 0xefcdab89 | 0;
  let c = 0x98badcfe | 0;
  let d = 0x10325476;
  for (let step = 0; step < 16; step += 1) {
    const sum = (a + ((b & c) | (~b & d)) + (SINES[step] as number) + (block[step] as number)) | 0;
    const shift = SHIFTS_1[step] as number;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  for (let step = 0; step < 16; step += 1) {
    const word = block[WORDS_2[step] as number] as number;
    const sum = (a + ((b & d) | (c & ~d)) + (SINES[step + 16] as number) + word) | 0;
    const shift = SHIFTS_2[step] as number;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  for (let step = 0; step < 16; step += 1) {
    const word = block[WORDS_3[step] as number] as number;
    const sum = (a + (b ^ c ^ d) + (SINES[step + 32] as number) + word) | 0;
    const shift = SHIFTS_3[step] as number;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  for (let step = 0; step < 16; step += 1) {
    const word = block[WORDS_4[step] as number] as number;
    const sum = (a + (c ^ (b | ~d)) + (SINES[step + 48] as number) + word) | 0;
    const shift = SHIFTS_4[step] as number;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  digest.setInt32(0, (a + 0x67452301) | 0, true);
  digest.setInt32(4, (b + 0xefcdab89) | 0, true);
  return digest.getBigInt64(0);
}
