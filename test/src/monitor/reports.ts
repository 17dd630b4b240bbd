/** Reports for the tests of the monitor. */

import { ExponentialHistogram } from '../../../src/core/exponential-histogram.ts';
import type { CounterName, GaugeName } from '../../../src/monitor/metrics.ts';
import type { ShardReport } from '../../../src/monitor/shard-report.ts';

export interface ReportParts extends Partial<Omit<ShardReport, 'counters' | 'gauges' | 'histograms'>> {
  counters?: Partial<Record<CounterName, number>>;
  gauges?: Partial<Record<GaugeName, number>>;
  connections?: { open: number; busy: number };
  ackMs?: readonly number[];
  flushMs?: readonly number[];
}

/** A report of shard 0 of `readings`, which is well. */
export function reportOf(parts: ReportParts = {}): ShardReport {
  const { counters = {}, gauges = {}, ackMs = [], flushMs = [], connections, ...rest } = parts;
  return {
    sink: 'readings',
    shard: 0,
    sinceMs: 0,
    sentAtMs: 10_000,
    number: 1,
    isLast: false,
    version: '1',
    state: 'running',
    stateSinceMs: 0,
    fault: null,
    producers: [],
    events: [],
    database: null,
    ...rest,
    counters: Object.entries(counters).map(([name, value]) => [name as CounterName, '', value]),
    gauges: [
      ...Object.entries(gauges).map(([name, value]) => [name as GaugeName, '', value] as const),
      ...Object.entries(connections ?? {}).map(
        ([state, value]) => ['database_connections', state, value] as const,
      ),
    ],
    histograms: [
      ['ack_duration_seconds', 'stored', histogramOf(ackMs)],
      ['flush_duration_seconds', '', histogramOf(flushMs)],
    ],
  };
}

function histogramOf(values: readonly number[]) {
  const histogram = new ExponentialHistogram();
  for (const ms of values) histogram.record(ms / 1_000);
  return histogram.snapshot();
}
