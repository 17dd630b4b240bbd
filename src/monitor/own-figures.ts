/** What the monitor says of itself and of how many shards it knows. */

import { DEAF_AFTER_MS } from './build-view.ts';
import type { MonitorMetricName } from './metrics.ts';
import { sampleValue } from './report-samples.ts';
import type { Sample, StoredReport } from './shard-report.ts';

const SHARD_STATES = ['awake', 'asleep', 'deaf'] as const;

export interface OwnSources {
  nowMs: number;
  version: string;
  reports: readonly StoredReport[];
  storageBytes: number;
}

export function ownFigures({
  nowMs,
  version,
  reports,
  storageBytes,
}: OwnSources): Sample<MonitorMetricName>[] {
  const states = reports.map((stored) => shardState(stored, nowMs));
  return [
    ['build_info', version, 1],
    ...SHARD_STATES.map(
      (state) => ['monitor_shards', state, states.filter((one) => one === state).length] as const,
    ),
    ['monitor_storage_bytes', '', storageBytes],
  ];
}

function shardState({ report, receivedAtMs }: StoredReport, nowMs: number): (typeof SHARD_STATES)[number] {
  if (report.isLast) return 'asleep';
  if (nowMs - receivedAtMs <= DEAF_AFTER_MS) return 'awake';
  // One that has gone without a last word, as in a deployment, has nothing that waits.
  return sampleValue(report.gauges, 'queue_messages') > 0 ? 'deaf' : 'asleep';
}
