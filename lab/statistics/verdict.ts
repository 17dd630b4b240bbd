/** Which differences between repetitions are more than chance. */

import type { Comparison, Verdict } from '../result.ts';
import { hodgesLehmann } from './hodges-lehmann.ts';
import { holm } from './holm.ts';
import { type MannWhitney, mannWhitney, smallestP } from './mann-whitney.ts';

/** One figure of two variants, or of one variant in two runs. */
export interface FigurePair {
  base: string;
  head: string;
  metric: string;
  /** The figure of each repetition; at least one, all above 0. */
  baseValues: readonly number[];
  headValues: readonly number[];
  /** True for rates; false for times, bytes and whatever else is the better the less of it there is. */
  isBiggerBetter: boolean;
}

/** Chance of calling any of the equals of one table different. */
export const ALPHA = 0.05;

/** The smallest p of a hundred against a hundred is below 10 to the power of -58; nobody compares that many. */
const MAX_REPETITIONS_NEEDED = 100;

/**
 * Compares each pair by the test of Mann and Whitney, and corrects for all pairs of the call after Holm.
 *
 * `faster` and `slower` stand where the corrected p is below `alpha`; `too few runs` where it is not, and could hardly have
 * been: not even if no two samples of the table had overlapped. (Where values of a sample are equal, the exact p can be smaller
 * than that.) `same` is the rest, and means
 * that no difference was shown. The interval of `change` has a confidence of 1 - `alpha` for each pair by itself; it may
 * leave out 0 where the corrected p does not.
 *
 * @param alpha above 0 and below 1; default `ALPHA`
 * @throws RangeError for a sample without values, or with values that are not above 0
 */
export function compareFigures(
  pairs: readonly FigurePair[],
  { alpha = ALPHA }: { alpha?: number } = {},
): Comparison[] {
  const tests = pairs.map(({ baseValues, headValues }) => mannWhitney(baseValues, headValues));
  const corrected = holm(tests.map(({ p }) => p));
  // A corrected p never rises when any of the others falls, so these are the smallest that the table could show.
  const smallest = holm(
    pairs.map(({ baseValues, headValues }) => smallestP(baseValues.length, headValues.length)),
  );
  return pairs.map((pair, index) => {
    const { base, head, metric, baseValues, headValues } = pair;
    const { change, low, high } = hodgesLehmann(baseValues, headValues, 1 - alpha);
    const test = tests[index] as MannWhitney;
    const correctedP = corrected[index] as number;
    return {
      base,
      head,
      metric,
      change,
      changeLow: low,
      changeHigh: high,
      p: test.p,
      correctedP,
      verdict: verdictOf(pair, test, { correctedP, smallestP: smallest[index] as number, alpha }),
    };
  });
}

/**
 * How many repetitions of each a table of so many comparisons needs, so that samples that do not overlap are told apart:
 * 4 for one comparison at 0.05, 5 for two to six, 6 for up to 23.
 */
export function repetitionsNeeded(comparisons: number, alpha: number = ALPHA): number {
  let n = 1;
  while (n < MAX_REPETITIONS_NEEDED && smallestP(n, n) * comparisons >= alpha) n += 1;
  return n;
}

function verdictOf(
  { baseValues, headValues, isBiggerBetter }: FigurePair,
  { u }: MannWhitney,
  chances: { correctedP: number; smallestP: number; alpha: number },
): Verdict {
  if (chances.correctedP >= chances.alpha)
    return chances.smallestP >= chances.alpha ? 'too few runs' : 'same';
  const isMore = u > (baseValues.length * headValues.length) / 2;
  return isMore === isBiggerBetter ? 'faster' : 'slower';
}
