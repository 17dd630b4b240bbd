/**
 * A shard's figures as one data point of Workers Analytics Engine: twenty numbers, six texts and one index. What is counted is counted
 * since the last point of the shard, so that `sum(double1 * _sample_interval)` is right, over shards and over time.
 */

import { bucketsSince, percentileMs } from '../buckets.ts';
import type { CounterName, GaugeName } from '../metrics.ts';
import { oldestMs } from '../point-of.ts';
import { ACK_LEVELS, bucketsOf, sampleValue } from '../report-samples.ts';
import type { ShardReport, StoredReport } from '../shard-report.ts';

const counted = (metric: CounterName) => ({ kind: 'counted', metric }) as const;
const gauge = (metric: GaugeName, label?: string) => ({ kind: 'gauge', metric, label }) as const;
const seconds = (of: 'ack' | 'flush', quantile: number) => ({ kind: 'percentile', of, quantile }) as const;

/** double1 to double20. Their places never change: who has stored points asks for them by number. */
export const ANALYTICS_DOUBLES = [
  ['received', counted('messages_received_total')],
  ['stored', counted('messages_stored_total')],
  ['committed', counted('messages_committed_total')],
  ['dead', counted('messages_dead_total')],
  ['duplicate', counted('messages_duplicate_total')],
  ['refused', counted('messages_refused_total')],
  ['retries', counted('retries_total')],
  ['batches', counted('batches_total')],
  ['received bytes', counted('received_bytes_total')],
  ['rows written to storage', counted('storage_rows_written_total')],
  ['queue, messages', gauge('queue_messages')],
  ['queue, bytes', gauge('queue_bytes')],
  ['age of the oldest message, seconds', { kind: 'oldest' }],
  ['dead letters kept', gauge('dead_letters')],
  ['sockets', gauge('sockets')],
  ['connections to Postgres', gauge('database_connections', 'open')],
  ['ack p50, seconds', seconds('ack', 0.5)],
  ['ack p99, seconds', seconds('ack', 0.99)],
  ['flush p50, seconds', seconds('flush', 0.5)],
  ['flush p99, seconds', seconds('flush', 0.99)],
] as const satisfies readonly (readonly [meaning: string, source: Source])[];

type Source =
  | ReturnType<typeof counted>
  | ReturnType<typeof gauge>
  | ReturnType<typeof seconds>
  | { kind: 'oldest' };

/** blob1 to blob6. */
export const ANALYTICS_BLOBS = [
  'sink',
  'shard',
  'state',
  'version',
  'code of the last fault',
  'SQLSTATE of it',
] as const;

/** Bytes of an index. */
const MAX_INDEX_BYTES = 96;
const MAX_BLOB_LENGTH = 128;

export interface AnalyticsPoint {
  doubles: number[];
  blobs: string[];
  indexes: [string];
}

/**
 * @param before the report of the shard's last point; undefined where there was none: nothing is counted then, for nobody knows since
 * when
 */
export function analyticsPoint(
  before: ShardReport | undefined,
  { report, receivedAtMs }: StoredReport,
): AnalyticsPoint {
  const { sink, shard, state, version, fault } = report;
  const blobs = [sink, String(shard), state, version, fault?.code ?? '', fault?.details?.sqlState ?? ''];
  return {
    doubles: ANALYTICS_DOUBLES.map(([, source]) => numberOf(source, before, report, receivedAtMs)),
    blobs: blobs.map((text) => text.slice(0, MAX_BLOB_LENGTH).toWellFormed()),
    indexes: [indexOf(sink, shard)],
  };
}

function numberOf(
  source: Source,
  before: ShardReport | undefined,
  report: ShardReport,
  nowMs: number,
): number {
  switch (source.kind) {
    case 'counted': {
      const now = sampleValue(report.counters, source.metric);
      if (before === undefined) return 0;
      const then = sampleValue(before.counters, source.metric);
      // A shard whose storage was lost begins again.
      return now >= then ? now - then : now;
    }
    case 'gauge':
      return sampleValue(report.gauges, source.metric, source.label);
    case 'oldest':
      return oldestMs(report, nowMs) / 1_000;
    case 'percentile':
      return percentileSince(source.of, source.quantile, before, report);
  }
}

/** Of what was measured since the last point; 0 where nothing was, for a point has no empty places. */
function percentileSince(
  of: 'ack' | 'flush',
  quantile: number,
  before: ShardReport | undefined,
  report: ShardReport,
): number {
  const read = (one: ShardReport) =>
    of === 'ack'
      ? bucketsOf(one, 'ack_duration_seconds', ACK_LEVELS)
      : bucketsOf(one, 'flush_duration_seconds');
  const since = before?.sinceMs === report.sinceMs ? read(before) : undefined;
  return (percentileMs(bucketsSince(since, read(report)), quantile) ?? 0) / 1_000;
}

/** The sink's name is cut where it does not fit: what samples need is that two shards rarely share an index. */
function indexOf(sink: string, shard: number): string {
  const end = `/${shard}`;
  const bytes = new TextEncoder().encode(sink);
  if (bytes.length + end.length <= MAX_INDEX_BYTES) return sink + end;
  // A character that was cut in two is left out.
  return (
    new TextDecoder().decode(bytes.subarray(0, MAX_INDEX_BYTES - end.length)).replace(/\ufffd+$/, '') + end
  );
}
