/** The measured variants of one run against the suite's baseline. */

import type { Comparison, VariantResult } from '../result.ts';
import { compareFigures } from '../statistics/verdict.ts';
import type { Suite } from '../suite.ts';

/** One comparison of the rate for each measured variant beside the baseline; none where the suite has no baseline. */
export function runComparisons(
  { baseline }: Pick<Suite, 'baseline'>,
  variants: readonly VariantResult[],
): Comparison[] {
  const base = variants.find(({ name, role }) => name === baseline && role === 'measured');
  if (base === undefined) return [];
  const pairs = variants
    .filter((variant) => variant !== base && variant.role === 'measured')
    .map((variant) => ({
      base: base.name,
      head: variant.name,
      metric: 'perSecond',
      baseValues: ratesOf(base),
      headValues: ratesOf(variant),
      isBiggerBetter: true,
    }))
    // A change is a ratio, and nothing is a multiple of 0. Without its idle repetitions a variant would seem the faster.
    .filter(({ baseValues, headValues }) => [...baseValues, ...headValues].every((rate) => rate > 0));
  return compareFigures(pairs);
}

function ratesOf({ reps }: VariantResult): number[] {
  return reps.map(({ perSecond }) => perSecond);
}
