/** One repetition on data that is there: what is timed, and how it is judged. */

import type { Audit } from '../result.ts';
import type { HeapMeter } from './heap-meter.ts';
import type { JobRun } from './job.ts';
import type { Attempt } from './timed-attempts.ts';

/** What a step's attempts came to so far. */
export type Tally = Pick<JobRun, 'units' | 'wins' | 'conflicts'>;

export interface Step {
  attempt: Attempt;
  tally(): Tally;
  /** Attempts that may be made after the clock, to measure the heap. Default: 0, it is not measured. */
  heapAttempts?: number;
  /** Goes through everything once more and looks at the heap on its way. Default: nothing is gone through. */
  peakHeap?(heap: HeapMeter): Promise<number>;
  audit(): Promise<Audit>;
}

/** The tally of a step without conditions. */
export function unitsOnly(units: number): Tally {
  return { units, wins: null, conflicts: null };
}
