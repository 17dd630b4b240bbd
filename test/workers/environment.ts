/** What `cloudflare:workers` hands to the tests: the bindings of wrangler.toml and the exports of the Worker. */

import type { LabEnv } from '../../lab/workers/env.ts';

declare global {
  namespace Cloudflare {
    interface Env extends SluiceEnv {}
    interface GlobalProps {
      mainModule: typeof import('../../workers/index.ts');
      durableNamespaces: 'Shard' | 'BenchShard' | 'BenchObject' | 'LoadObject' | 'Namespace' | 'Registry';
    }
  }
}

type SluiceEnv = LabEnv;
