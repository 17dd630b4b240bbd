import { describe, expect, test } from 'vitest';
import { backoffMs } from '../../../src/core/backoff.ts';

const options = { baseMs: 100, maxMs: 30_000 };

describe('backoffMs', () => {
  test('doubles its ceiling with every failure, up to the longest wait', () => {
    const ceilings = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((failures) => backoffMs(failures, 1, options));
    expect(ceilings).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
  });

  test('waits for a tenth of its ceiling at least', () => {
    expect([1, 2, 100].map((failures) => backoffMs(failures, 0, options))).toEqual([10, 20, 3_000]);
  });

  test('spreads evenly between the two', () => {
    expect([0, 0.25, 0.5, 0.75].map((random) => backoffMs(4, random, options))).toEqual([80, 260, 440, 620]);
  });

  test('stays finite however long the row of failures', () => {
    expect(backoffMs(1_000_000, 1, options)).toBe(30_000);
    expect(backoffMs(Number.MAX_SAFE_INTEGER, 1)).toBe(30_000);
  });
});
