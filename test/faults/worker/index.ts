/** The Worker of the fault lab: the production Worker, whose shards take orders. */

import type { Env } from '../../../workers/env.ts';
import sluice from '../../../workers/index.ts';
import { control } from './control.ts';

export { BenchObject, LoadObject, Namespace, Registry } from '../../../workers/index.ts';
export { FaultShard as BenchShard, FaultShard as Shard } from './fault-shard.ts';

export default {
  fetch(request: Request, env: Env, context: ExecutionContext): Response | Promise<Response> {
    const isControl = new URL(request.url).pathname.startsWith('/faults/');
    return (isControl ? control : sluice).fetch(request, env, context);
  },
};
