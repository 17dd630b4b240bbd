import { describe, expect, test } from 'vitest';
import type { VariantResult } from '../../lab/result.ts';
import { judgeTargets, ratioOf, type Target } from '../../lab/targets.ts';

/** A variant whose repetitions have the figures that are given. */
function variant(name: string, perSecond: number, ...usPerOperation: (number | null)[]): VariantResult {
  const spread = (median: number) => ({ median, min: median, max: median });
  return {
    name,
    role: 'measured',
    description: name,
    reps: usPerOperation.map((us, order) => ({
      units: 1,
      elapsedMs: 1,
      metrics: { usPerOperation: us },
      audit: null,
      perSecond,
      order,
      rep: order + 1,
    })),
    summary: { perSecond: spread(perSecond), elapsedMs: spread(1), metrics: {}, audit: null },
  };
}

const VARIANTS = [variant('one', 100, 50), variant('ten', 300, 20), variant('unseen', 0, null)];

function judge(more: Partial<Target>) {
  return judgeTargets(
    [{ title: 't', variant: 'one', metric: 'usPerOperation', bound: { atMost: 50 }, unit: ' µs', ...more }],
    VARIANTS,
  );
}

describe('a target', () => {
  test.each([
    { bound: { atMost: 50 }, isMet: true },
    { bound: { atMost: 49 }, isMet: false },
    { bound: { atLeast: 50 }, isMet: true },
    { bound: { atLeast: 51 }, isMet: false },
  ])('of $bound is met by 50: $isMet', ({ bound, isMet }) => {
    expect(judge({ bound })).toEqual([{ title: 't', figure: 50, unit: ' µs', bound, isMet }]);
  });

  test('may be a ratio of two variants, of a metric or of what is done per second', () => {
    expect(judge({ per: 'ten' })).toMatchObject([{ figure: 2.5 }]);
    expect(judge({ variant: 'ten', per: 'one', metric: 'perSecond' })).toMatchObject([{ figure: 3 }]);
  });

  test('compares each repetition with the one that ran beside it', () => {
    // The machine was busy in the second repetition, and in the third for the floor alone.
    const own = variant('own', 1, 30, 300, 30);
    const floor = variant('floor', 1, 20, 200, 2_000);
    expect(ratioOf(own, floor, 'usPerOperation')).toBe(1.5);
    // A run that was stopped has fewer repetitions of what came last.
    expect(ratioOf(own, variant('floor', 1, 10), 'usPerOperation')).toBe(3);
    expect(ratioOf(own, variant('floor', 1), 'usPerOperation')).toBeUndefined();
  });

  test('is left out where a variant did not run or has no such figure', () => {
    expect(judge({ variant: 'none' })).toEqual([]);
    expect(judge({ per: 'none' })).toEqual([]);
    expect(judge({ variant: 'unseen' })).toEqual([]);
    // Nothing can be told in multiples of nothing.
    expect(judge({ per: 'unseen', metric: 'perSecond' })).toEqual([]);
  });
});
