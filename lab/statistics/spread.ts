/** A figure over its repetitions: typical value, extremes, and where further runs would lie. */

import type { Spread } from '../result.ts';
import { medianInterval } from './interval.ts';
import { median } from './median.ts';

/**
 * The median, the extremes, and the interval of the median with 95 % confidence.
 *
 * @throws RangeError for no values
 */
export function spread(values: readonly number[]): Spread {
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    interval: medianInterval(values),
  };
}

/** Half the distance between the extremes, as a share of the median. 0 for a single value. */
export function relativeSpread({ median: middle, min, max }: Spread): number {
  return middle === 0 ? 0 : (max - min) / 2 / middle;
}
