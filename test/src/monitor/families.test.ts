import { describe, expect, test } from 'vitest';
import { ExponentialHistogram } from '../../../src/core/exponential-histogram.ts';
import {
  type Family,
  familiesOf,
  MAX_HISTOGRAM_LABEL_VALUES,
  MAX_LABEL_VALUES,
  MAX_POINTS,
} from '../../../src/monitor/families.ts';
import type { ShardReport } from '../../../src/monitor/shard-report.ts';
import { fullReport, fullSources } from './full-report.ts';

const pointsOf = (families: readonly Family[], name: string) =>
  families.find(({ metric }) => metric.name === name)?.points ?? [];

const leftOut = (families: readonly Family[]) => pointsOf(families, 'monitor_points_left_out')[0]?.value;

function familiesOfReports(...parts: Partial<ShardReport>[]): Family[] {
  return familiesOf(fullSources(parts.map((part) => fullReport(part))));
}

describe('families', () => {
  test('nothing is left out of a report that is as it should be', () => {
    expect(leftOut(familiesOfReports({}, { shard: 1 }))).toBe(0);
  });

  test.each<[string, Partial<ShardReport>, number]>([
    [
      'twice the same',
      {
        counters: [
          ['batches_total', '', 1],
          ['batches_total', 'ignored', 2],
        ],
      },
      1,
    ],
    ['unknown', { counters: [['of_another_version_total', '', 1] as never] }, 1],
    [
      'no number',
      {
        gauges: [
          ['sockets', 'v1', Number.NaN],
          ['queue_bytes', '', Number.POSITIVE_INFINITY],
        ],
      },
      2,
    ],
    ['of a database', { gauges: [['postgres_connections', 'idle', 3] as never] }, 1],
    ['of the monitor', { gauges: [['monitor_storage_bytes', '', 3] as never] }, 1],
    ['a number as a histogram', { histograms: [['batch_messages', '', 3] as never] }, 1],
    [
      'a histogram of fractions',
      { histograms: [['batch_messages', '', { count: 1, sum: 1, max: 1, indexes: [1], counts: [0.5] }]] },
      1,
    ],
  ])('what is %s is left out and counted', (_, part, count) => {
    const none = { counters: [], gauges: [], histograms: [] };
    const families = familiesOfReports({ ...none, ...part });
    expect(leftOut(families)).toBe(count);
  });

  test('a shard that is there twice is shown once', () => {
    const families = familiesOfReports({}, {});
    expect(pointsOf(families, 'queue_bytes')).toHaveLength(1);
    expect(leftOut(families)).toBeGreaterThan(10);
  });

  test('a label has a bounded number of values, of a bounded length, and the metrics after it are there', () => {
    const snapshot = new ExponentialHistogram().snapshot();
    const families = familiesOfReports({
      counters: [
        ...Array.from({ length: 100 }, (_, n) => ['retries_total', `${n}`, n] as const),
        ['sockets_closed_total', 'é'.repeat(1_000), 1],
      ],
      histograms: Array.from({ length: 10 }, (_, n) => ['ack_duration_seconds', `${n}`, snapshot] as const),
    });
    expect(pointsOf(families, 'retries_total')).toHaveLength(MAX_LABEL_VALUES);
    expect(pointsOf(families, 'ack_duration_seconds')).toHaveLength(MAX_HISTOGRAM_LABEL_VALUES);
    expect(pointsOf(families, 'sockets_closed_total')[0]?.labels.at(-1)?.[1]).toHaveLength(128);
    expect(leftOut(families)).toBe(100 - MAX_LABEL_VALUES + 10 - MAX_HISTOGRAM_LABEL_VALUES);
  });

  test('with too many shards the last ones are left out, and what the monitor says of itself is there', () => {
    const families = familiesOf(
      fullSources(Array.from({ length: 1_000 }, (_, shard) => fullReport({ shard, histograms: [] }))),
    );
    const shown = families.filter(({ metric: { of } }) => of !== 'monitor').flatMap(({ points }) => points);
    expect(shown).toHaveLength(MAX_POINTS);
    expect(leftOut(families)).toBeGreaterThan(1_000);
    expect(pointsOf(families, 'build_info')).toHaveLength(1);
  });
});
