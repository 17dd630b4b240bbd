/**
 * Strict UTF-8. Platforms decode leniently: what is not UTF-8 becomes U+FFFD, and would be stored as that. So bytes are
 * decoded here, and refused where they are wrong. A U+FFFD that was sent as such is a character like any other.
 */

import { SluiceError } from './errors.ts';

// One for all: without `stream`, each call begins afresh, also after one that has thrown.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/**
 * The text of bytes that have to be UTF-8. A byte order mark at their beginning is dropped, as RFC 8259 allows; anywhere
 * else U+FEFF is a character like any other.
 *
 * @param what names the bytes in the error, as in `The body`
 * @throws SluiceError `invalid_utf8` (details: `offset` of the first byte that is wrong, from 0)
 */
export function decodeUtf8(bytes: Uint8Array | ArrayBuffer, what: string): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    const { offset, reason } = utf8Fault(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)) ?? {
      offset: 0,
      reason: 'a byte is wrong',
    };
    throw new SluiceError(
      'invalid_utf8',
      `${what} is not UTF-8: ${reason}. Encode the text as UTF-8 and send it again`,
      { cause: error, details: { offset } },
    );
  }
}

/** The first byte that keeps bytes from being UTF-8, and what it seems to be; undefined where they are UTF-8. */
export function utf8Fault(bytes: Uint8Array): { offset: number; reason: string } | undefined {
  let offset = 0;
  while (offset < bytes.length) {
    const lead = bytes[offset] as number;
    const length = lead < 0x80 ? 1 : sequenceLength(lead);
    if (length === 0 || !isWhole(bytes, offset, length))
      return { offset, reason: faultyReason(bytes, offset, length) };
    offset += length;
  }
  return undefined;
}

/** Bytes of the character that a byte above 0x7f begins; 0 where it begins none. */
function sequenceLength(lead: number): number {
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

function isWhole(bytes: Uint8Array, offset: number, length: number): boolean {
  for (let index = 1; index < length; index += 1) {
    if (!isContinuation(bytes[offset + index])) return false;
  }
  return misuse(bytes[offset] as number, bytes[offset + 1]) === undefined;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x80 && byte <= 0xbf;
}

/** What is wrong with the first two bytes of a character although each is allowed at its place. */
function misuse(lead: number, second: number | undefined): string | undefined {
  if (second === undefined || !isContinuation(second)) return undefined;
  if ((lead === 0xe0 && second < 0xa0) || (lead === 0xf0 && second < 0x90))
    return 'is the beginning of a character in more bytes than it takes (an overlong form)';
  if (lead === 0xed && second > 0x9f)
    return 'is the beginning of half a surrogate pair, as CESU-8 and Java write characters like 🌍';
  if (lead === 0xf4 && second > 0x8f) return 'is the beginning of a character beyond U+10FFFF';
  return undefined;
}

function faultyReason(bytes: Uint8Array, offset: number, length: number): string {
  const encoding = foreignEncoding(bytes);
  if (encoding !== undefined) return `it looks like ${encoding}`;
  const lead = bytes[offset] as number;
  const place = `the byte 0x${lead.toString(16).toUpperCase()} at offset ${offset}`;
  const misused = misuse(lead, bytes[offset + 1]);
  if (misused !== undefined) return `${place} ${misused}`;
  if (lead === 0xc0 || lead === 0xc1)
    return `${place} is the beginning of a character in more bytes than it takes (an overlong form)`;
  const isCutOff =
    length > 0 && offset + length > bytes.length && bytes.subarray(offset + 1).every(isContinuation);
  if (isCutOff) return `the character that begins with ${place} is cut off`;
  return `${place} is no character in UTF-8, though it may be one in Latin-1 or Windows-1252`;
}

/**
 * What bytes are that are surely no UTF-8 text, by how they begin; undefined where nothing is known.
 *
 * @param bytes of which the first four are enough
 */
export function foreignEncoding(bytes: Uint8Array): string | undefined {
  const [first, second, third, fourth] = bytes;
  if (first === 0x1f && second === 0x8b) return 'data compressed with gzip';
  if (first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd)
    return 'data compressed with zstd';
  if (first === 0x50 && second === 0x4b && third === 0x03 && fourth === 0x04) return 'a ZIP file';
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return 'UTF-16';
  // Text in UTF-16 without its mark: JSON begins with a character of ASCII.
  if ((first === 0 && second !== 0 && second !== undefined) || (second === 0 && first !== 0)) return 'UTF-16';
  return undefined;
}
