import { expect, test } from 'vitest';
import { median } from '../../../lab/statistics/median.ts';

test.each([
  [[7], 7],
  [[3, 1, 2], 2],
  [[4, 1, 3, 2], 2.5],
  // As text, 10 would come before 9.
  [[10, 9, 100], 10],
  [[5, 5, 1, 5], 5],
])('the median of %j is %d', (values, expected) => {
  expect(median(values)).toBe(expected);
});

test('the median leaves its values in their order', () => {
  const values = [3, 1, 2];
  median(values);
  expect(values).toEqual([3, 1, 2]);
});

test('there is no median of no values', () => {
  expect(() => median([])).toThrow(RangeError);
});
