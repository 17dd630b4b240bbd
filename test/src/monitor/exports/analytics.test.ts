import { describe, expect, test } from 'vitest';
import { ExponentialHistogram } from '../../../../src/core/exponential-histogram.ts';
import {
  ANALYTICS_MS,
  AnalyticsExporter,
  MAX_POINTS_AT_ONCE,
} from '../../../../src/monitor/exports/analytics-exporter.ts';
import {
  ANALYTICS_BLOBS,
  ANALYTICS_DOUBLES,
  type AnalyticsPoint,
  analyticsPoint,
} from '../../../../src/monitor/exports/analytics-point.ts';
import { METRICS } from '../../../../src/monitor/metrics.ts';
import type { ShardReport } from '../../../../src/monitor/shard-report.ts';
import { type ReportParts, reportOf } from '../reports.ts';
import { newFigures } from './figures.ts';

const placeOf = (meaning: string): number => ANALYTICS_DOUBLES.findIndex(([name]) => name === meaning);
const valueIn = (point: AnalyticsPoint | undefined, meaning: string) => point?.doubles[placeOf(meaning)];

/** What the platform refuses. */
function datasetOf(points: AnalyticsPoint[]) {
  return {
    writeDataPoint(point: AnalyticsPoint): void {
      const bytes = (text: string) => new TextEncoder().encode(text).length;
      if (point.doubles.length > 20 || point.blobs.length > 20 || point.indexes.length !== 1)
        throw new Error('too many fields');
      if (point.doubles.some((double) => !Number.isFinite(double))) throw new Error('no number');
      if (bytes(point.indexes[0]) > 96) throw new Error('the index is too long');
      if (point.blobs.reduce((sum, blob) => sum + bytes(blob), 0) > 5_120)
        throw new Error('blobs are too long');
      points.push(point);
    },
  };
}

describe('a point', () => {
  test('has a number for every place, of a metric that there is', () => {
    expect([ANALYTICS_DOUBLES.length, ANALYTICS_BLOBS.length]).toEqual([20, 6]);
    const names = METRICS.map(({ name }) => name);
    for (const [meaning, source] of ANALYTICS_DOUBLES)
      if ('metric' in source) expect(names, meaning).toContain(source.metric);
  });

  test('counts since the one before, and shows the rest as it is', () => {
    const ack = (values: readonly number[]) => {
      const histogram = new ExponentialHistogram();
      for (const value of values) histogram.record(value);
      return [['ack_duration_seconds', 'stored', histogram.snapshot()]] as const;
    };
    const before = reportOf({ counters: { messages_received_total: 100 } });
    before.histograms = ack([9, 9, 9]);
    const report = reportOf({
      state: 'paused',
      counters: { messages_received_total: 130, batches_total: 4 },
      gauges: { queue_messages: 7, queue_oldest_timestamp_seconds: 40 },
      connections: { open: 3, busy: 2 },
      fault: { code: 'undefined_column', message: 'no', atMs: 1, failuresInARow: 1, details: null },
    });
    report.histograms = ack([9, 9, 9, 0.1, 0.1]);
    const point = analyticsPoint(before, { report, receivedAtMs: 50_000 });
    expect(valueIn(point, 'received')).toBe(30);
    expect(valueIn(point, 'batches')).toBe(4);
    expect(valueIn(point, 'queue, messages')).toBe(7);
    expect(valueIn(point, 'connections to Postgres')).toBe(3);
    expect(valueIn(point, 'age of the oldest message, seconds')).toBe(10);
    expect(Math.abs((valueIn(point, 'ack p99, seconds') as number) / 0.1 - 1)).toBeLessThan(0.03);
    expect(point.blobs).toEqual(['readings', '0', 'paused', '1', 'undefined_column', '']);
    expect(point.indexes).toEqual(['readings/0']);
  });

  test('a shard that begins again counts from there, and a first report counts nothing', () => {
    const counted = (received: number) => reportOf({ counters: { messages_received_total: received } });
    const receivedIn = (before: ShardReport | undefined, report: ShardReport) =>
      valueIn(analyticsPoint(before, { report, receivedAtMs: 0 }), 'received');
    expect(receivedIn(counted(100), counted(5))).toBe(5);
    expect(receivedIn(undefined, counted(5))).toBe(0);
  });

  test.each(['é'.repeat(200), 'a'.repeat(200), `a${'🚿'.repeat(60)}`])(
    'is within the limits for a long name',
    (sink) => {
      const points: AnalyticsPoint[] = [];
      const report = reportOf({ sink, shard: 12, version: 'v'.repeat(500) });
      datasetOf(points).writeDataPoint(analyticsPoint(undefined, { report, receivedAtMs: 0 }));
      expect(points[0]?.indexes[0]).toMatch(/^[^\ufffd]+\/12$/);
    },
  );
});

describe('the exporter', () => {
  function start(known: ShardReport[] = []) {
    const points: AnalyticsPoint[] = [];
    const exporter = new AnalyticsExporter(
      datasetOf(points),
      known.map((report) => ({ report, receivedAtMs: 0 })),
    );
    const push = (nowMs: number, ...reports: ReportParts[]) =>
      exporter.push({ ...newFigures(reports.map(reportOf)), nowMs });
    const received = (count: number): ReportParts => ({ counters: { messages_received_total: count } });
    return { points, exporter, push, received };
  }

  test('writes a point of a shard once a minute, and what was counted between is in it', async () => {
    const { points, push, received } = start([reportOf({})]);
    for (let n = 1; n <= 13; n += 1) await push(n * 10_000, received(n));
    expect(points.map((point) => valueIn(point, 'received'))).toEqual([1, 6, 6]);
  });

  test('writes the last word of a shard at once', async () => {
    const { points, push, received } = start([reportOf({})]);
    await push(0, received(1));
    await push(1_000, { ...received(3), isLast: true });
    expect(points.map((point) => valueIn(point, 'received'))).toEqual([1, 2]);
  });

  test('writes 25 at most, and each shard has its turn', async () => {
    const { points, exporter, push, received } = start(
      Array.from({ length: 60 }, (_, shard) => reportOf({ shard })),
    );
    const all = (count: number) => Array.from({ length: 60 }, (_, shard) => ({ ...received(count), shard }));
    for (let n = 1; n <= 3; n += 1) {
      await push(n * 10_000, ...all(n));
      expect(points.length).toBe(Math.min(60, n * MAX_POINTS_AT_ONCE));
    }
    expect(new Set(points.map(({ blobs }) => blobs[1])).size).toBe(60);
    await push(10_000 + ANALYTICS_MS, ...all(10));
    expect(points.length).toBe(60 + MAX_POINTS_AT_ONCE);
    // Nothing is counted twice or lost: the first 25 have both points.
    const sum = points.filter(({ blobs }) => blobs[1] === '0').map((point) => valueIn(point, 'received'));
    expect(sum.reduce<number>((all, one) => all + (one ?? 0), 0)).toBe(10);
    expect(exporter.counts).toEqual({ sent: 85, lost: 0 });
  });

  test('a point that is refused is counted', async () => {
    const exporter = new AnalyticsExporter(
      {
        writeDataPoint() {
          throw new Error('no');
        },
      },
      [],
    );
    await exporter.push(newFigures([reportOf({})]));
    expect(exporter.counts).toEqual({ sent: 0, lost: 1 });
  });
});
