import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeUtf8, foreignEncoding, utf8Fault } from '../../../src/core/decode-utf8.ts';
import { isSluiceError } from '../../../src/core/errors.ts';

const bytesOf = (...bytes: number[]) => Uint8Array.from(bytes);
const encode = (text: string) => new TextEncoder().encode(text);

/** `"x"`, with these bytes for x: what a producer would send. */
const quoted = (...bytes: number[]) => bytesOf(0x22, ...bytes, 0x22);

function errorOf(bytes: Uint8Array): { code: string; message: string; details: unknown } {
  try {
    decodeUtf8(bytes, 'The body');
  } catch (error) {
    if (isSluiceError(error)) return error;
    throw error;
  }
  throw new Error('It was taken');
}

describe('decodeUtf8', () => {
  test.each([
    ['Latin-1 °C', quoted(0xb0, 0x43), 1, '0xB0 at offset 1 is no character in UTF-8'],
    ['Latin-1 é within a word', quoted(0x63, 0xe9, 0x65), 2, '0xE9 at offset 2 is no character in UTF-8'],
    ['CESU-8', quoted(0xed, 0xa0, 0xbc, 0xed, 0xbc, 0x8d), 1, 'CESU-8'],
    ['an overlong slash', quoted(0xc0, 0xaf), 1, 'overlong'],
    ['an overlong slash in three bytes', quoted(0xe0, 0x80, 0xaf), 1, 'overlong'],
    ['an overlong character in four bytes', quoted(0xf0, 0x82, 0x82, 0xac), 1, 'overlong'],
    ['a NUL of Java', quoted(0xc0, 0x80), 1, 'overlong'],
    ['a character beyond Unicode', quoted(0xf4, 0x90, 0x80, 0x80), 1, 'beyond U+10FFFF'],
    ['a character cut off at the end', bytesOf(0x22, 0xe2, 0x82), 1, 'cut off'],
    ['a character cut off in the middle', quoted(0xe2, 0x82), 1, '0xE2 at offset 1'],
    ['gzip', bytesOf(0x1f, 0x8b, 0x08, 0), 1, 'compressed with gzip'],
    ['UTF-16 with its mark', bytesOf(0xff, 0xfe, 0x22, 0), 0, 'UTF-16'],
  ])('refuses %s, and says where', (_, bytes, offset, text) => {
    const error = errorOf(bytes);
    expect(error).toMatchObject({ code: 'invalid_utf8', details: { offset } });
    expect(error.message).toMatch(/^The body is not UTF-8: /);
    expect(error.message).toContain(text);
    // The control: the platform would have stored another character.
    expect(new TextDecoder().decode(bytes)).toContain('\ufffd');
    // What was refused leaves nothing behind for the next text.
    expect(decodeUtf8(encode('°C'), 'The body')).toBe('°C');
  });

  test('takes a real U+FFFD, and drops a byte order mark at the beginning only', () => {
    expect(decodeUtf8(encode('"\ufffd"'), 'The body')).toBe('"\ufffd"');
    expect(decodeUtf8(encode('\ufeff"\ufeff"'), 'The body')).toBe('"\ufeff"');
    expect(decodeUtf8(encode('{}').buffer as ArrayBuffer, 'The body')).toBe('{}');
  });

  test('any text comes back as it was, and any bytes are judged as the platform judges them', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(decodeUtf8(encode(text), 'x')).toBe(text.replace(/^\ufeff/, ''));
      }),
    );
    const oddBytes = fc.oneof(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom(0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0x80, 0x90, 0xa0, 0xbf),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), fc.array(oddBytes, { maxLength: 6 }), (plain, odd) => {
        const bytes = bytesOf(...plain, ...odd);
        let isGood = true;
        try {
          new TextDecoder('utf-8', { fatal: true }).decode(bytes);
        } catch {
          isGood = false;
        }
        expect(utf8Fault(bytes) === undefined).toBe(isGood);
        // Nothing before the fault is wrong.
        const offset = utf8Fault(bytes)?.offset ?? 0;
        expect(utf8Fault(bytes.subarray(0, offset))).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });
});

test('foreignEncoding knows what often comes instead of text', () => {
  expect(foreignEncoding(encode('{"a":1}'))).toBeUndefined();
  expect(foreignEncoding(bytesOf())).toBeUndefined();
  expect(foreignEncoding(bytesOf(0x7b))).toBeUndefined();
  expect(foreignEncoding(bytesOf(0x7b, 0, 0x22, 0))).toBe('UTF-16');
  expect(foreignEncoding(bytesOf(0, 0x7b, 0, 0x22))).toBe('UTF-16');
  expect(foreignEncoding(bytesOf(0xfe, 0xff))).toBe('UTF-16');
  expect(foreignEncoding(bytesOf(0x50, 0x4b, 3, 4))).toBe('a ZIP file');
  expect(foreignEncoding(bytesOf(0x28, 0xb5, 0x2f, 0xfd))).toContain('zstd');
});
