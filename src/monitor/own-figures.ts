/** What the monitor says of itself and of how many shards it knows. */

import { ALERT_RULES } from './alerts/rules.ts';
import { DEAF_AFTER_MS } from './build-view.ts';
import type { MonitorMetricName } from './metrics.ts';
import { sampleValue } from './report-samples.ts';
import type { Sample, StoredReport } from './shard-report.ts';
import type { AlertView } from './view.ts';

const SHARD_STATES = ['awake', 'asleep', 'deaf'] as const;

export interface OwnSources {
  nowMs: number;
  version: string;
  reports: readonly StoredReport[];
  storageBytes: number;
  /** Those that fire or are pending. */
  alerts: readonly Pick<AlertView, 'rule' | 'state'>[];
  /** How deliveries of alerts went. */
  receivers: readonly { failedTries: number }[];
}

export function ownFigures(sources: OwnSources): Sample<MonitorMetricName>[] {
  const { nowMs, version, reports, storageBytes, alerts, receivers } = sources;
  const states = reports.map((stored) => shardState(stored, nowMs));
  return [
    ['build_info', version, 1],
    ...SHARD_STATES.map(
      (state) => ['monitor_shards', state, states.filter((one) => one === state).length] as const,
    ),
    ['monitor_storage_bytes', '', storageBytes],
    // A rule that does not fire is there with 0: an alert that ends would leave a gap otherwise, and no end.
    ...ALERT_RULES.map(({ name }) => {
      const firing = alerts.filter(({ rule, state }) => rule === name && state === 'firing');
      return ['alerts_firing', name, firing.length] as const;
    }),
    ['alert_deliveries_failed_total', '', receivers.reduce((sum, { failedTries }) => sum + failedTries, 0)],
  ];
}

function shardState({ report, receivedAtMs }: StoredReport, nowMs: number): (typeof SHARD_STATES)[number] {
  if (report.isLast) return 'asleep';
  if (nowMs - receivedAtMs <= DEAF_AFTER_MS) return 'awake';
  // One that has gone without a last word, as in a deployment, has nothing that waits.
  return sampleValue(report.gauges, 'queue_messages') > 0 ? 'deaf' : 'asleep';
}
