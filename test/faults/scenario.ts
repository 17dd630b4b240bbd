/** A fault as the lab knows it. */

import type { SinkOptions } from '../../src/sinks/sink-options.ts';
import type { Run } from './run.ts';
import type { UpsertAction } from './upserts.ts';

export interface Scenario {
  /** What `--only` calls it: lower-case words with hyphens. */
  name: string;
  /** One line for the table. */
  title: string;
  /** Options of the run's sink, over those of every run. */
  options?: Partial<SinkOptions>;
  /** A condition of the table, as in `payload not like '%…%'`: rows against it are refused by Postgres. */
  check?: string;
  /** Older epochs are sent beside newer ones: a producer's order holds within each of them. Default: false. */
  epochsInterleave?: boolean;
  /** Runs in the long form. Default: 10. */
  longRuns?: number;
  /** The run has a sink with several shards, whose options may change (`Run.sink`), instead of one shard. */
  hasSink?: boolean;
  /** Only those may send who have a token or ticket signed with `LAB_SECRET` (locks.ts). Needs `hasSink`. */
  isLocked?: boolean;
  /**
   * Messages of one key are merged into one row. `isBroken`: the sink does the other thing, which the oracle has to find.
   */
  upsert?: { action: UpsertAction; isBroken?: boolean };
  /** Each message goes to two tables. `isBroken`: some go to one of them only, which the oracle has to find. */
  copies?: { isBroken?: boolean };
  /** Looks at the heap of the Worker, and so needs a world of its own: to be able to look costs speed. */
  readsHeap?: boolean;
  /** Takes so long that only the long form has it. */
  isLong?: boolean;
  /** Why it cannot be done here; undefined where it can. */
  cannot?: () => string | undefined;
  /**
   * Starts a load, does its worst, and says by `run.struck()` how often. When it resolves, the faults are over: the lab
   * then heals what is left, waits for the backlog, and judges. Whatever it throws fails the run.
   */
  run(run: Run): Promise<void>;
}
