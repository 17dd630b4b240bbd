/** The name of a shard of one measurement: all that it is, so that it needs neither storage nor a request to know it. */

import type { BenchSinkSpec } from '../suites/ingest/bench-sink.ts';

export interface BenchShardName {
  bench: string;
  /** Null: it only counts frames. */
  spec: BenchSinkSpec | null;
  driver: string | null;
  shard: number;
}

/** The text that names the Durable Object. */
export function encodeBenchShardName(name: BenchShardName): string {
  return JSON.stringify(name);
}

export function decodeBenchShardName(text: string): BenchShardName {
  return JSON.parse(text) as BenchShardName;
}
