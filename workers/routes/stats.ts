/** `GET /stats`: the figures of every shard, per sink. `?sink=` asks for one. */

import { Hono } from 'hono';
import { SluiceError } from '../../src/errors.ts';
import { LatencyHistogram } from '../../src/ingest/latency-histogram.ts';
import { assertKnownNames } from '../../src/option-table.ts';
import type { Env } from '../env.ts';
import type { ShardStats } from '../shard.ts';
import { encodeShardName } from '../shard-name.ts';
import { findSink, sinkNames } from '../sinks.ts';

export const statsRoute = new Hono<{ Bindings: Env }>();

statsRoute.get('/stats', async (context) => {
  const { sink: asked } = context.req.query();
  assertKnownNames(context.req.query(), ['sink']);
  const sinks = await Promise.all(
    (asked === undefined ? sinkNames(context.env) : [asked]).map(async (name) => {
      const sink = findSink(context.env, name);
      if (sink === undefined) {
        throw new SluiceError(
          'unknown_sink',
          `There is no sink ${JSON.stringify(name)}: there are ${sinkNames(context.env).join(', ')}`,
        );
      }
      const shards = await Promise.all(
        Array.from({ length: sink.options.shards }, (_, shard) =>
          context.env.SHARD.getByName(encodeShardName({ sink: name, shard })).stats(),
        ),
      );
      return [name, { options: sink.options, shards: shards.map(presentStats) }] as const;
    }),
  );
  return context.json({ sinks: Object.fromEntries(sinks) });
});

/** A shard's figures for people: percentiles instead of buckets, times as ISO text. */
function presentStats({ latency, lastErrorAtMs, sinceMs, ...stats }: ShardStats) {
  const histogram = new LatencyHistogram();
  histogram.merge(latency);
  return {
    ...stats,
    lastErrorAt: lastErrorAtMs === null ? null : new Date(lastErrorAtMs).toISOString(),
    flushLatencyMs: { p50: histogram.percentile(0.5) ?? null, p99: histogram.percentile(0.99) ?? null },
    since: new Date(sinceMs).toISOString(),
  };
}
