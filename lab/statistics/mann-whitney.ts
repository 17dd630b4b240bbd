/**
 * The test of Mann and Whitney (Wilcoxon's rank sum test): whether two samples differ, judged by nothing but the order
 * of their values. Throughput and latency are far from normal, which a t-test would need.
 *
 * H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is stochastically larger than the
 * other", Annals of Mathematical Statistics 18, 1947.
 */

import { normalTwoSided } from './normal.ts';

export interface MannWhitney {
  /** Of all pairs of a base and a head value, those in which the head's is larger; a tie counts one half. */
  u: number;
  /** The chance of a difference as large as this or larger, in either direction, if there were none. */
  p: number;
  /** `exact`: every way to deal the values was counted. `normal`: approximated, corrected for ties and continuity. */
  method: 'exact' | 'normal';
}

/** Up to so many pairs of values every outcome is counted: 20 against 20 repetitions. */
export const EXACT_PAIRS = 400;

/**
 * Tests two samples, two-sided. Up to `EXACT_PAIRS` pairs the result is exact, with ties too: the outcomes counted are
 * those of dealing these very values (with their mean ranks) into two samples of these sizes, and as extreme is what
 * lies as far from the middle on either side. Beyond, the normal approximation.
 *
 * @param options.exactPairs counts every outcome up to so many pairs; at most `EXACT_PAIRS`, the default
 * @throws RangeError for an empty sample or a value that is not a number
 */
export function mannWhitney(
  base: readonly number[],
  head: readonly number[],
  { exactPairs = EXACT_PAIRS }: { exactPairs?: number } = {},
): MannWhitney {
  const n = base.length;
  const m = head.length;
  if (n === 0 || m === 0) throw new RangeError('Cannot test a sample of no values');
  const { doubledRanks, doubledHeadSum, ties } = rankTogether(base, head);
  const doubledU = doubledHeadSum - m * (m + 1);
  const doubledDistance = Math.abs(doubledU - n * m);
  const u = doubledU / 2;
  if (n * m <= exactPairs) {
    return { u, p: exactP(doubledRanks, Math.min(n, m), doubledDistance), method: 'exact' };
  }
  const size = n + m;
  const variance = ((n * m) / 12) * (size + 1 - ties / (size * (size - 1)));
  const z = variance <= 0 ? 0 : Math.max(0, doubledDistance / 2 - 0.5) / Math.sqrt(variance);
  return { u, p: normalTwoSided(z), method: 'normal' };
}

/**
 * The smallest p that two samples of these sizes can give: that of two samples that do not overlap. With three each it
 * is 0.1 and with four 0.029, so three repetitions can never show a difference at 0.05.
 *
 * @throws RangeError for an empty sample
 */
export function smallestP(n: number, m: number): number {
  if (n < 1 || m < 1) throw new RangeError('Cannot test a sample of no values');
  let ways = 1;
  for (let k = 1; k <= Math.min(n, m); k += 1) ways *= (n + m + 1 - k) / k;
  return Math.min(1, 2 / ways);
}

/**
 * The chances of U being at most 0, 1, 2, … for samples of these sizes without ties, if there is no difference.
 *
 * @throws RangeError for more than `EXACT_PAIRS` pairs
 */
export function lowerTail(n: number, m: number): number[] {
  if (n * m > EXACT_PAIRS) throw new RangeError(`Cannot count the outcomes of ${n} against ${m} values`);
  const ranks = Array.from({ length: n + m }, (_, index) => 2 * (index + 1));
  const few = Math.min(n, m);
  const ways = waysBySum(ranks, few);
  const total = ways.reduce((sum, count) => sum + count, 0);
  let below = 0;
  return Array.from({ length: n * m + 1 }, (_, u) => {
    below += ways[2 * u + few * (few + 1)] as number;
    return below / total;
  });
}

interface Ranking {
  /** Twice the rank of each value among all, ties with their mean rank: whole numbers. */
  doubledRanks: number[];
  doubledHeadSum: number;
  /** Sum of t³ - t over the groups of t equal values. */
  ties: number;
}

function rankTogether(base: readonly number[], head: readonly number[]): Ranking {
  const all = [
    ...base.map((value) => ({ value, isHead: false })),
    ...head.map((value) => ({ value, isHead: true })),
  ];
  if (all.some(({ value }) => Number.isNaN(value))) throw new RangeError('Cannot rank what is not a number');
  all.sort((left, right) => (left.value < right.value ? -1 : left.value > right.value ? 1 : 0));
  const doubledRanks: number[] = [];
  let doubledHeadSum = 0;
  let ties = 0;
  for (let first = 0; first < all.length; ) {
    let end = first + 1;
    while (end < all.length && all[end]?.value === all[first]?.value) end += 1;
    const doubledRank = first + 1 + end;
    for (const { isHead } of all.slice(first, end)) {
      doubledRanks.push(doubledRank);
      if (isHead) doubledHeadSum += doubledRank;
    }
    ties += (end - first) ** 3 - (end - first);
    first = end;
  }
  return { doubledRanks, doubledHeadSum, ties };
}

/** The share of all ways to choose `few` of the ranks whose U lies at least so far from the middle (all doubled). */
function exactP(doubledRanks: readonly number[], few: number, doubledDistance: number): number {
  const ways = waysBySum(doubledRanks, few);
  const middle = few * (doubledRanks.length - few) + few * (few + 1);
  let extreme = 0;
  let total = 0;
  ways.forEach((count, sum) => {
    total += count;
    if (Math.abs(sum - middle) >= doubledDistance) extreme += count;
  });
  return extreme / total;
}

/**
 * How many ways there are to choose `few` of the ranks so that they add up to each sum. Counts stay whole: at most
 * C(40, 20) = 137,846,528,820 for `EXACT_PAIRS`.
 */
function waysBySum(ranks: readonly number[], few: number): Float64Array {
  const width =
    ranks
      .toSorted((left, right) => right - left)
      .slice(0, few)
      .reduce((sum, rank) => sum + rank, 0) + 1;
  const ways = Array.from({ length: few + 1 }, () => new Float64Array(width));
  (ways[0] as Float64Array)[0] = 1;
  for (const rank of ranks) {
    // From the top, so that no rank is chosen twice.
    for (let chosen = few; chosen >= 1; chosen -= 1) {
      const from = ways[chosen - 1] as Float64Array;
      const to = ways[chosen] as Float64Array;
      for (let sum = width - 1; sum >= rank; sum -= 1) {
        to[sum] = (to[sum] as number) + (from[sum - rank] as number);
      }
    }
  }
  return ways[few] as Float64Array;
}
