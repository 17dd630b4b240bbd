import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ExponentialHistogram,
  MAX_INDEX,
  MIN_INDEX,
  ZERO_INDEX,
} from '../../../src/core/exponential-histogram.ts';
import {
  addBuckets,
  type Buckets,
  bucketsSince,
  NO_BUCKETS,
  packBuckets,
  percentileMs,
  unpackBuckets,
} from '../../../src/monitor/buckets.ts';

const buckets: fc.Arbitrary<Buckets> = fc
  .dictionary(fc.integer({ min: ZERO_INDEX, max: MAX_INDEX }).map(String), fc.integer({ min: 1, max: 1e9 }), {
    maxKeys: 60,
  })
  .map((counts) => {
    const sorted = Object.entries(counts).sort(([one], [other]) => Number(one) - Number(other));
    return { indexes: sorted.map(([index]) => Number(index)), counts: sorted.map(([, count]) => count) };
  });

const countOf = ({ counts }: Buckets): number => counts.reduce((sum, count) => sum + count, 0);

describe('buckets as text', () => {
  test('keep every count, in buckets that exist, in their order, and are bounded', () => {
    fc.assert(
      fc.property(buckets, (some) => {
        const text = packBuckets(some);
        const read = unpackBuckets(text);
        expect(countOf(read)).toBe(countOf(some));
        expect(read.indexes.every((index) => index >= ZERO_INDEX && index <= MAX_INDEX)).toBe(true);
        expect(read.indexes).toEqual(read.indexes.toSorted((a, b) => a - b));
        expect(text.length).toBeLessThan(300);
        expect(percentileMs(read, 0.5) === null).toBe(countOf(some) === 0);
      }),
      { numRuns: 500 },
    );
  });

  test('are exact where they lie within two octaves, beside a zero bucket however far away', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: MIN_INDEX, max: MAX_INDEX - 31 }),
        fc.uniqueArray(fc.integer({ min: 0, max: 31 }), { minLength: 1 }),
        fc.boolean(),
        (from, steps, hasZeros) => {
          const indexes = steps.toSorted((a, b) => a - b).map((step) => from + step);
          if (hasZeros) indexes.unshift(ZERO_INDEX);
          const some = { indexes, counts: indexes.map((_, at) => at + 1) };
          expect(unpackBuckets(packBuckets(some))).toEqual(some);
        },
      ),
    );
  });

  test('a control: what spans more is joined', () => {
    const some = { indexes: [0, 33], counts: [1, 1] };
    expect(unpackBuckets(packBuckets(some))).not.toEqual(some);
  });

  test('nothing is nothing, and the zero bucket may stand alone', () => {
    expect(unpackBuckets(packBuckets(NO_BUCKETS))).toEqual(NO_BUCKETS);
    const zeros = { indexes: [ZERO_INDEX], counts: [1_000] };
    expect(unpackBuckets(packBuckets(zeros))).toEqual(zeros);
  });
});

test('what was counted since is the difference, and added again it is the whole', () => {
  fc.assert(
    fc.property(buckets, buckets, (older, since) => {
      const newer = addBuckets(older, since);
      expect(bucketsSince(older, newer)).toEqual(since);
    }),
  );
});

test('percentiles are in milliseconds', () => {
  const histogram = new ExponentialHistogram();
  for (let ms = 1; ms <= 100; ms += 1) histogram.record(ms / 1_000);
  expect(Math.abs((percentileMs(histogram.snapshot(), 0.99) as number) / 99 - 1)).toBeLessThan(0.023);
  expect(percentileMs(NO_BUCKETS, 0.5)).toBeNull();
});
