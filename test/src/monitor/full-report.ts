/** A report with a value of every metric that a shard, a database and the monitor have, with awkward labels. */

import { ExponentialHistogram } from '../../../src/core/exponential-histogram.ts';
import type { FigureSources } from '../../../src/monitor/families.ts';
import { METRICS } from '../../../src/monitor/metrics.ts';
import { ownFigures } from '../../../src/monitor/own-figures.ts';
import type {
  DatabaseReport,
  HistogramSample,
  Sample,
  ShardReport,
} from '../../../src/monitor/shard-report.ts';
import { reportOf } from './reports.ts';

export const AWKWARD = 'C:\\dir "quoted"\nnext line, {}=é 🚿';

export const NOW_MS = Date.UTC(2026, 10, 30, 12);

function isReported({ of = 'shard', name }: (typeof METRICS)[number]): boolean {
  return of === 'shard' && name !== 'report_timestamp_seconds';
}

const samplesOf = (type: 'counter' | 'gauge', of: 'shard' | 'database'): Sample[] =>
  METRICS.filter((metric) => metric.type === type && (metric.of ?? 'shard') === of)
    .filter((metric) => of === 'database' || isReported(metric))
    .flatMap(({ name, label }, index): Sample[] =>
      label === undefined
        ? [[name, '', index + 0.5]]
        : [
            [name, AWKWARD, index],
            [name, 'other', 1e21],
          ],
    );

function histograms(): HistogramSample[] {
  return METRICS.filter(({ type }) => type === 'histogram').flatMap(({ name, label, unit }) => {
    const histogram = new ExponentialHistogram();
    for (let value = 1; value <= 1_000; value += 1) histogram.record(unit === 's' ? value / 1_000 : value);
    histogram.record(0, 5);
    histogram.record(1e6);
    const labels = label === undefined ? [''] : ['stored', AWKWARD];
    return labels.map((one) => [name, one, histogram.snapshot()] as unknown as HistogramSample);
  });
}

export function fullReport(parts: Partial<ShardReport> = {}): ShardReport {
  return {
    ...reportOf(),
    sinceMs: NOW_MS - 3_600_000,
    sentAtMs: NOW_MS - 1_000,
    counters: samplesOf('counter', 'shard') as unknown as ShardReport['counters'],
    gauges: samplesOf('gauge', 'shard') as unknown as ShardReport['gauges'],
    histograms: histograms(),
    ...parts,
  };
}

const DATABASE: DatabaseReport = {
  address: 'db.example:5432/app',
  atMs: NOW_MS - 10_000,
  serverVersion: '18.4',
  samples: [
    ...samplesOf('counter', 'database'),
    ...samplesOf('gauge', 'database'),
  ] as unknown as DatabaseReport['samples'],
  hidden: [],
};

export function fullSources(reports: readonly ShardReport[] = [fullReport()]): FigureSources {
  const stored = reports.map((report) => ({ report, receivedAtMs: NOW_MS - 500 }));
  return {
    nowMs: NOW_MS,
    reports: stored,
    databases: [DATABASE],
    own: ownFigures({
      nowMs: NOW_MS,
      version: '1.2.3',
      reports: stored,
      storageBytes: 4_096,
      alerts: [],
      receivers: [],
    }),
  };
}
