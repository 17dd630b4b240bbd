/**
 * The name of a shard says all that it is: its sink, its number and, in a bench run, its options. So a shard that
 * wakes up by its alarm alone knows what to do, without storage and without a request.
 */

import type { BenchSinkSpec } from '../lab/suites/ingest/bench-sink.ts';

export type ShardName =
  | { sink: string; shard: number }
  /** A shard of one measurement. `spec: null`: it only counts frames. */
  | { bench: string; spec: BenchSinkSpec | null; driver: string | null; shard: number };

/** The text that names the Durable Object. */
export function encodeShardName(name: ShardName): string {
  return 'sink' in name ? `${name.sink}/${name.shard}` : JSON.stringify(name);
}

export function decodeShardName(text: string): ShardName {
  if (text.startsWith('{')) return JSON.parse(text) as ShardName;
  const slash = text.lastIndexOf('/');
  return { sink: text.slice(0, slash), shard: Number(text.slice(slash + 1)) };
}
