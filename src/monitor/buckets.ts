/**
 * The counts of a histogram's buckets, without the rest of it: what the monitor adds, subtracts and stores. Where many buckets are in
 * use, some are joined when they are stored, two, four or more into one; so a stored histogram has a bounded size.
 */

import { type Buckets, MAX_INDEX, percentileOf, ZERO_INDEX } from '../core/exponential-histogram.ts';

export type { Buckets };

export const NO_BUCKETS: Buckets = { indexes: [], counts: [] };

/** Buckets that a stored histogram spans at most: 32 of 4.4 % are one octave and 32 of 19 % eight of them. */
const MAX_STORED_SPAN = 32;

export function addBuckets(a: Buckets, b: Buckets): Buckets {
  if (b.indexes.length === 0) return a;
  if (a.indexes.length === 0) return b;
  return combine(a, b, 1);
}

/** What was counted between two states of one histogram. */
export function bucketsSince(older: Buckets | undefined, newer: Buckets): Buckets {
  return older === undefined ? newer : combine(newer, older, -1);
}

function combine(a: Buckets, b: Buckets, sign: 1 | -1): Buckets {
  const counts = new Map<number, number>();
  a.indexes.forEach((index, at) => {
    counts.set(index, a.counts[at] as number);
  });
  b.indexes.forEach((index, at) => {
    counts.set(index, (counts.get(index) ?? 0) + sign * (b.counts[at] as number));
  });
  const sorted = [...counts].filter(([, count]) => count > 0).sort(([one], [other]) => one - other);
  return { indexes: sorted.map(([index]) => index), counts: sorted.map(([, count]) => count) };
}

/** The duration in milliseconds below which `quantile` (0 to 1) of all lie, of durations in seconds; null where nothing was counted. */
export function percentileMs(buckets: Buckets, quantile: number): number | null {
  const seconds = percentileOf(buckets, quantile);
  return seconds === undefined ? null : seconds * 1_000;
}

/**
 * As text: the count of the zero bucket, how often the others were joined in pairs, the first of them, and the counts from there on; to
 * the base 36, 0 as nothing. The zero bucket stands alone: many durations are 0 by the clock of an isolate, and all others would be
 * joined to reach it.
 */
export function packBuckets({ indexes, counts }: Buckets): string {
  if (indexes.length === 0) return '';
  const others = indexes[0] === ZERO_INDEX ? 1 : 0;
  const zeros = others === 1 ? textOf(counts[0] as number) : '';
  const first = indexes[others];
  const last = indexes.at(-1);
  if (first === undefined || last === undefined) return zeros;
  let joins = 0;
  while ((last >> joins) - (first >> joins) >= MAX_STORED_SPAN) joins += 1;
  const start = first >> joins;
  const joined = new Array<number>((last >> joins) - start + 1).fill(0);
  indexes.forEach((index, at) => {
    if (index === ZERO_INDEX) return;
    joined[(index >> joins) - start] = (joined[(index >> joins) - start] as number) + (counts[at] as number);
  });
  return `${zeros},${joins},${start.toString(36)},${joined.map(textOf).join(',')}`;
}

function textOf(count: number): string {
  return count === 0 ? '' : count.toString(36);
}

export function unpackBuckets(text: string): Buckets {
  if (text === '') return NO_BUCKETS;
  const [zeros = '', joins = '0', start = '0', ...texts] = text.split(',');
  const shift = Number(joins);
  // What was joined is taken to be in the middle.
  const middle = shift === 0 ? 0 : 1 << (shift - 1);
  const indexes: number[] = [];
  const counts: number[] = [];
  if (zeros !== '') {
    indexes.push(ZERO_INDEX);
    counts.push(Number.parseInt(zeros, 36));
  }
  texts.forEach((count, at) => {
    if (count === '') return;
    indexes.push(Math.min(MAX_INDEX, ((Number.parseInt(start, 36) + at) << shift) + middle));
    counts.push(Number.parseInt(count, 36));
  });
  return { indexes, counts };
}
