import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LatencyHistogram } from '../../../src/core/latency-histogram.ts';

const duration = fc.oneof(
  fc.double({ min: 0.001, max: 1_000, noNaN: true }),
  fc.double({ min: 1_000, max: 100_000_000, noNaN: true }),
  fc.integer({ min: 1, max: 60_000 }),
  fc.integer({ min: -9, max: 26 }).map((power) => 2 ** power),
);

function histogramOf(durations: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const ms of durations) histogram.record(ms);
  return histogram;
}

describe('LatencyHistogram', () => {
  test('every percentile is within 4 percent of the exact one, by nearest rank', () => {
    fc.assert(
      fc.property(
        fc.array(duration, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (durations, quantile) => {
          const sorted = durations.toSorted((a, b) => a - b);
          const exact = sorted[Math.max(1, Math.ceil(quantile * sorted.length)) - 1] as number;
          const found = histogramOf(durations).percentile(quantile) as number;
          expect(Math.abs(found / exact - 1)).toBeLessThan(0.04);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('the error bound is not met by any value a step away, so that the test above can fail', () => {
    const found = histogramOf([100]).percentile(0.5) as number;
    expect(Math.abs(found / 107 - 1)).toBeGreaterThan(0.04);
    expect(Math.abs(found / 93 - 1)).toBeGreaterThan(0.04);
  });

  test('an empty one has no percentiles', () => {
    expect(new LatencyHistogram().percentile(0.5)).toBeUndefined();
    expect(new LatencyHistogram().snapshot()).toEqual({ count: 0, maxMs: 0, indexes: [], counts: [] });
  });

  test('no percentile is above the largest duration, which is kept exactly', () => {
    fc.assert(
      fc.property(fc.array(duration, { minLength: 1 }), (durations) => {
        const histogram = histogramOf(durations);
        expect(histogram.snapshot().maxMs).toBe(Math.max(...durations));
        expect(histogram.percentile(1)).toBeLessThanOrEqual(Math.max(...durations));
      }),
    );
  });

  test('counts what is too short or too long for its buckets in the outermost ones', () => {
    const { count, indexes, counts } = histogramOf([0, -5, 1e-9, Number.NaN, 1e15, 1e12]).snapshot();
    expect({ count, counts, buckets: indexes.length }).toEqual({ count: 6, counts: [4, 2], buckets: 2 });
  });

  test('merged ones say what one that recorded everything says', () => {
    fc.assert(
      fc.property(fc.array(duration), fc.array(duration), (one, other) => {
        const merged = histogramOf(one);
        merged.merge(JSON.parse(JSON.stringify(histogramOf(other).snapshot())));
        expect(merged.snapshot()).toEqual(histogramOf([...one, ...other]).snapshot());
        expect(merged.count).toBe(one.length + other.length);
      }),
    );
  });

  test.each([-1, 592, Number.NaN, 1e9])('refuses to merge bucket %d, which it does not have', (index) => {
    const snapshot = { count: 1, maxMs: 1, indexes: [index], counts: [1] };
    expect(() => new LatencyHistogram().merge(snapshot)).toThrow(RangeError);
    expect(() => new LatencyHistogram().merge({ ...snapshot, indexes: [591] })).not.toThrow();
  });
});

test('its buckets hold every duration, shortest first, near where it was', () => {
  const histogram = new LatencyHistogram();
  for (const ms of [5, 0.5, 5, 100]) histogram.record(ms);
  const buckets = [...histogram.buckets()];
  expect(buckets.map(([, count]) => count)).toEqual([1, 2, 1]);
  for (const [index, ms] of [0.5, 5, 100].entries()) {
    expect(Math.abs((buckets[index]?.[0] ?? 0) / ms - 1)).toBeLessThan(0.04);
  }
  expect([...new LatencyHistogram().buckets()]).toEqual([]);
});
