/** What the Worker is bound to where it has the bench, and what its objects are asked. Types only. */

import type { QueryItem } from '../../src/events/engine.ts';
import type { AppendConditionInput, NewEvent } from '../../src/events/event.ts';
import type { Env } from '../../workers/env.ts';
import type { ObjectsOf, ShardCalls } from '../../workers/objects.ts';
import type { BenchCall } from '../jobs/job.ts';
import type { DcbJob } from '../suites/dcb/job.ts';
import type { Answer } from '../suites/dcb/ledger.ts';
import type { LoadJob, LoadReport } from '../suites/ingest/load.ts';
import type { StoreJob } from '../suites/store/job.ts';

/** What the one object is asked that a store is held in. */
export interface HolderCalls {
  appendToHolder(
    schema: string,
    events: readonly NewEvent[],
    condition: AppendConditionInput | undefined,
  ): Promise<Answer>;
  lastInHolder(schema: string, query: readonly QueryItem[]): Promise<bigint>;
  closeHolder(): Promise<void>;
}

/** A job with the suite that it is of. */
export type SuiteJob = { suite: 'store'; job: StoreJob } | { suite: 'dcb'; job: DcbJob };

export interface BenchCalls extends HolderCalls {
  takeJob(call: BenchCall, job: SuiteJob): Promise<unknown>;
}

export interface LoadCalls {
  /** Sends the messages of `clients` (their numbers) to one shard; resolves once it has received them all. */
  run(order: LoadJob, shard: number, clients: number[]): Promise<LoadReport>;
  /** Ends the object, and its load with it. The call fails for that alone. */
  end(): Promise<void>;
}

/** A shard of a measurement, as who opens sockets to it has it. */
export type ShardObject = ReturnType<ObjectsOf<ShardCalls>['getByName']>;

export interface LabEnv extends Env {
  BENCH_SHARD: ObjectsOf<ShardCalls>;
  BENCH_OBJECT: ObjectsOf<BenchCalls>;
  LOAD_OBJECT: ObjectsOf<LoadCalls>;
  /** `on` allows `/bench` to those who have its token, `open` to everybody. It writes to the database and costs money. */
  BENCH?: string;
  /** The bearer token that `/bench` asks for; several, by white space or commas, are valid at once. */
  BENCH_TOKEN?: string;
}
