/** `GET /stats`: the figures of every shard, per sink. `?sink=` asks for one. */

import { Hono } from 'hono';
import { assertKnownNames } from '../../src/core/option-table.ts';
import { percentileMs } from '../../src/monitor/buckets.ts';
import { requireRole } from '../access.ts';
import { bound } from '../bound.ts';
import type { Env } from '../env.ts';
import { isInRange, listedShards } from '../listed-shards.ts';
import type { ShardStats } from '../objects.ts';
import { encodeShardName } from '../shard-name.ts';
import type { Sinks } from '../sinks.ts';

export function statsRoutes(sinks: Sinks): Hono<{ Bindings: Env }> {
  const statsRoute = new Hono<{ Bindings: Env }>();

  statsRoute.get('/stats', requireRole('read'), async (context) => {
    const shardObjects = bound(context.env, 'SHARD');
    const { sink: asked } = context.req.query();
    assertKnownNames(context.req.query(), ['sink']);
    const listed = await listedShards(sinks, context.env, asked);
    if (asked !== undefined && !listed.has(asked)) throw sinks.unknown(context.env, asked);
    const figures = await Promise.all(
      [...listed].map(async ([name, numbers]) => {
        const options = sinks.find(context.env, name)?.options ?? null;
        const shards = await Promise.all(
          numbers.map((shard) => shardObjects.getByName(encodeShardName({ sink: name, shard })).stats()),
        );
        return [name, { options, shards: shards.filter(isOfInterest).map(presentStats) }] as const;

        // One that no option names is shown for what it holds.
        function isOfInterest({ shard, buffered, deadLetters, sockets }: ShardStats): boolean {
          return isInRange(sinks, context.env, name, shard) || buffered + deadLetters + sockets > 0;
        }
      }),
    );
    return context.json({
      sinks: Object.fromEntries(
        figures.filter(([, { options, shards }]) => options !== null || shards.length > 0),
      ),
    });
  });
  return statsRoute;
}

/** A shard's figures for people: percentiles instead of buckets, times as ISO text. */
function presentStats({ latency, lastErrorAtMs, sinceMs, troubleSinceMs, ...stats }: ShardStats) {
  return {
    ...stats,
    lastErrorAt: isoOf(lastErrorAtMs),
    troubleSince: isoOf(troubleSinceMs),
    flushLatencyMs: { p50: percentileMs(latency, 0.5), p99: percentileMs(latency, 0.99) },
    since: new Date(sinceMs).toISOString(),
  };
}

function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
