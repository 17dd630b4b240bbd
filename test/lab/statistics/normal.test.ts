import { expect, test } from 'vitest';
import { normalTwoSided, normalTwoSidedQuantile } from '../../../lab/statistics/normal.ts';

// Twice the upper tail of the standard normal distribution (Abramowitz and Stegun, table 26.1), and erfc(x) for
// x = 3 and 4, where the other way of computing it takes over, and far out (table 7.1 and NIST's DLMF 7.12).
test.each([
  [0, 1],
  [1, 2 * 0.158655253931457],
  [2, 2 * 0.022750131948179],
  [3, 2 * 0.00134989803163],
  [5, 2 * 2.866515718791939e-7],
  [3 * Math.SQRT2, 2.209049699858544e-5],
  [4 * Math.SQRT2, 1.541725790028002e-8],
  [6 * Math.SQRT2, 2.1519736712498913e-17],
])('beyond ±%d lies %d', (z, expected) => {
  expect(normalTwoSided(z) / expected).toBeCloseTo(1, 10);
  expect(normalTwoSided(-z)).toBe(normalTwoSided(z));
});

test('the two ways of computing it meet', () => {
  const z = 3 * Math.SQRT2;
  expect(normalTwoSided(z - 1e-9) / normalTwoSided(z + 1e-9)).toBeCloseTo(1, 7);
});

test.each([
  [0.1, 1.6448536269514722],
  [0.05, 1.959963984540054],
  [0.01, 2.5758293035489004],
  [1, 0],
])('what leaves %d outside is ±%d', (p, z) => {
  expect(normalTwoSidedQuantile(p)).toBeCloseTo(z, 10);
});

test('there is no quantile of what is no chance', () => {
  for (const p of [0, -1, 1.1, Number.NaN]) expect(() => normalTwoSidedQuantile(p)).toThrow(RangeError);
});
