/** What happened between two reports of a shard. */

import { bucketsSince } from './buckets.ts';
import type { CounterName, GaugeName } from './metrics.ts';
import { POINT_PEAKS, POINT_SUMS, type Point, type PointPeak, type PointSum } from './point.ts';
import { ACK_LEVELS, bucketsOf, sampleValue } from './report-samples.ts';
import type { ShardReport } from './shard-report.ts';

const COUNTERS: Record<PointSum, CounterName> = {
  received: 'messages_received_total',
  committed: 'messages_committed_total',
  dead: 'messages_dead_total',
  refused: 'messages_refused_total',
  duplicate: 'messages_duplicate_total',
  retries: 'retries_total',
  rowsWritten: 'storage_rows_written_total',
  batches: 'batches_total',
};

const GAUGES: Record<Exclude<PointPeak, 'oldestMs'>, readonly [GaugeName, string?]> = {
  queueMessages: ['queue_messages'],
  queueBytes: ['queue_bytes'],
  outboxBytes: ['outbox_bytes'],
  deadLetters: ['dead_letters'],
  sockets: ['sockets'],
  connectionsOpen: ['database_connections', 'open'],
  connectionsBusy: ['database_connections', 'busy'],
};

/** @param older the report before; undefined for the first one that is known of the shard */
export function pointOf(older: ShardReport | undefined, newer: ShardReport): Point {
  const point = {} as Point;
  for (const name of POINT_SUMS) {
    const now = sampleValue(newer.counters, COUNTERS[name]);
    const before = older === undefined ? now : sampleValue(older.counters, COUNTERS[name]);
    // A shard whose storage was lost begins again.
    point[name] = now >= before ? now - before : now;
  }
  for (const name of POINT_PEAKS) {
    if (name === 'oldestMs') point[name] = oldestMs(newer, newer.sentAtMs);
    else point[name] = sampleValue(newer.gauges, ...GAUGES[name]);
  }
  // Histograms begin with the object: one that was started since has all of its own.
  const isSameObject = older?.sinceMs === newer.sinceMs;
  point.ack = bucketsSince(
    isSameObject ? bucketsOf(older, 'ack_duration_seconds', ACK_LEVELS) : undefined,
    bucketsOf(newer, 'ack_duration_seconds', ACK_LEVELS),
  );
  point.flush = bucketsSince(
    isSameObject ? bucketsOf(older, 'flush_duration_seconds') : undefined,
    bucketsOf(newer, 'flush_duration_seconds'),
  );
  return point;
}

/** How old the oldest message was at a time that waited at the report; 0 where none did. */
export function oldestMs({ gauges }: ShardReport, nowMs: number): number {
  const receivedAtS = sampleValue(gauges, 'queue_oldest_timestamp_seconds');
  return receivedAtS === 0 ? 0 : Math.max(0, nowMs - receivedAtS * 1_000);
}
