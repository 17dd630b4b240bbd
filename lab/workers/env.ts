/** What the Worker is bound to where it has the bench. */

import type { Env } from '../../workers/env.ts';
import type { BenchObject } from './bench-object.ts';
import type { BenchShard } from './bench-shard.ts';
import type { LoadObject } from './load-object.ts';

export interface LabEnv extends Env {
  BENCH_SHARD: DurableObjectNamespace<BenchShard>;
  BENCH_OBJECT: DurableObjectNamespace<BenchObject>;
  LOAD_OBJECT: DurableObjectNamespace<LoadObject>;
  /** `on` allows `/bench`, which writes to the database and costs money. */
  BENCH?: string;
  /** The bearer token that `/bench` then asks for. */
  BENCH_TOKEN?: string;
}
