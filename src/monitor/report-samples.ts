/** Reading a report's figures by their names. */

import { type Buckets, NO_BUCKETS } from './buckets.ts';
import type { CounterName, GaugeName, HistogramName } from './metrics.ts';
import type { Sample, ShardReport } from './shard-report.ts';

/** A metric's value: the sum over its labels, or that of one of them. 0 where the report has none. */
export function sampleValue(
  samples: readonly Sample<string>[],
  metric: CounterName | GaugeName,
  label?: string,
): number {
  let sum = 0;
  for (const [name, itsLabel, value] of samples)
    if (name === metric && (label === undefined || itsLabel === label)) sum += value;
  return sum;
}

/** The first of several labels that a histogram has something of. */
export function bucketsOf(
  report: ShardReport,
  metric: HistogramName,
  labels: readonly string[] = [''],
): Buckets {
  for (const label of labels) {
    const found = report.histograms.find(([name, itsLabel]) => name === metric && itsLabel === label);
    if (found !== undefined && found[2].count > 0) return found[2];
  }
  return NO_BUCKETS;
}

/**
 * The histogram of acks that stands for a shard: that of `stored`, which is what clients wait for; where there is no outbox, that of
 * `committed`.
 */
export const ACK_LEVELS = ['stored', 'taken', 'committed'] as const;
