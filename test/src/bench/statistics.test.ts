import { expect, test } from 'vitest';
import type { Audit } from '../../../src/bench/result.ts';
import { median, relativeSpread, spread, sumAudits } from '../../../src/bench/statistics.ts';

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

test('a spread is the median between the extremes', () => {
  expect(spread([30, 10, 11])).toEqual({ median: 11, min: 10, max: 30 });
  expect(spread([4])).toEqual({ median: 4, min: 4, max: 4 });
});

test('the relative spread is half the distance of the extremes as a share of the median', () => {
  expect(relativeSpread({ median: 100, min: 90, max: 130 })).toBeCloseTo(0.2);
  expect(relativeSpread(spread([5]))).toBe(0);
  expect(relativeSpread({ median: 0, min: 0, max: 1 })).toBe(0);
});

test('audits add up figure by figure, and null adds nothing', () => {
  const first: Audit = { sent: 1, refused: 2, found: 3, lost: 4, duplicated: 5, outOfOrder: 6 };
  const second: Audit = { sent: 10, refused: 20, found: 30, lost: 40, duplicated: 50, outOfOrder: 60 };
  expect(sumAudits([first, null, second])).toEqual({
    sent: 11,
    refused: 22,
    found: 33,
    lost: 44,
    duplicated: 55,
    outOfOrder: 66,
  });
  expect(first.sent).toBe(1);
  expect(sumAudits([null, null])).toBeNull();
  expect(sumAudits([])).toBeNull();
});
