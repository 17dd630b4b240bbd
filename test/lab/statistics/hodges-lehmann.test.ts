import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hodgesLehmann } from '../../../lab/statistics/hodges-lehmann.ts';
import { mannWhitney, smallestP } from '../../../lab/statistics/mann-whitney.ts';

// Hollander and Wolfe, Nonparametric Statistical Methods (1999), table 4.1 and pages 111 to 127.
const AT_TERM = [0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
const AT_WEEKS = [1.15, 0.88, 0.9, 0.74, 1.21];

const positive = fc.double({ min: 0.1, max: 1_000, noNaN: true });
const sample = fc.uniqueArray(positive, { minLength: 1, maxLength: 9 });

describe('the shift', () => {
  test('is the published one: the differences of Hollander and Wolfe, as ratios of powers', () => {
    // The book, and R's wilcox_test of the package coin: difference -0.305, 95 % interval from -0.76 to 0.15.
    const { change, low, high } = hodgesLehmann(AT_TERM.map(Math.exp), AT_WEEKS.map(Math.exp));
    expect(Math.log(1 + change)).toBeCloseTo(-0.305, 10);
    expect(Math.log(1 + (low ?? 0))).toBeCloseTo(-0.76, 10);
    expect(Math.log(1 + (high ?? 0))).toBeCloseTo(0.15, 10);
  });

  test('is a share: a tenth more is 0.1, whatever the unit', () => {
    const base = [100, 101, 103, 99, 98];
    const head = base.map((value) => value * 1.1);
    expect(hodgesLehmann(base, head).change).toBeCloseTo(0.1, 12);
    expect(
      hodgesLehmann(
        base.map((value) => value * 1_000),
        head.map((value) => value * 1_000),
      ).change,
    ).toBeCloseTo(0.1, 12);
  });

  test('is the median of the ratios of all pairs', () => {
    expect(hodgesLehmann([1], [3]).change).toBe(2);
    // 2, 4, 1 and 2.
    expect(hodgesLehmann([1, 2], [2, 4]).change).toBe(1);
    // 1, 2, 3: a wild value moves it no further than to the next ratio.
    expect(hodgesLehmann([1], [1, 2, 3_000]).change).toBe(1);
  });

  test('the other way round is the reciprocal, bounds included', () => {
    fc.assert(
      fc.property(sample, sample, (base, head) => {
        const there = hodgesLehmann(base, head);
        const back = hodgesLehmann(head, base);
        expect((1 + there.change) * (1 + back.change)).toBeCloseTo(1, 8);
        expect(back.low === null).toBe(there.low === null);
        if (there.low !== null && back.high !== null)
          expect((1 + there.low) * (1 + back.high)).toBeCloseTo(1, 8);
      }),
    );
  });
});

describe('the interval', () => {
  test('leaves out 0 exactly where the test rejects', () => {
    fc.assert(
      fc.property(sample, sample, fc.constantFrom(1, 1.5, 4), (base, other, factor) => {
        const head = other.map((value) => value * factor);
        const { low, high } = hodgesLehmann(base, head);
        const { p } = mannWhitney(base, head);
        // With ties the two count by different distributions.
        fc.pre(new Set([...base, ...head]).size === base.length + head.length);
        const leavesOut = low !== null && high !== null && (low > 0 || high < 0);
        expect(leavesOut).toBe(p <= 0.05 + 1e-12);
      }),
      { numRuns: 300 },
    );
  });

  test('holds the change, and is null exactly where no outcome could be rejected', () => {
    fc.assert(
      fc.property(sample, sample, (base, head) => {
        const { change, low, high } = hodgesLehmann(base, head);
        expect(low === null).toBe(smallestP(base.length, head.length) > 0.05);
        expect(high === null).toBe(low === null);
        if (low === null || high === null) return;
        expect(low).toBeLessThanOrEqual(change + 1e-12);
        expect(high).toBeGreaterThanOrEqual(change - 1e-12);
      }),
    );
  });

  test('needs four of each for 95 %, five for 99 %', () => {
    const values = [1, 2, 3, 4, 5];
    const bounds = (n: number, confidence: number) =>
      hodgesLehmann(values.slice(0, n), values.slice(0, n), confidence).low;
    expect([bounds(3, 0.95), bounds(4, 0.99)]).toEqual([null, null]);
    expect([bounds(4, 0.95), bounds(5, 0.99)]).toEqual([1 / 4 - 1, 1 / 5 - 1]);
  });

  test('goes on beyond what can be counted, without a jump', () => {
    const width = (n: number) => {
      const base = Array.from({ length: n }, (_, index) => 1 + index / n);
      const { low, high } = hodgesLehmann(base, base);
      return Math.log(1 + (high ?? 0)) - Math.log(1 + (low ?? 0));
    };
    expect(width(21) / width(20)).toBeGreaterThan(0.95);
    expect(width(21) / width(20)).toBeLessThan(1);
    expect(width(84) / width(21)).toBeCloseTo(0.5, 1);
  });
});

test('what has no ratio is refused, and what is too much', () => {
  for (const wrong of [[], [0], [-1], [Number.NaN], [Number.POSITIVE_INFINITY]]) {
    expect(() => hodgesLehmann(wrong, [1])).toThrow(RangeError);
    expect(() => hodgesLehmann([1], wrong)).toThrow(RangeError);
  }
  const many = new Array<number>(2_001).fill(1);
  expect(() => hodgesLehmann(many, many)).toThrow(RangeError);
  expect(() => hodgesLehmann([1], [1], 1)).toThrow(RangeError);
});
