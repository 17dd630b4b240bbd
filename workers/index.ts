/** The door: the Worker's fetch handler and the Durable Object classes that wrangler.toml names. */

import { router } from './router.ts';

export { BenchObject } from '../lab/workers/bench-object.ts';
export { LoadObject } from '../lab/workers/load-object.ts';
export { Namespace } from './namespace.ts';
export { Registry } from './registry.ts';
export { Shard } from './shard.ts';

export default { fetch: router.fetch };
