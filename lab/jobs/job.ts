/**
 * The jobs of the suites that measure a store. A job says as data what one repetition does. All that it writes and reads
 * follows from it, so that who runs it and who judges it need nothing from each other.
 */

import type { Audit, HistogramRecord } from '../result.ts';

/**
 * How the work is done. `store`: through one store. `stores`: each client has its own store, with its own connection.
 * `floor`: by bare statements on a table with a primary key and nothing else. `indexed`: the same on a table with indexes for
 * what the store reads by.
 */
export const STRATEGIES = ['store', 'stores', 'floor', 'indexed'] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface Job<Engine extends string = string, Operation extends string = string> {
  /** Where the data is. */
  engine: Engine;
  operation: Operation;
  strategy: Strategy;
  /** At the same time, each waiting for its answer before its next attempt. */
  clients: number;
  /** Attempts of all clients together. */
  operations: number;
}

/** Whether a job is done by bare statements. */
export function isBare({ strategy }: Pick<Job, 'strategy'>): boolean {
  return strategy === 'floor' || strategy === 'indexed';
}

/** What a repetition came to. */
export interface JobRun {
  elapsedMs: number;
  /** What was written or read while the clock ran; of attempts that are all refused, the attempts. */
  units: number;
  /** Null for what has no condition. */
  wins: number | null;
  conflicts: number | null;
  /** How long a single attempt took, 50th and 99th of a hundred; null where the clock cannot tell. */
  p50Us: number | null;
  p99Us: number | null;
  /** All of them; undefined where the clock cannot tell. */
  latency?: HistogramRecord;
  /** Statements went without names: a pooler in between does not know them. */
  isUnnamed?: true;
  /** Bytes that one attempt allocates on the heap; null where the platform cannot tell. */
  heapBytesPerOperation: number | null;
  /** The most that one attempt holds on the heap beyond what was there before it; null as above. */
  peakHeapBytes: number | null;
}

/** What can be asked of a bench. Only `run` is timed, and each call is short enough to be a request. */
export const BENCH_CALLS = ['prepare', 'run', 'audit', 'close'] as const;
export type BenchCall = (typeof BENCH_CALLS)[number];

/** Does the jobs of one engine. */
export interface JobBench<J extends Job = Job> {
  /** Brings in some of the data that the job needs, and returns how much of it is still missing. */
  prepare(job: J): Promise<number>;
  run(job: J): Promise<JobRun>;
  /** Judges what the last run left or returned. */
  audit(job: J): Promise<Audit>;
  /** Deletes everything. */
  close(): Promise<void>;
}

/** Prepares a job to the end. */
export async function prepareAll<J extends Job>(bench: JobBench<J>, job: J): Promise<void> {
  let missing = await bench.prepare(job);
  while (missing > 0) {
    const before = missing;
    missing = await bench.prepare(job);
    if (missing >= before)
      throw new RangeError('The preparation of the bench does not come nearer to its end');
  }
}
