/**
 * Repetitions far from the others, by the modified z-score of B. Iglewicz and D. C. Hoaglin ("How to Detect and Handle
 * Outliers", ASQC Quality Press, 1993): the distance from the median in units of the median distance, which a single
 * wild value does not inflate as it does a standard deviation.
 */

import { median } from './median.ts';

/** Scores beyond this mark an outlier, as Iglewicz and Hoaglin recommend. */
export const OUTLIER_SCORE = 3.5;

/**
 * Below this many values none is called an outlier. The median distance of a handful is itself a matter of chance: of
 * three normal values one is beyond the score in 29 of 100 samples, since two that agree by luck make the third look
 * wild. Of six it still is in 15 of 100, of ten in 12 (by simulation), so an outlier is a hint and nothing is left out
 * for it.
 */
export const MIN_VALUES_FOR_OUTLIERS = 6;

/** The 0.75 quantile of the standard normal distribution: makes the score that of a z-score where values are normal. */
const MAD_SCALE = 0.6745;

/** The same for the mean absolute deviation, which is √(2/π) of a standard deviation. */
const MEAN_AD_SCALE = Math.sqrt(2 / Math.PI);

/** MAD, the median absolute deviation from the median. @throws RangeError for no values */
export function medianAbsoluteDeviation(values: readonly number[]): number {
  const middle = median(values);
  return median(values.map((value) => Math.abs(value - middle)));
}

/**
 * The modified z-score of each value. Where more than half of the values are equal the MAD is 0, and the mean absolute
 * deviation takes its place; where all are equal every score is 0.
 *
 * @throws RangeError for no values
 */
export function modifiedZScores(values: readonly number[]): number[] {
  const middle = median(values);
  const mad = medianAbsoluteDeviation(values);
  if (mad > 0) return values.map((value) => (MAD_SCALE * (value - middle)) / mad);
  const meanDeviation = values.reduce((sum, value) => sum + Math.abs(value - middle), 0) / values.length;
  return values.map((value) =>
    meanDeviation === 0 ? 0 : (MEAN_AD_SCALE * (value - middle)) / meanDeviation,
  );
}

/** The indexes of the values that are outliers; none below `MIN_VALUES_FOR_OUTLIERS` values. */
export function outliersOf(values: readonly number[]): number[] {
  if (values.length < MIN_VALUES_FOR_OUTLIERS) return [];
  return modifiedZScores(values).flatMap((score, index) => (Math.abs(score) > OUTLIER_SCORE ? [index] : []));
}
