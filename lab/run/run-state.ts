/** A run of a suite as plain data. */

import type { RepRecord } from '../result.ts';

/** What is kept of a run between two steps. It survives `JSON.stringify`. */
export interface RunState {
  seed: number;
  reps: number;
  /** Values of the suite's parameters. */
  parameters: Record<string, unknown>;
  startedAtMs: number;
  warmUpMs: number | null;
  /** Entries of the plan that are over, those left out included. */
  taken: number;
  /** Repetitions by variant. What only takes the next step needs none of them. */
  records: Record<string, RepRecord[]>;
  /** How many repetitions there are, those included that are not in `records`. */
  recorded: number;
  /** Ladders that broke, each as `rep/ladder`. */
  broken: string[];
}
