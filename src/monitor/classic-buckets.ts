/**
 * The classic buckets of Prometheus (`le`) from exponential ones. Their borders are powers of two, which are borders of exponential
 * buckets too: each count is exact.
 */

import { type Buckets, bucketOf } from '../core/exponential-histogram.ts';
import type { Metric } from './metrics.ts';

const COUNT = 20;

/** From 1 ms (2^-10 s) to 512 s. */
const SECONDS = powersOfTwo(-10);
/** From 1 to 524,288. */
const SIZES = powersOfTwo(0);

function powersOfTwo(from: number): readonly number[] {
  return Array.from({ length: COUNT }, (_, step) => 2 ** (from + step));
}

/** The upper borders of a metric's buckets, without +Inf. */
export function classicBorders({ unit }: Pick<Metric, 'unit'>): readonly number[] {
  return unit === 's' ? SECONDS : SIZES;
}

/** How many values are at most each border. The buckets are sorted, as in a snapshot. */
export function classicCounts({ indexes, counts }: Buckets, borders: readonly number[]): number[] {
  let sum = 0;
  let at = 0;
  return borders.map((border) => {
    const last = bucketOf(border);
    for (; at < indexes.length && (indexes[at] as number) <= last; at += 1) sum += counts[at] as number;
    return sum;
  });
}
