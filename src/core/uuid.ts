/** UUIDs of version 7 (RFC 9562), made in rising order so that they land at the end of an index. */

/** Fills the bytes with random ones: `(bytes) => crypto.getRandomValues(bytes)`. */
export type RandomBytes = (bytes: Uint8Array<ArrayBuffer>) => unknown;

export interface UuidOptions {
  /** Milliseconds since 1970. */
  now: () => number;
  randomBytes: RandomBytes;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Random bytes drawn at once: a draw costs about a microsecond whatever its size. */
const POOL_BYTES = 2_048;
const RANDOM_BYTES_PER_ID = 8;
const MAX_COUNTER = 0xfff;

/**
 * Returns a maker of UUIDs: 48 bits of milliseconds, 12 bits that count within the millisecond, 62 random bits. Each is greater than the
 * one before it, also where the clock stands still or goes back: then the count goes on, and borrows the next millisecond
 * when it is full (RFC 9562, 6.2).
 */
export function uuidV7({ now, randomBytes }: UuidOptions): () => string {
  const pool = new Uint8Array(POOL_BYTES);
  let drawn = POOL_BYTES;
  let lastMs = 0;
  let counter = 0;
  let prefix = '';
  return () => {
    if (drawn === POOL_BYTES) {
      randomBytes(pool);
      drawn = 0;
    }
    const nowMs = Math.floor(now());
    if (nowMs > lastMs || prefix === '') {
      lastMs = nowMs;
      counter = 0;
      prefix = timePrefix(lastMs);
    } else if (counter === MAX_COUNTER) {
      lastMs += 1;
      counter = 0;
      prefix = timePrefix(lastMs);
    } else {
      counter += 1;
    }
    const at = drawn;
    drawn += RANDOM_BYTES_PER_ID;
    return `${prefix}-7${(0x1000 | counter).toString(16).slice(1)}-${hex(((pool[at] as number) & 0x3f) | 0x80)}${hex(pool[at + 1])}-${hex(pool[at + 2])}${hex(pool[at + 3])}${hex(pool[at + 4])}${hex(pool[at + 5])}${hex(pool[at + 6])}${hex(pool[at + 7])}`;
  };
}

function hex(byte: number | undefined): string {
  return HEX[byte as number] as string;
}

function timePrefix(ms: number): string {
  const digits = ms.toString(16).padStart(12, '0');
  return `${digits.slice(0, 8)}-${digits.slice(8)}`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** True for a UUID of any version in its usual form, 36 characters, capital letters allowed. */
export function isUuid(text: string): boolean {
  return text.length === 36 && UUID.test(text);
}
