import { describe, expect, test } from 'vitest';
import { steadinessOf } from '../../../lab/statistics/steadiness.ts';

/** Whole windows and a last one that was cut off. */
function windows(...whole: number[]): number[] {
  return [...whole, 1];
}

describe('a repetition', () => {
  test('at one rate is steady, though its last window is cut off', () => {
    expect(steadinessOf(windows(...new Array(9).fill(100)))).toEqual({ verdict: 'steady', drift: 0 });
  });

  test.each([
    [[100, 100, 100, 5, 5, 5, 110, 110, 110], 'steady', 0.1],
    [[100, 100, 100, 5, 5, 5, 110, 110, 111], 'not steady', 331 / 300 - 1],
    [[100, 100, 100, 5, 5, 5, 90, 90, 90], 'steady', -0.1],
    [[100, 100, 100, 5, 5, 5, 90, 90, 89], 'not steady', 269 / 300 - 1],
    // Thirds of ten are three windows each; the middle is not looked at.
    [[100, 100, 100, 1, 1, 1, 1, 100, 100, 100], 'steady', 0],
    [[10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120], 'not steady', 420 / 100 - 1],
    // One flush more or less is no drift where the third as a whole is even.
    [[0, 200, 100, 0, 200, 100, 200, 0, 100], 'steady', 0],
  ] as const)('with %j is %s', (whole, verdict, drift) => {
    const found = steadinessOf(windows(...whole));
    expect(found.verdict).toBe(verdict);
    expect(found.drift).toBeCloseTo(drift, 12);
  });

  test('that is too short says nothing', () => {
    expect(steadinessOf([])).toEqual({ verdict: 'unknown', drift: null });
    expect(steadinessOf(windows(1, 2, 3, 4, 5, 6, 7, 8))).toEqual({ verdict: 'unknown', drift: null });
    expect(steadinessOf(windows(1, 2, 3, 4, 5, 6, 7, 8, 9)).verdict).toBe('not steady');
  });

  test('that began with nothing has no drift to tell', () => {
    expect(steadinessOf(windows(0, 0, 0, 1, 1, 1, 5, 5, 5))).toEqual({ verdict: 'not steady', drift: null });
    expect(steadinessOf(windows(...new Array(9).fill(0)))).toEqual({ verdict: 'unknown', drift: null });
  });
});
