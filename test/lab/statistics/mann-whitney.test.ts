import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lowerTail, mannWhitney, smallestP } from '../../../lab/statistics/mann-whitney.ts';

/**
 * Critical values of U at 0.05, two-sided, for n1 (rows) and n2 (columns) from 1 to 20; null where no U is small
 * enough. As printed by the universities' Numeracy Bank (numeracy-bank.net, "Mann-Whitney U test", step 3).
 */
const CRITICAL_U = `
 -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -   -   -   -   -
 -  -  -  -  -  -  -  0  0  0  0  1  1  1  1  1   2   2   2   2
 -  -  -  -  0  1  1  2  2  3  3  4  4  5  5  6   6   7   7   8
 -  -  -  0  1  2  3  4  4  5  6  7  8  9 10 11  11  12  13  13
 -  -  0  1  2  3  5  6  7  8  9 11 12 13 14 15  17  18  19  20
 -  -  1  2  3  5  6  8 10 11 13 14 16 17 19 21  22  24  25  27
 -  -  1  3  5  6  8 10 12 14 16 18 20 22 24 26  28  30  32  34
 -  0  2  4  6  8 10 13 15 17 19 22 24 26 29 31  34  36  38  41
 -  0  2  4  7 10 12 15 17 20 23 26 28 31 34 37  39  42  45  48
 -  0  3  5  8 11 14 17 20 23 26 29 33 36 39 42  45  48  52  55
 -  0  3  6  9 13 16 19 23 26 30 33 37 40 44 47  51  55  58  62
 -  1  4  7 11 14 18 22 26 29 33 37 41 45 49 53  57  61  65  69
 -  1  4  8 12 16 20 24 28 33 37 41 45 50 54 59  63  67  72  76
 -  1  5  9 13 17 22 26 31 36 40 45 50 55 59 64  67  74  78  83
 -  1  5 10 14 19 24 29 34 39 44 49 54 59 64 70  75  80  85  90
 -  1  6 11 15 21 26 31 37 42 47 53 59 64 70 75  81  86  92  98
 -  2  6 11 17 22 28 34 39 45 51 57 63 67 75 81  87  93  99 105
 -  2  7 12 18 24 30 36 42 48 55 61 67 74 80 86  93  99 106 112
 -  2  7 13 19 25 32 38 45 52 58 65 72 78 85 92  99 106 113 119
 -  2  8 13 20 27 34 41 48 55 62 69 76 83 90 98 105 112 119 127
`
  .trim()
  .split('\n')
  .map((row) =>
    row
      .trim()
      .split(/\s+/)
      .map((cell) => (cell === '-' ? null : Number(cell))),
  );

/** Misprints of that table; what they should be is proved below, by two other ways of counting. */
const ERRATA = [
  { sizes: [4, 20], printed: 13, exact: 14 },
  { sizes: [14, 17], printed: 67, exact: 69 },
];

/**
 * Critical values of the rank sum of the smaller sample at 0.05, two-sided, for n1 values in the larger sample and 2 up
 * to n1 in the smaller ("Critical values of the smallest rank sum for the Wilcoxon-Mann-Whitney test",
 * scribd.com/doc/227785581).
 */
const CRITICAL_RANK_SUMS: Readonly<Record<number, readonly number[]>> = {
  8: [3, 8, 14, 21, 29, 38, 49],
  9: [3, 8, 14, 22, 31, 40, 51, 62],
  11: [3, 9, 16, 24, 34, 44, 55, 68, 81, 96],
  12: [4, 10, 17, 26, 35, 46, 58, 71, 84, 99, 115],
  13: [4, 10, 18, 27, 37, 48, 60, 73, 88, 103, 119, 136],
  14: [4, 11, 19, 28, 38, 50, 62, 76, 91, 106, 123, 141, 160],
};

/** The largest U whose two-sided p is at most 0.05; null for none. */
function criticalU(n: number, m: number): number | null {
  const last = lowerTail(n, m).findIndex((chance) => 2 * chance > 0.05 + 1e-12) - 1;
  return last < 0 ? null : last;
}

describe('the distribution of U', () => {
  test.each(CRITICAL_U.map((row, index) => ({ n: index + 1, row })))(
    'has the published critical values for $n against 1 to 20',
    ({ n, row }) => {
      expect(row).toHaveLength(20);
      const corrected = row.map((printed, index) => {
        const erratum = ERRATA.find(
          ({ sizes }) => sizes.includes(n) && sizes.includes(index + 1) && n !== index + 1,
        );
        if (erratum === undefined) return printed;
        expect(printed).toBe(erratum.printed);
        return erratum.exact;
      });
      expect(Array.from({ length: 20 }, (_, index) => criticalU(n, index + 1))).toEqual(corrected);
    },
  );

  test('has the published critical rank sums', () => {
    for (const [larger, sums] of Object.entries(CRITICAL_RANK_SUMS)) {
      const computed = sums.map((_, index) => {
        const few = index + 2;
        return (criticalU(few, Number(larger)) ?? Number.NaN) + (few * (few + 1)) / 2;
      });
      expect(computed, `${larger} values`).toEqual(sums);
    }
  });

  test('is that of the recurrence of Mann and Whitney, in whole numbers', () => {
    // The largest of all values belongs to one sample or the other: f(n, m, u) = f(n - 1, m, u - m) + f(n, m - 1, u).
    const counts = new Map<string, bigint[]>();
    const countsOf = (n: number, m: number): bigint[] => {
      const known = counts.get(`${n} ${m}`);
      if (known !== undefined) return known;
      const found =
        n === 0 || m === 0
          ? [1n]
          : Array.from(
              { length: n * m + 1 },
              (_, u) => (countsOf(n - 1, m)[u - m] ?? 0n) + (countsOf(n, m - 1)[u] ?? 0n),
            );
      counts.set(`${n} ${m}`, found);
      return found;
    };
    for (let n = 1; n <= 20; n += 1) {
      for (let m = n; m <= 20; m += 1) {
        const exact = countsOf(n, m);
        const total = exact.reduce((sum, count) => sum + count, 0n);
        let below = 0n;
        let critical: number | null = null;
        exact.forEach((count, u) => {
          below += count;
          if (below * 40n <= total) critical = u;
        });
        expect(criticalU(n, m), `${n} against ${m}`).toBe(critical);
        expect(lowerTail(n, m).at(-1)).toBe(1);
      }
    }
  });

  test('of 4 against 20 is that of all 10,626 deals, one by one', () => {
    let atMost14 = 0;
    let deals = 0;
    for (let a = 1; a <= 24; a += 1)
      for (let b = a + 1; b <= 24; b += 1)
        for (let c = b + 1; c <= 24; c += 1)
          for (let d = c + 1; d <= 24; d += 1) {
            deals += 1;
            if (a + b + c + d - 10 <= 14) atMost14 += 1;
          }
    expect(deals).toBe(10_626);
    expect(lowerTail(4, 20)[14]).toBeCloseTo(atMost14 / deals, 14);
    expect((2 * atMost14) / deals).toBeLessThan(0.05);
  });

  test('adds up to 1', () => {
    for (const [n, m] of [
      [1, 1],
      [3, 5],
      [20, 20],
      [1, 400],
    ] as const) {
      expect(lowerTail(n, m).at(-1)).toBeCloseTo(1, 14);
    }
  });

  test('is refused for more than can be counted', () => {
    expect(() => lowerTail(20, 21)).toThrow(RangeError);
  });
});

// Permeability of the human chorioamnion at term and at 12 to 26 weeks: Hollander and Wolfe, Nonparametric Statistical
// Methods (1999), table 4.1; R's wilcox.test and coin's wilcox_test give W = 35 and p = 0.2544.
const AT_TERM = [0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
const AT_WEEKS = [1.15, 0.88, 0.9, 0.74, 1.21];

// SciPy's test of mannwhitneyu (scipy/stats/tests/test_hypotests.py, cases_basic), computed with R's wilcox.test.
const SCIPY_X = [210.05211, 110.19063, 307.918612];
const SCIPY_Y = [
  436.08811482466416, 416.37397329768191, 179.96975939463582, 197.8118754228619, 34.038757281225756,
  138.54220550921517, 128.7769351470246, 265.92721427951852, 275.6617533155341, 592.34083395416258,
  448.73177590617018, 300.61495185038905, 187.97508449019588,
];

function steps(from: number, by: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + by * index);
}

describe('worked examples', () => {
  test('of Hollander and Wolfe', () => {
    const { u, p, method } = mannWhitney(AT_WEEKS, AT_TERM);
    expect({ u, method }).toEqual({ u: 35, method: 'exact' });
    expect(p).toBeCloseTo(0.2544, 4);
  });

  test('of SciPy and R', () => {
    const { u, p, method } = mannWhitney(SCIPY_Y, SCIPY_X);
    expect({ u, method }).toEqual({ u: 16, method: 'exact' });
    expect(p).toBeCloseTo(0.7035714285714, 12);
    expect(mannWhitney(SCIPY_X, SCIPY_Y)).toMatchObject({ u: 23, p });
  });

  // JuliaStats/HypothesisTests.jl, test/mann_whitney.jl: "Basic exact test", "Exact with ties", "Exact with ties and
  // unequal lengths". For samples of equal size all definitions of a two-sided p with ties agree.
  test.each([
    { base: steps(1, 1, 10), head: steps(2.1, 2, 10), p: 0.0232 },
    { base: steps(1.5, 10, 10), head: steps(2.1, 2, 10), p: 0.0068 },
    { base: steps(1, 1, 10), head: steps(1, 1, 10), p: 1 },
    { base: steps(1, 1, 10), head: steps(2, 1, 10), p: 0.5096 },
    { base: steps(1, 1, 10), head: [1, 2, 3, 4, 5, 1, 1, 1, 1, 1], p: 0.0057 },
    { base: steps(1, 1, 10), head: steps(2, 2, 12), p: 0.0118 },
  ])('of HypothesisTests.jl: $p', ({ base, head, p }) => {
    expect(Math.abs(mannWhitney(base, head).p - p)).toBeLessThanOrEqual(1e-4);
    expect(mannWhitney(base, head).method).toBe('exact');
    expect(mannWhitney(head, base).p).toBeCloseTo(mannWhitney(base, head).p, 12);
  });
});

/** All ways to deal the values, one by one: the p by its definition. */
function bruteForce(base: readonly number[], head: readonly number[]): { u: number; p: number } {
  const all = [...base, ...head];
  const uOf = (isHead: (index: number) => boolean): number => {
    let u = 0;
    all.forEach((above, i) => {
      all.forEach((below, j) => {
        if (isHead(i) && !isHead(j)) u += above > below ? 1 : above === below ? 0.5 : 0;
      });
    });
    return u;
  };
  const u = uOf((index) => index >= base.length);
  const middle = (base.length * head.length) / 2;
  let extreme = 0;
  let total = 0;
  for (let deal = 0; deal < 2 ** all.length; deal += 1) {
    const isHead = (index: number): boolean => ((deal >> index) & 1) === 1;
    if (all.filter((_, index) => isHead(index)).length !== head.length) continue;
    total += 1;
    if (Math.abs(uOf(isHead) - middle) >= Math.abs(u - middle)) extreme += 1;
  }
  return { u, p: extreme / total };
}

describe('the exact p', () => {
  // Few different values, so that ties are common.
  const sample = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 });

  test('is the share of all ways to deal the values that are as extreme, ties or not', () => {
    fc.assert(
      fc.property(sample, sample, (base, head) => {
        const { u, p } = mannWhitney(base, head);
        const expected = bruteForce(base, head);
        expect(u).toBe(expected.u);
        expect(p).toBeCloseTo(expected.p, 12);
      }),
      { numRuns: 150 },
    );
  });

  test('does not change with anything that keeps the order', () => {
    const values = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(values, values, (base, head) => {
        const squared = mannWhitney(
          base.map((value) => value ** 3),
          head.map((value) => value ** 3),
        );
        expect(squared).toEqual(mannWhitney(base, head));
      }),
    );
  });
});

describe('the normal approximation', () => {
  const normal = (base: readonly number[], head: readonly number[]) =>
    mannWhitney(base, head, { exactPairs: 0 });

  // 20 against 20 with ties, from ClickHouse's test of its mannWhitneyUTest (01560_mann_whitney.sql), where the figures
  // are SciPy's: U = 223, p = 0.5426959774289482.
  const left = [
    310, 195, 530, 155, 530, 245, 385, 450, 465, 545, 170, 180, 125, 180, 230, 75, 430, 480, 495, 295,
  ];
  const right = [
    116, 171, 176, 421, 111, 326, 481, 111, 346, 441, 261, 411, 206, 521, 456, 446, 296, 51, 426, 261,
  ];

  test.each([
    { from: 'SciPy and R', base: SCIPY_Y, head: SCIPY_X, u: 16, p: 0.6865041817876, digits: 12 },
    {
      from: 'ClickHouse and SciPy, with ties',
      base: right,
      head: left,
      u: 223,
      p: 0.5426959774289482,
      digits: 14,
    },
    // HypothesisTests.jl, "Approximate test".
    {
      from: 'HypothesisTests.jl',
      base: steps(2.1, 2, 10),
      head: steps(1, 1, 10),
      u: 20,
      p: 0.0257,
      digits: 4,
    },
    {
      from: 'HypothesisTests.jl',
      base: steps(2.1, 2, 10),
      head: steps(1.5, 10, 10),
      u: 85,
      p: 0.0091,
      digits: 4,
    },
  ])('is that of $from: $p', ({ base, head, u, p, digits }) => {
    expect(normal(base, head)).toMatchObject({ u, method: 'normal' });
    expect(normal(base, head).p).toBeCloseTo(p, digits);
    expect(normal(head, base).p).toBeCloseTo(p, digits);
  });

  test('takes over beyond 400 pairs, near the exact p', () => {
    const base = steps(1, 1, 20);
    const head = steps(4.5, 1, 20);
    expect(mannWhitney(base, head).method).toBe('exact');
    expect(mannWhitney(base, [...head, 14.2]).method).toBe('normal');
    expect(Math.abs(mannWhitney(base, head).p - normal(base, head).p)).toBeLessThan(0.002);
    expect(Math.abs(mannWhitney(right, left).p - normal(right, left).p)).toBeLessThan(0.002);
  });

  test('says 1 where all values are equal', () => {
    expect(mannWhitney(new Array(30).fill(7), new Array(30).fill(7))).toEqual({
      u: 450,
      p: 1,
      method: 'normal',
    });
  });
});

describe('the smallest p', () => {
  test.each([
    [1, 1, 1],
    [2, 2, 1 / 3],
    [3, 3, 0.1],
    [4, 4, 2 / 70],
    [5, 5, 2 / 252],
    [3, 4, 2 / 35],
    [3, 5, 2 / 56],
    [10, 10, 2 / 184_756],
  ])('of %d against %d is %d', (n, m, p) => {
    expect(smallestP(n, m)).toBeCloseTo(p, 14);
    // It is what two samples that do not overlap give.
    expect(mannWhitney(steps(1, 1, n), steps(100, 1, m)).p).toBeCloseTo(p, 14);
  });

  test('is no p of an empty sample', () => {
    expect(() => smallestP(0, 3)).toThrow(RangeError);
  });
});

test('samples without values and values that are no numbers are refused', () => {
  expect(() => mannWhitney([], [1])).toThrow(RangeError);
  expect(() => mannWhitney([1], [])).toThrow(RangeError);
  expect(() => mannWhitney([1, Number.NaN], [1])).toThrow(RangeError);
});
