/** What `cloudflare:workers` hands to the tests: the bindings of wrangler.toml and the exports of the Worker. */

import type { BenchObject } from '../../lab/workers/bench-object.ts';
import type { BenchShard } from '../../lab/workers/bench-shard.ts';
import type { LabEnv } from '../../lab/workers/env.ts';
import type { LoadObject } from '../../lab/workers/load-object.ts';
import type { Namespace } from '../../workers/namespace.ts';
import type { Registry } from '../../workers/registry.ts';
import type { Shard } from '../../workers/shard.ts';

/** With the platform's own types, which the tests' tools for Durable Objects ask for. */
interface Objects {
  SHARD: DurableObjectNamespace<Shard>;
  // The platform's types of what a call returns do not keep tuples.
  MONITOR: NonNullable<LabEnv['MONITOR']>;
  NAMESPACE: DurableObjectNamespace<Namespace>;
  REGISTRY: DurableObjectNamespace<Registry>;
  BENCH_SHARD: DurableObjectNamespace<BenchShard>;
  BENCH_OBJECT: DurableObjectNamespace<BenchObject>;
  LOAD_OBJECT: DurableObjectNamespace<LoadObject>;
}

declare global {
  namespace Cloudflare {
    interface Env extends SluiceEnv {}
    interface GlobalProps {
      mainModule: typeof import('../../workers/index.ts');
      durableNamespaces:
        | 'Shard'
        | 'Monitor'
        | 'BenchShard'
        | 'BenchObject'
        | 'LoadObject'
        | 'Namespace'
        | 'Registry';
    }
  }
}

type SluiceEnv = Omit<LabEnv, keyof Objects> & Objects;
