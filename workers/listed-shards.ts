/** Which shards there are: those that options name, and those that hold something though none does. */

import type { Env } from './env.ts';
import { logFailure } from './log.ts';
import type { ShardPlace } from './objects.ts';
import { shardDirectory } from './shard-directory.ts';
import type { Sinks } from './sinks.ts';

/**
 * The numbers of a sink's shards, or of all sinks' where none is named, by the sinks' names. Without the directory those that
 * options name are still listed.
 *
 * @returns a name is missing where the sink is not defined and no shard of it is in the directory
 */
export async function listedShards(sinks: Sinks, env: Env, sink?: string): Promise<Map<string, number[]>> {
  const shards = new Map<string, number[]>();
  for (const name of sink === undefined ? sinks.names(env) : [sink]) {
    const defined = sinks.find(env, name);
    if (defined !== undefined)
      shards.set(
        name,
        Array.from({ length: defined.options.shards }, (_, shard) => shard),
      );
  }
  for (const { sink: name, shard } of await placesOf(env, sink)) {
    const numbers = shards.get(name) ?? [];
    if (!numbers.includes(shard)) numbers.push(shard);
    shards.set(name, numbers);
  }
  return shards;
}

async function placesOf(env: Env, sink: string | undefined): Promise<ShardPlace[]> {
  try {
    return await shardDirectory(env).listShards(sink);
  } catch (error) {
    logFailure('The directory of shards failed', error);
    return [];
  }
}

/** True where the sink's options name the shard. */
export function isInRange(sinks: Sinks, env: Env, sink: string, shard: number): boolean {
  return shard < (sinks.find(env, sink)?.options.shards ?? 0);
}
