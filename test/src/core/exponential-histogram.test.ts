import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bucketOf,
  ExponentialHistogram,
  MAX_INDEX,
  MIN_INDEX,
  percentileOf,
  upperBorder,
  ZERO_INDEX,
  ZERO_THRESHOLD,
} from '../../../src/core/exponential-histogram.ts';

const value = fc.oneof(
  fc.double({ min: 1e-6, max: 1, noNaN: true }),
  fc.double({ min: 1, max: 1e6, noNaN: true }),
  fc.integer({ min: 1, max: 60_000 }).map((ms) => ms / 1_000),
  fc.integer({ min: -19, max: 19 }).map((power) => 2 ** power),
);

/** The next double up or down. */
function beside(of: number, step: 1n | -1n): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, of);
  view.setBigInt64(0, view.getBigInt64(0) + step);
  return view.getFloat64(0);
}

/** Whether a double is above 2^(sixteenths/16), by whole numbers alone. */
function isAbove(of: number, sixteenths: number): boolean {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, of);
  const bits = view.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 0x7ffn) - 1_075;
  const mantissa = (bits & 0xf_ffff_ffff_ffffn) | (1n << 52n);
  // mantissa × 2^exponent > 2^(sixteenths/16), both to the power of 16.
  const shift = BigInt(sixteenths - 16 * exponent);
  return shift < 0n ? true : mantissa ** 16n > 1n << shift;
}

function histogramOf(values: readonly number[]): ExponentialHistogram {
  const histogram = new ExponentialHistogram();
  for (const one of values) histogram.record(one);
  return histogram;
}

describe('the buckets', () => {
  test('have the borders of OpenTelemetry at scale 4: the largest double that is not above 2^((i+1)/16)', () => {
    for (let index = MIN_INDEX; index <= MAX_INDEX; index += 1) {
      const border = upperBorder(index);
      expect(isAbove(border, index + 1), `bucket ${index}`).toBe(false);
      expect(isAbove(beside(border, 1n), index + 1), `bucket ${index}`).toBe(true);
    }
    expect(upperBorder(ZERO_INDEX)).toBe(ZERO_THRESHOLD);
  });

  test('hold their upper border, and the next value is in the next one', () => {
    for (let index = ZERO_INDEX; index < MAX_INDEX; index += 1) {
      const border = upperBorder(index);
      expect([bucketOf(beside(border, -1n)), bucketOf(border), bucketOf(beside(border, 1n))]).toEqual([
        index,
        index,
        index + 1,
      ]);
    }
  });

  test('each value is above the border below it and not above its own, by whole numbers', () => {
    fc.assert(
      fc.property(value, (one) => {
        const index = bucketOf(one);
        expect(isAbove(one, index)).toBe(true);
        expect(isAbove(one, index + 1)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a control: the reading by whole numbers tells a border from the next double', () => {
    expect([isAbove(1, 0), isAbove(beside(1, 1n), 0), isAbove(beside(1, -1n), 0)]).toEqual([
      false,
      true,
      false,
    ]);
    expect([isAbove(1.41, 8), isAbove(1.42, 8), isAbove(0.5, -16), isAbove(0.51, -16)]).toEqual([
      false,
      true,
      false,
      true,
    ]);
  });

  test('powers of two are borders, of whole numbers too', () => {
    expect([bucketOf(1), bucketOf(2), bucketOf(4), bucketOf(0.5)]).toEqual([-1, 15, 31, -17]);
    expect(upperBorder(15)).toBe(2);
  });
});

describe('ExponentialHistogram', () => {
  test('every percentile is within 2.3 percent of the exact one, by nearest rank', () => {
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, quantile) => {
          const sorted = values.toSorted((a, b) => a - b);
          const exact = sorted[Math.max(1, Math.ceil(quantile * sorted.length)) - 1] as number;
          const found = histogramOf(values).percentile(quantile) as number;
          expect(Math.abs(found / exact - 1)).toBeLessThan(0.023);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('the error bound is not met by any value a step away, so that the test above can fail', () => {
    const found = histogramOf([100]).percentile(0.5) as number;
    expect(Math.abs(found / 104.5 - 1)).toBeGreaterThan(0.023);
    expect(Math.abs(found / 95.6 - 1)).toBeGreaterThan(0.023);
  });

  test('an empty one has no percentiles', () => {
    expect(new ExponentialHistogram().percentile(0.5)).toBeUndefined();
    expect(percentileOf({ indexes: [], counts: [] }, 0.5)).toBeUndefined();
    expect(new ExponentialHistogram().snapshot()).toEqual({
      count: 0,
      sum: 0,
      max: 0,
      indexes: [],
      counts: [],
    });
  });

  test('no percentile is above the largest value, which is kept exactly, and so is the sum', () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const histogram = histogramOf(values);
        expect(histogram.snapshot().max).toBe(Math.max(...values));
        expect(histogram.sum).toBe(values.reduce((sum, one) => sum + one, 0));
        expect(histogram.percentile(1)).toBeLessThanOrEqual(Math.max(...values));
      }),
    );
  });

  test('what is too small is counted in the zero bucket, what is too large as the largest', () => {
    const snapshot = histogramOf([0, -5, 1e-9, Number.NaN, 1e15, Number.POSITIVE_INFINITY]).snapshot();
    expect(snapshot).toEqual({
      count: 6,
      sum: 1e-9 + 2 * 2 ** 20,
      max: 2 ** 20,
      indexes: [ZERO_INDEX, MAX_INDEX],
      counts: [4, 2],
    });
    expect(histogramOf([0, 0, 0]).percentile(0.5)).toBe(0);
  });

  test('a value of which there are many counts as often', () => {
    const histogram = new ExponentialHistogram();
    histogram.record(0.5, 3);
    histogram.record(0.5, 2 ** 33);
    expect(histogram.snapshot()).toMatchObject({ count: 2 ** 33 + 3, counts: [2 ** 33 + 3], max: 0.5 });
    expect(histogram.sum).toBe((2 ** 33 + 3) / 2);
  });

  test('merged ones say what one that recorded everything says', () => {
    fc.assert(
      fc.property(fc.array(value), fc.array(value), (one, other) => {
        const merged = histogramOf(one);
        merged.merge(JSON.parse(JSON.stringify(histogramOf(other).snapshot())));
        const { sum, ...all } = histogramOf([...one, ...other]).snapshot();
        expect(merged.snapshot()).toMatchObject(all);
        expect(merged.sum).toBeCloseTo(sum, 6);
        expect(merged.count).toBe(one.length + other.length);
      }),
    );
  });

  test.each([ZERO_INDEX - 1, MAX_INDEX + 1, 0.5, Number.NaN, 1e9])(
    'refuses to merge bucket %d, which it does not have, and takes nothing of it',
    (index) => {
      const snapshot = { count: 1, sum: 1, max: 1, indexes: [3, index], counts: [1, 1] };
      const histogram = new ExponentialHistogram();
      expect(() => histogram.merge(snapshot)).toThrow(RangeError);
      expect(histogram.snapshot()).toMatchObject({ count: 0, indexes: [] });
      expect(() => histogram.merge({ ...snapshot, indexes: [3, MAX_INDEX] })).not.toThrow();
    },
  );
});

test('its buckets hold every value, lowest first, near where it was', () => {
  const histogram = histogramOf([5, 0.5, 5, 100]);
  const buckets = [...histogram.buckets()];
  expect(buckets.map(([, count]) => count)).toEqual([1, 2, 1]);
  for (const [index, one] of [0.5, 5, 100].entries()) {
    expect(Math.abs((buckets[index]?.[0] ?? 0) / one - 1)).toBeLessThan(0.023);
  }
  expect([...new ExponentialHistogram().buckets()]).toEqual([]);
});
