/** The public surface of `sluice/lab` in a Worker: the bench under `/bench`, as a part of `createSluice`. */

import type { Hono } from 'hono';
import type { DurableObjectClass, LabClasses, SluicePart } from '../../workers/create-sluice.ts';
import type { Env } from '../../workers/env.ts';
import { BenchObject } from './bench-object.ts';
import { benchRoutes } from './bench-routes.ts';
import { BenchShard } from './bench-shard.ts';
import { LoadObject } from './load-object.ts';

/** The classes are bound as BENCH_SHARD, BENCH_OBJECT and LOAD_OBJECT; the variable BENCH opens the route. */
export const lab: SluicePart<LabClasses> = {
  help: ['GET /bench      compares the ways of writing on this database'],
  routes: () => benchRoutes as unknown as Hono<{ Bindings: Env }>,
  classes: {
    BenchShard: BenchShard as unknown as DurableObjectClass,
    BenchObject: BenchObject as unknown as DurableObjectClass,
    LoadObject: LoadObject as unknown as DurableObjectClass,
  },
};
