/** Iterations for the tests of the reports. */

import type { Iteration, IterationStatus } from '../../../../lab/suites/stress/iteration.ts';

/** An iteration with figures that can be told apart. */
export function iteration(number: number, given: Partial<Iteration> = {}): Iteration {
  return {
    iteration: number,
    epochs: number * 10_000,
    concurrency: 1,
    status: 'OK',
    writeSeconds: 1.5,
    readSeconds: 0.5,
    generateSeconds: 0.25,
    encodeSeconds: 0.25,
    decodeSeconds: 0.125,
    successWrites: 1,
    failedWrites: 0,
    successReads: 1,
    failedReads: 0,
    clientPayloadBytes: 1_048_576,
    dbPayloadBytes: 1_048_580,
    dbRowBytes: 1_048_612,
    dbTableBytes: 3_145_728,
    writePeakBytes: 2_097_152,
    readPeakBytes: 524_288,
    writeRssBytes: 4_194_304,
    readRssBytes: 0,
    error: '',
    ...given,
  };
}

/** Iterations of 10,000, 20,000, … epochs with these statuses. */
export function ramp(...statuses: IterationStatus[]): Iteration[] {
  return statuses.map((status, index) =>
    iteration(index + 1, { status, error: status === 'OK' ? '' : 'it broke' }),
  );
}
