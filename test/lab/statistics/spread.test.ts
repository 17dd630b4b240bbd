import { expect, test } from 'vitest';
import { relativeSpread, spread } from '../../../lab/statistics/spread.ts';

test('a spread is the median between the extremes', () => {
  expect(spread([30, 10, 11])).toEqual({ median: 11, min: 10, max: 30, interval: null });
  expect(spread([4])).toEqual({ median: 4, min: 4, max: 4, interval: null });
});

test('from six values on a spread tells where the median lies', () => {
  expect(spread([1, 2, 3, 4, 5]).interval).toBeNull();
  expect(spread([6, 1, 2, 3, 4, 5]).interval).toEqual({ low: 1, high: 6 });
  expect(spread([9, 8, 7, 6, 1, 2, 3, 4, 5]).interval).toEqual({ low: 2, high: 8 });
});

test('the relative spread is half the distance of the extremes as a share of the median', () => {
  expect(relativeSpread({ median: 100, min: 90, max: 130 })).toBeCloseTo(0.2);
  expect(relativeSpread(spread([5]))).toBe(0);
  expect(relativeSpread({ median: 0, min: 0, max: 1 })).toBe(0);
});
