import { describe, expect, test } from 'vitest';
import { assertProducerName, shardOf } from '../../../src/protocol/producer.ts';

describe('a producer name', () => {
  test.each(['a', 'A-Z.a_z:0@9', 'NULL', '...', '-', 'x'.repeat(128)])('%j is taken', (name) => {
    expect(() => assertProducerName(name)).not.toThrow();
  });

  test.each([
    '',
    'x'.repeat(129),
    'a b',
    'a\n',
    '\na',
    'a\t',
    'a\\b',
    '{}',
    'a,b',
    '"a"',
    "it's",
    'a/b',
    'ä',
    '😀',
    'a\0',
    'a\u2028',
  ])('%j is refused, with what is allowed', (name) => {
    expect(() => assertProducerName(name)).toThrow(
      expect.objectContaining({
        code: 'invalid_options',
        message: expect.stringContaining('1 to 128 characters of A-Z a-z 0-9 . _ : @ -'),
      }),
    );
  });

  test('of any length is repeated only in part', () => {
    expect(() => assertProducerName('!'.repeat(10_000))).toThrow(/^.{0,250}$/);
  });
});

describe('shardOf', () => {
  // Where these change, producers move to other shards, and their order is lost while old messages are under way.
  test.each([
    ['', 256, 217],
    ['a', 256, 32],
    ['sensor-1', 256, 228],
    ['sensor-2', 256, 189],
    ['00000000-0000-4000-8000-000000000000', 256, 69],
    ['device:eu-west:42@home', 7, 4],
  ])('of %j among %i is pinned', (producer, shards, expected) => {
    expect(shardOf(producer, shards)).toBe(expected);
  });

  test('is 0 where there is one shard, and always one that exists', () => {
    for (let shards = 1; shards <= 256; shards += 1) {
      for (const producer of ['', 'a', 'sensor-1', '😀', 'x'.repeat(128)]) {
        const shard = shardOf(producer, shards);
        expect(Number.isInteger(shard) && shard >= 0 && shard < shards).toBe(true);
      }
    }
    expect(shardOf('anything', 1)).toBe(0);
  });

  test.each([2, 3, 4, 16, 100, 256])(
    'spreads numbered names over %i shards, none with twice its share',
    (shards) => {
      for (const prefix of ['sensor-', 'a1b2c3d4-', '']) {
        const counts = new Array<number>(shards).fill(0);
        const producers = shards * 400;
        for (let n = 0; n < producers; n += 1) {
          const shard = shardOf(prefix + n, shards);
          counts[shard] = (counts[shard] as number) + 1;
        }
        expect(Math.max(...counts)).toBeLessThan(800);
        expect(Math.min(...counts)).toBeGreaterThan(100);
      }
    },
  );
});
