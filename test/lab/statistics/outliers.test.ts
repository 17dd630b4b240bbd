import { describe, expect, test } from 'vitest';
import { medianAbsoluteDeviation, modifiedZScores, outliersOf } from '../../../lab/statistics/outliers.ts';

// By hand after Iglewicz and Hoaglin: the median is 2.45, the distances are .05 .05 .15 .15 .15 .15 .35 .35 5.75 5.85,
// so the MAD is 0.15. A z-score with the standard deviation (2.6) would find neither of the last two: they hide each
// other.
const MASKED = [2.1, 2.6, 2.4, 2.5, 2.3, 2.1, 2.3, 2.6, 8.2, 8.3];

test('the MAD is the median distance from the median', () => {
  expect(medianAbsoluteDeviation([1, 1, 2, 2, 4, 6, 9])).toBe(1);
  expect(medianAbsoluteDeviation(MASKED)).toBeCloseTo(0.15, 12);
  expect(medianAbsoluteDeviation([5])).toBe(0);
  expect(() => medianAbsoluteDeviation([])).toThrow(RangeError);
});

describe('the modified z-score', () => {
  test('is 0.6745 of the distance in MADs', () => {
    const scores = modifiedZScores(MASKED);
    expect(scores[8]).toBeCloseTo((0.6745 * 5.75) / 0.15, 10);
    expect(scores[9]).toBeCloseTo((0.6745 * 5.85) / 0.15, 10);
    expect(scores[0]).toBeCloseTo((0.6745 * -0.35) / 0.15, 10);
  });

  test('takes the mean distance where more than half of the values are equal', () => {
    // Mean distance 90 / 8 = 11.25; a normal distribution has one of 0.7979 standard deviations.
    const scores = modifiedZScores([10, 10, 10, 10, 10, 10, 10, 100]);
    expect(scores[7]).toBeCloseTo((0.7978845608 * 90) / 11.25, 8);
    expect(scores.slice(0, 7)).toEqual(new Array(7).fill(0));
  });

  test('of equal values is 0', () => {
    expect(modifiedZScores([3, 3, 3])).toEqual([0, 0, 0]);
  });
});

describe('outliers', () => {
  test('are found though they hide each other from a z-score', () => {
    expect(outliersOf(MASKED)).toEqual([8, 9]);
    expect(outliersOf([10, 10, 10, 10, 10, 10, 10, 100])).toEqual([7]);
  });

  test('are those beyond 3.5, on either side', () => {
    // Median 0, MAD 1: 3.5 is reached at 5.19.
    const others = [-1, -1, -1, 0, 1, 1, 1];
    expect(outliersOf([...others, 5.1, -5.1])).toEqual([]);
    expect(outliersOf([...others, 5.3, -5.3])).toEqual([7, 8]);
  });

  test('are none of equals, of even values, or of a handful', () => {
    expect(outliersOf([7, 7, 7, 7, 7, 7])).toEqual([]);
    expect(outliersOf([1, 2, 3, 4, 5, 6, 7, 8])).toEqual([]);
    expect(outliersOf([1, 1.01, 2])).toEqual([]);
    expect(outliersOf([1, 1.01, 1.02, 0.99, 5])).toEqual([]);
    expect(outliersOf([1, 1.01, 1.02, 0.99, 1.03, 5])).toEqual([5]);
    expect(outliersOf([])).toEqual([]);
  });
});
