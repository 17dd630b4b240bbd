/**
 * The counts of a histogram's buckets, without the rest of it: what the monitor adds, subtracts and stores. Where many buckets are in
 * use, some are joined when they are stored, two, four or more into one; so a stored histogram has a bounded size.
 */

import { LatencyHistogram } from '../core/latency-histogram.ts';

/** Bucket numbers of `LatencyHistogram` that counted something, smallest first, and their counts. A snapshot of one is one of these. */
export interface Buckets {
  readonly indexes: readonly number[];
  readonly counts: readonly number[];
}

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

/** The duration in milliseconds below which `quantile` (0 to 1) of all lie; null where nothing was counted. */
export function percentileMs(buckets: Buckets, quantile: number): number | null {
  if (buckets.indexes.length === 0) return null;
  const histogram = new LatencyHistogram();
  const count = buckets.counts.reduce((sum, one) => sum + one, 0);
  histogram.merge({
    count,
    maxMs: Number.MAX_VALUE,
    indexes: [...buckets.indexes],
    counts: [...buckets.counts],
  });
  return histogram.percentile(quantile) ?? null;
}

/** As text: how often buckets were joined in pairs, the first bucket, and the counts from there on; to the base 36, 0 as nothing. */
export function packBuckets({ indexes, counts }: Buckets): string {
  const first = indexes[0];
  const last = indexes.at(-1);
  if (first === undefined || last === undefined) return '';
  let joins = 0;
  while ((last >> joins) - (first >> joins) >= MAX_STORED_SPAN) joins += 1;
  const start = first >> joins;
  const joined = new Array<number>((last >> joins) - start + 1).fill(0);
  indexes.forEach((index, at) => {
    joined[(index >> joins) - start] = (joined[(index >> joins) - start] as number) + (counts[at] as number);
  });
  const texts = joined.map((count) => (count === 0 ? '' : count.toString(36)));
  return `${joins},${start.toString(36)},${texts.join(',')}`;
}

export function unpackBuckets(text: string): Buckets {
  if (text === '') return NO_BUCKETS;
  const [joins = '0', start = '0', ...texts] = text.split(',');
  const shift = Number(joins);
  // What was joined is taken to be in the middle.
  const middle = shift === 0 ? 0 : 1 << (shift - 1);
  const indexes: number[] = [];
  const counts: number[] = [];
  texts.forEach((count, at) => {
    if (count === '') return;
    indexes.push(((Number.parseInt(start, 36) + at) << shift) + middle);
    counts.push(Number.parseInt(count, 36));
  });
  return { indexes, counts };
}
