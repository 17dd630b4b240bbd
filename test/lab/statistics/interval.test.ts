import { describe, expect, test } from 'vitest';
import { medianInterval, medianRanks } from '../../../lab/statistics/interval.ts';

/**
 * K. R. Nair, "Table of confidence interval for the median", Sankhyā 4 (1940), as W. J. Dixon and F. J. Massey (1969)
 * cite it and en.wikisource.org, "Sm all cc.pdf", page 38, prints it: for n values the rank k of the lower end for at
 * least 95 % and the confidence in percent, then the rank for at least 99 %. (That print has 98.1 for n = 7, where the
 * confidence is 98.4 = 1 - 2 / 128; the rank is right.)
 */
const NAIR: readonly (readonly [n: number, k95: number, percent95: number, k99: number | null])[] = [
  [6, 1, 96.9, null],
  [7, 1, 98.4, null],
  [8, 1, 99.2, 1],
  [9, 2, 96.1, 1],
  [10, 2, 97.9, 1],
  [11, 2, 98.8, 1],
  [12, 3, 96.1, 2],
  [13, 3, 97.8, 2],
  [14, 3, 98.7, 2],
  [15, 4, 96.5, 3],
  [16, 4, 97.9, 3],
  [17, 5, 95.1, 3],
  [18, 5, 96.9, 4],
  [19, 5, 98.1, 4],
  [20, 6, 95.9, 4],
  [21, 6, 97.3, 5],
  [22, 6, 98.3, 5],
  [23, 7, 96.5, 5],
  [24, 7, 97.7, 6],
  [25, 8, 95.7, 6],
  [26, 8, 97.1, 7],
  [27, 8, 98.1, 7],
  [28, 9, 96.4, 7],
  [29, 9, 97.6, 8],
  [30, 10, 95.7, 8],
  [31, 10, 97.1, 8],
  [32, 10, 98, 9],
  [33, 11, 96.5, 9],
  [34, 11, 97.6, 10],
  [35, 12, 95.9, 10],
  [40, 14, 96.2, 12],
  [50, 18, 96.7, 16],
  [60, 22, 97.3, 20],
  [65, 25, 95.4, 22],
];

/** M. F. Triola, Elementary Statistics, table A-7: critical values of the sign test at 0.05, two tails, n = 6 to 25. */
const SIGN_TEST = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 7];

describe('the ranks of the interval', () => {
  test.each(NAIR)("are Nair's for %d values", (n, k95, percent95, k99) => {
    const ranks = medianRanks(n);
    expect(ranks).toMatchObject({ low: k95, high: n + 1 - k95 });
    expect((ranks?.confidence ?? 0) * 100).toBeCloseTo(percent95, 0);
    expect(Math.abs((ranks?.confidence ?? 0) * 100 - percent95)).toBeLessThan(0.06);
    expect(medianRanks(n, 0.99)?.low ?? null).toBe(k99);
  });

  test('are one more than the critical values of the sign test', () => {
    const lows = SIGN_TEST.map((_, index) => medianRanks(index + 6)?.low);
    expect(lows).toEqual(SIGN_TEST.map((critical) => critical + 1));
  });

  test('are the innermost ones that reach the confidence, counted in whole numbers', () => {
    for (let n = 1; n <= 120; n += 1) {
      // P(X <= k - 1) · 2 <= 0.05, with X binomial, as a question of integers.
      let below = 0n;
      let ways = 1n;
      let rank = 0;
      for (let k = 1; k <= n / 2; k += 1) {
        below += ways;
        if (below * 40n > 2n ** BigInt(n)) break;
        rank = k;
        ways = (ways * BigInt(n - k + 1)) / BigInt(k);
      }
      expect(medianRanks(n)?.low ?? 0, `${n} values`).toBe(rank);
    }
  });

  test('exist for thousands of values', () => {
    // n/2 - 1.96 √n / 2, the normal approximation.
    expect(medianRanks(10_000)?.low).toBe(4_902);
  });

  test('have a confidence that is one', () => {
    for (const confidence of [0, 1, -1, 2, Number.NaN]) {
      expect(() => medianRanks(10, confidence)).toThrow(RangeError);
    }
  });
});

describe('the interval', () => {
  test('is null below six values, and for 99 % below eight', () => {
    expect(medianInterval([1, 2, 3, 4, 5])).toBeNull();
    expect(medianInterval([5, 3, 1, 2, 4, 6])).toEqual({ low: 1, high: 6 });
    expect(medianInterval([1, 2, 3, 4, 5, 6, 7], 0.99)).toBeNull();
    expect(medianInterval([1, 2, 3, 4, 5, 6, 7, 8], 0.99)).toEqual({ low: 1, high: 8 });
  });

  test('leaves the values in their order and reads them as numbers', () => {
    const values = [100, 20, 3, 9, 10, 30, 4, 5, 6];
    expect(medianInterval(values)).toEqual({ low: 4, high: 30 });
    expect(values[0]).toBe(100);
  });
});
