/** What is shown of reports: rates, percentiles, states, and whether all is well. */

import { describe, expect, test } from 'vitest';
import { buildView } from '../../../src/monitor/build-view.ts';
import { ReportBook } from '../../../src/monitor/report-book.ts';
import type { ShardReport } from '../../../src/monitor/shard-report.ts';
import type { MonitorView, SparkName } from '../../../src/monitor/view.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { reportOf } from './reports.ts';

const NO_SPARKS = {} as Record<SparkName, (number | null)[]>;

function viewOf(
  reports: readonly ShardReport[],
  nowMs: number,
  sinkNames: readonly string[] = [],
): MonitorView {
  const book = new ReportBook(new NodeSqlite());
  for (const report of reports) book.take(report, report.sentAtMs);
  return buildView({
    nowMs,
    version: '1',
    sinkNames,
    shards: book.all(),
    sparks: NO_SPARKS,
    databases: [],
    alerts: [],
    events: [],
  });
}

const FAULT = {
  code: 'database_refused',
  message: 'column "price" does not exist',
  atMs: 5_000,
  failuresInARow: 3,
  details: { by: 'postgres', sqlState: '42703' },
} as unknown as ShardReport['fault'];

describe('rates', () => {
  test('are those between the last reports, and nothing where the last one is old', () => {
    const reports = [0, 10_000].map((sentAtMs, index) =>
      reportOf({
        sentAtMs,
        number: index + 1,
        counters: { messages_received_total: index * 4_000, messages_committed_total: index * 3_000 },
      }),
    );
    expect(viewOf(reports, 10_000).all).toMatchObject({ receivedPerSecond: 400, committedPerSecond: 300 });
    expect(viewOf(reports, 40_000).all).toMatchObject({ receivedPerSecond: 0, committedPerSecond: 0 });
  });

  test('of several shards are added up, and percentiles are those of all', () => {
    const ofShard = (shard: number, ackMs: readonly number[]): ShardReport[] => [
      reportOf({ shard, sentAtMs: 0, number: 1 }),
      reportOf({ shard, sentAtMs: 10_000, number: 2, ackMs, counters: { messages_received_total: 10 } }),
    ];
    const many = Array.from({ length: 99 }, () => 2);
    const view = viewOf([...ofShard(0, many), ...ofShard(1, [5_000])], 10_000);
    expect(view.all.receivedPerSecond).toBe(2);
    expect(view.all.ackP50Ms).toBeCloseTo(2, 0);
    expect(view.all.ackP99Ms).toBeCloseTo(2, 0);
    const [sink] = view.sinks;
    expect(sink?.shards[1]?.ackP50Ms).toBeGreaterThan(4_500);
    expect(sink?.shards[0]?.ackP50Ms).toBeLessThan(3);
  });

  test('of acks are those of the last minute', () => {
    const reports = Array.from({ length: 20 }, (_, index) =>
      reportOf({
        sentAtMs: index * 10_000,
        number: index + 1,
        ackMs: [
          ...Array.from({ length: Math.min(index + 1, 8) }, () => 1_000),
          ...Array.from({ length: index }, () => 1),
        ],
      }),
    );
    expect(viewOf(reports.slice(0, 8), 70_000).all.ackP99Ms).toBeGreaterThan(900);
    expect(viewOf(reports, 190_000).all.ackP99Ms).toBeLessThan(2);
  });
});

describe('the oldest message', () => {
  const gauges = { queue_messages: 1, queue_oldest_timestamp_seconds: 9 };

  test('of a shard that writes is as old as it was when it reported', () => {
    expect(viewOf([reportOf({ gauges, sentAtMs: 10_000 })], 19_000).all.oldestMs).toBe(1_000);
  });

  test.each([
    ['retries', { state: 'retrying' }, 19_000],
    ['is silent', {}, 59_000],
  ] as const)('of one that %s grows older', (_, parts, nowMs) => {
    expect(viewOf([reportOf({ gauges, sentAtMs: 10_000, ...parts })], nowMs).all.oldestMs).toBe(
      nowMs - 9_000,
    );
  });
});

describe('states', () => {
  test.each([
    ['ok', {}, 10_000],
    ['asleep', { isLast: true }, 10_000],
    ['asleep', {}, 60_000],
    ['retrying', { state: 'retrying', gauges: { queue_messages: 5 } }, 10_000],
    ['paused', { state: 'paused', gauges: { queue_messages: 5 } }, 60_000],
    ['stopped', { state: 'stopped' }, 10_000],
    ['held', { state: 'held' }, 10_000],
    ['unknown', { gauges: { queue_messages: 5 } }, 60_000],
    ['busy', { gauges: { queue_messages: 5, queue_bytes: 60, queue_limit_bytes: 100 } }, 10_000],
    ['full', { gauges: { queue_messages: 5, queue_bytes: 100, queue_limit_bytes: 100 } }, 10_000],
  ] as const)('%s', (state, parts, nowMs) => {
    const view = viewOf([reportOf(parts)], nowMs);
    expect(view.sinks[0]).toMatchObject({ sink: 'readings', state, shards: [{ state }] });
  });

  test('of a sink is the worst of its shards, and a sink that is defined is shown before any reports', () => {
    const view = viewOf(
      [reportOf({ shard: 0 }), reportOf({ shard: 1, state: 'paused', stateSinceMs: 7 })],
      10_000,
      ['readings', 'trades'],
    );
    expect(view.sinks).toMatchObject([
      { sink: 'readings', state: 'paused', stateSinceMs: 7 },
      { sink: 'trades', state: 'asleep', shards: [] },
    ]);
  });
});

describe('health', () => {
  test.each([
    ['ok', [], {}, 10_000],
    ['failing', ['paused'], { state: 'paused', fault: FAULT }, 10_000],
    ['failing', ['stopped'], { state: 'stopped' }, 10_000],
    ['failing', ['held'], { state: 'held' }, 10_000],
    [
      'failing',
      ['queue-full'],
      { gauges: { queue_messages: 1, queue_messages_limit: 1, queue_limit_messages: 1 } },
      10_000,
    ],
    ['degraded', ['retrying'], { state: 'retrying', fault: FAULT }, 10_000],
    ['degraded', ['deaf'], { gauges: { queue_messages: 1 } }, 60_000],
    [
      'degraded',
      ['queue-old'],
      { gauges: { queue_messages: 1, queue_oldest_timestamp_seconds: 1 } },
      62_500,
      62_000,
    ],
    [
      'degraded',
      ['dead-letters-near-full'],
      { gauges: { dead_letters: 80, dead_letters_limit: 100 } },
      10_000,
    ],
    ['ok', [], { gauges: { dead_letters: 79, dead_letters_limit: 100 } }, 10_000],
    ['ok', [], { gauges: { queue_messages: 1, queue_oldest_timestamp_seconds: 1 } }, 60_000, 59_000],
  ] as const)('%s: %j', (status, reasons, parts, nowMs, sentAtMs?: number) => {
    const { health } = viewOf([reportOf({ ...(parts as object), sentAtMs: sentAtMs ?? 10_000 })], nowMs);
    expect(health.status).toBe(status);
    expect(health.sinks).toEqual({ readings: status });
    expect(health.reasons.map(({ reason }) => reason)).toEqual(reasons);
  });

  test('names what is wrong, since when, and by which SQLSTATE; the worst comes first', () => {
    const { health } = viewOf(
      [
        reportOf({ shard: 0, state: 'retrying', stateSinceMs: 1_000, fault: FAULT }),
        reportOf({
          shard: 1,
          state: 'paused',
          stateSinceMs: 2_000,
          fault: FAULT,
          gauges: { queue_messages: 18_200 },
        }),
      ],
      10_000,
    );
    expect(health.reasons).toMatchObject([
      { shard: 1, reason: 'paused', sinceMs: 2_000, code: 'database_refused', sqlState: '42703' },
      { shard: 0, reason: 'retrying', sinceMs: 1_000 },
    ]);
    expect(health.reasons[0]?.message).toBe(
      'It has paused: column "price" does not exist. 18200 messages wait',
    );
  });
});
