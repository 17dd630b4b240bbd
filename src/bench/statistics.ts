/** The little arithmetic of the reports. */

import type { Audit, Spread } from './result.ts';

/**
 * The median: the middle value, or the mean of the two in the middle.
 *
 * @throws RangeError for no values
 */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('Cannot take the median of no values');
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** The median and the extremes. */
export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Half the distance between the extremes, as a share of the median. 0 for a single value. */
export function relativeSpread({ median: middle, min, max }: Spread): number {
  return middle === 0 ? 0 : (max - min) / 2 / middle;
}

/** Adds up audits; null where there is none. */
export function sumAudits(audits: readonly (Audit | null)[]): Audit | null {
  const present = audits.filter((audit) => audit !== null);
  if (present.length === 0) return null;
  const sum: Audit = { sent: 0, refused: 0, found: 0, lost: 0, duplicated: 0, outOfOrder: 0 };
  for (const audit of present) {
    for (const key of Object.keys(sum) as (keyof Audit)[]) sum[key] += audit[key];
  }
  return sum;
}
