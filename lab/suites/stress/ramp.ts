/** The sizes that a ramp goes through. */

import { SluiceError } from '../../../src/core/errors.ts';

export interface RampBounds {
  /** Epochs of the first record, from 1. */
  start: number;
  /** Epochs of the last record. */
  end: number;
  /** Epochs between two records, from 1. */
  step: number;
}

/** Iterations of one ramp. The Postgres stress test's own ramp has 100; each further one is a row in every report. */
export const MAX_ITERATIONS = 1_000;

/**
 * Epochs of each iteration: from `start` in steps, and `end` itself where no step hits it.
 *
 * @throws SluiceError `invalid_options` where the end lies before the start, or there would be too many iterations
 */
export function rampOf({ start, end, step }: RampBounds): number[] {
  if (end < start) {
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${end} for end: at least start (${start}) is allowed`,
      {
        details: { option: 'end', value: end },
      },
    );
  }
  const iterations = Math.ceil((end - start) / step) + 1;
  if (iterations > MAX_ITERATIONS) {
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${step} for step: ${start} to ${end} would be ${iterations} iterations, at most ${MAX_ITERATIONS} are allowed`,
      { details: { option: 'step', value: step } },
    );
  }
  const epochs: number[] = [];
  for (let size = start; size <= end; size += step) epochs.push(size);
  if (epochs.at(-1) !== end) epochs.push(end);
  return epochs;
}
