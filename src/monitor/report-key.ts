/** Names a shard in the monitor's tables in memory. Sinks have no slash in their names. */

export function reportKey({ sink, shard }: { sink: string; shard: number }): string {
  return `${sink}/${shard}`;
}
