import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cardinalHash,
  cardinalId,
  checkCategory,
  checkConsumerGroup,
  checkStreamName,
  checkStreamWithId,
  consumerGroupMember,
  hash64,
  isCategory,
  messageCategory,
  streamId,
} from '../../../src/messages/names.ts';

describe('the parts of a name', () => {
  // Message DB's tests category, is_category, id and cardinal-id.
  test.each<[string, string, string | undefined, string | undefined]>([
    ['someCategory-123', 'someCategory', '123', '123'],
    ['someCategory-1+a', 'someCategory', '1+a', '1'],
    ['someCategory-1+a+b', 'someCategory', '1+a+b', '1'],
    ['someCategory', 'someCategory', undefined, undefined],
    ['someCategory-1-2', 'someCategory', '1-2', '1-2'],
    ['someCategory:command-1', 'someCategory:command', '1', '1'],
    ['someCategory-', 'someCategory', '', ''],
    ['someCategory-+a', 'someCategory', '+a', ''],
    ['some+Category-a', 'some+Category', 'a', 'a'],
    ['a+b', 'a+b', undefined, undefined],
  ])('%s', (name, itsCategory, itsId, itsCardinalId) => {
    expect(messageCategory(name)).toBe(itsCategory);
    expect(streamId(name)).toBe(itsId);
    expect(cardinalId(name)).toBe(itsCardinalId);
    expect(isCategory(name)).toBe(itsId === undefined);
  });
});

/** Message DB's vectors: hash, and its absolute value modulo 2, 3, 4 and 8. */
const VECTORS: [string, bigint, number[]][] = [
  ['123', 2318431741638412123n, [1, 1, 3, 3]],
  ['456', 2669782135874207551n, [1, 1, 3, 7]],
  ['1', -4266524885998034046n, [0, 0, 2, 6]],
  ['2', -4026655064267673757n, [1, 1, 1, 5]],
  ['3', -1383792015730482434n, [0, 2, 2, 2]],
  ['4', -6305049951010035939n, [1, 0, 3, 3]],
  ['5', -1956185668341324987n, [1, 0, 3, 3]],
  ['6', 1619335558399004591n, [1, 2, 3, 7]],
  ['7', -8136627526607169926n, [0, 2, 2, 6]],
  ['8', -3895340354620576879n, [1, 1, 3, 7]],
  ['account', -2132379389342958165n, [1, 0, 1, 5]],
  ['someStream', 2053039834977696644n, [0, 2, 0, 4]],
  ['', -3162216497309240828n, [0, 2, 0, 4]],
];

describe('hash64', () => {
  test.each(VECTORS)('of “%s” is %s', (text, hash, members) => {
    expect(hash64(text)).toBe(hash);
    expect([2, 3, 4, 8].map((size) => consumerGroupMember(`account-${text}`, size))).toEqual(members);
    expect(cardinalHash(`account-${text}+more`)).toBe(hash);
  });

  test('is the first half of the MD5 of any text, as OpenSSL has it', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: 'grapheme', maxLength: 200 })),
        (text) => {
          expect(hash64(text)).toBe(createHash('md5').update(text, 'utf8').digest().readBigInt64BE(0));
        },
      ),
    );
    for (const text of ['é', 'ÿ', '\u0080', '\u007f', 'a é', '世', '🌍'])
      expect(hash64(text)).toBe(createHash('md5').update(text, 'utf8').digest().readBigInt64BE(0));
    // The edges of MD5's blocks.
    for (let length = 0; length <= 130; length += 1) {
      const text = 'x'.repeat(length);
      expect(hash64(text)).toBe(createHash('md5').update(text).digest().readBigInt64BE(0));
    }
  });

  test('a category has none, and belongs to no member', () => {
    expect(cardinalHash('account')).toBeNull();
    expect(consumerGroupMember('account', 2)).toBeUndefined();
    for (const size of [0, 32_768, 1.5, Number.NaN])
      expect(() => consumerGroupMember('account-1', size)).toThrow(/Consumer group size/);
  });
});

describe('checks', () => {
  test('of a name to write to', () => {
    for (const name of ['a', 'a-1', 'a-', 'x'.repeat(255)]) expect(() => checkStreamName(name)).not.toThrow();
    for (const name of ['', '-', '-a', 'a\0', '\ud800', 'x'.repeat(256), 1, null, undefined])
      expect(() => checkStreamName(name)).toThrow(expect.objectContaining({ code: 'invalid_stream_name' }));
  });

  test('of a stream to read, and of a category', () => {
    expect(() => checkStreamWithId('a-1')).not.toThrow();
    expect(() => checkStreamWithId('a')).toThrow('Must be a stream name: a');
    expect(() => checkCategory('a')).not.toThrow();
    expect(() => checkCategory('a-1')).toThrow('Must be a category: a-1');
    expect(() => checkCategory('')).toThrow(expect.objectContaining({ code: 'invalid_category' }));
  });

  test('of a consumer group', () => {
    expect(checkConsumerGroup({ member: 32_766, size: 32_767 })).toEqual({ member: 32_766, size: 32_767 });
    expect(() => checkConsumerGroup({ member: 0 })).toThrow(
      'Consumer group member and size must be specified (Consumer Group Member: 0, Consumer Group Size: undefined)',
    );
  });
});
