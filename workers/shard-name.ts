/**
 * The name of a shard says which it is: its sink and its number. So a shard that wakes up by its alarm alone knows what to
 * do, without storage and without a request.
 */

import type { ShardPlace } from './objects.ts';

/** The text that names the Durable Object: `readings/0`. */
export function encodeShardName({ sink, shard }: ShardPlace): string {
  return `${sink}/${shard}`;
}

export function decodeShardName(text: string): ShardPlace {
  const slash = text.lastIndexOf('/');
  return { sink: text.slice(0, slash), shard: Number(text.slice(slash + 1)) };
}
