/**
 * How much larger one sample is than another, as a share, with an interval: the estimate that belongs to the test of
 * Mann and Whitney (J. L. Hodges and E. L. Lehmann, "Estimates of location based on rank tests", Annals of
 * Mathematical Statistics 34, 1963).
 */

import { EXACT_PAIRS, lowerTail } from './mann-whitney.ts';
import { normalTwoSidedQuantile } from './normal.ts';

/** The change of head against base: 0.1 is a tenth more. */
export interface Shift {
  change: number;
  /** Null where the samples are too small for the confidence that is asked for. */
  low: number | null;
  high: number | null;
}

/** More pairs than this are refused: all of them are held at the same time. */
export const MAX_PAIRS = 4_000_000;

/**
 * The median of the ratios of every head value to every base value, less 1. Between the two ratios in the middle lies
 * their geometric mean, so that what is twice as much one way is half as much the other way. The interval holds the
 * ratios that the two-sided test would not reject (M. Hollander and D. A. Wolfe, Nonparametric Statistical Methods,
 * 4.3); it is exact up to `EXACT_PAIRS` pairs and by the normal approximation beyond.
 *
 * @param confidence above 0 and below 1
 * @throws RangeError for an empty sample, a value that is not above 0 and finite, or more than `MAX_PAIRS` pairs
 */
export function hodgesLehmann(base: readonly number[], head: readonly number[], confidence = 0.95): Shift {
  const pairs = base.length * head.length;
  if (pairs === 0) throw new RangeError('Cannot compare a sample of no values');
  if (pairs > MAX_PAIRS) throw new RangeError(`Cannot compare ${base.length} with ${head.length} values`);
  if (![...base, ...head].every((value) => value > 0 && Number.isFinite(value)))
    throw new RangeError('Only values above 0 have ratios');
  const ratios = new Float64Array(pairs);
  base.forEach((below, row) => {
    head.forEach((above, column) => {
      ratios[row * head.length + column] = above / below;
    });
  });
  ratios.sort();
  const at = (rank: number): number => (ratios[rank - 1] as number) - 1;
  const middle = (pairs + 1) / 2;
  const change =
    Math.sqrt((ratios[Math.floor(middle) - 1] as number) * (ratios[Math.ceil(middle) - 1] as number)) - 1;
  const rank = lowRank(base.length, head.length, confidence);
  return rank === 0
    ? { change, low: null, high: null }
    : { change, low: at(rank), high: at(pairs + 1 - rank) };
}

/** The rank of the ratio at the lower end of the interval; 0 where there is none. */
function lowRank(n: number, m: number, confidence: number): number {
  if (!(confidence > 0 && confidence < 1))
    throw new RangeError(`A confidence lies between 0 and 1, this one is ${confidence}`);
  const alpha = 1 - confidence;
  if (n * m <= EXACT_PAIRS) {
    // What rounding took must not cost a rank whose chance is exactly the one allowed.
    const end = lowerTail(n, m).findIndex((chance) => 2 * chance > alpha + 1e-12);
    return Math.min(end, Math.ceil((n * m) / 2));
  }
  const sigma = Math.sqrt((n * m * (n + m + 1)) / 12);
  const rank = Math.floor((n * m) / 2 - normalTwoSidedQuantile(alpha) * sigma + 0.5);
  return Math.max(0, Math.min(rank, Math.ceil((n * m) / 2)));
}
