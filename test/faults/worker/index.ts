/** The Worker of the fault lab: the production Worker, whose shards take orders. */

import type { Env } from '../../../workers/env.ts';
import { router } from '../../../workers/router.ts';
import { control } from './control.ts';

export { BenchObject } from '../../../lab/workers/bench-object.ts';
export { LoadObject } from '../../../lab/workers/load-object.ts';
export { Namespace } from '../../../workers/namespace.ts';
export { Registry } from '../../../workers/registry.ts';
export { FaultShard as Shard } from './fault-shard.ts';

export default {
  fetch(request: Request, env: Env, context: ExecutionContext): Response | Promise<Response> {
    const isControl = new URL(request.url).pathname.startsWith('/faults/');
    return (isControl ? control : router).fetch(request, env, context);
  },
};
