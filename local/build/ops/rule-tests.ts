/**
 * Tests of the rules for `promtool test rules`: each rule is quiet, fires, holds, and is quiet again. The time of these tests begins at 0,
 * and a series is written as `value x how many more` or `first + step x how many more`, a value each 5 s.
 */

import { ALERT_RULES } from '../../../src/monitor/alerts/rules.ts';
import { annotationsOf, quoted } from './alert-rules.ts';

const STEP_SECONDS = 5;

interface Scenario {
  series: Record<string, string>;
  /** Seconds at which it is quiet; the last one is long after the end of the trouble. */
  quiet: readonly [before: number, after: number];
  /** Seconds at which it fires, from the first to the last. */
  fires: readonly [first: number, later: number];
  /** Labels of the alert, beside its severity. */
  labels: Record<string, string>;
}

const SHARD = { sink: 'readings', shard: '0' };

/** A series of a shard, with a further label if need be. */
const of = (metric: string, label = ''): string => `sluice_${metric}{sink="readings",shard="0"${label}}`;

const QUEUE_LIMITS = {
  [of('queue_limit_bytes')]: '100x400',
  [of('queue_limit_messages')]: '1000x400',
  [of('queue_messages')]: '5x400',
};

/** By the rules' names. The trouble ends after 60 steps, 300 s, where nothing else is said. */
const SCENARIOS: Record<string, Scenario> = {
  SluiceNotCommitting: {
    series: {
      [of('state', ',state="retrying"')]: '1x60 0x60',
      [of('last_commit_timestamp_seconds')]: '0x60 301+5x60',
      [of('last_try_timestamp_seconds')]: '0x60 301+5x60',
      [of('queue_oldest_timestamp_seconds')]: '1x60 0x60',
      [of('queue_messages')]: '10x60 0x60',
    },
    quiet: [5, 400],
    fires: [10, 295],
    labels: SHARD,
  },
  SluiceSinkPaused: {
    series: { [of('state', ',state="paused"')]: '0x5 1x60 0x60' },
    quiet: [20, 400],
    fires: [35, 295],
    labels: { ...SHARD, state: 'paused' },
  },
  SluiceSinkStopped: {
    series: { [of('state', ',state="stopped"')]: '0x5 1x60 0x60' },
    quiet: [20, 400],
    fires: [35, 295],
    labels: { ...SHARD, state: 'stopped' },
  },
  SluiceQueueFull: {
    series: { ...QUEUE_LIMITS, [of('queue_bytes')]: '10x5 96x60 10x60' },
    quiet: [30, 420],
    fires: [40, 330],
    labels: SHARD,
  },
  SluiceQueueFullSoon: {
    series: { ...QUEUE_LIMITS, [of('queue_bytes')]: '20+0.5x60 5x200' },
    quiet: [60, 900],
    fires: [180, 290],
    labels: SHARD,
  },
  SluiceQueueHalfFull: {
    series: { ...QUEUE_LIMITS, [of('queue_bytes')]: '10x5 60x60 10x100' },
    quiet: [45, 500],
    fires: [70, 330],
    labels: SHARD,
  },
  SluiceQueueOld: {
    series: {
      [of('queue_oldest_timestamp_seconds')]: '1x60 0x60',
      [of('queue_messages')]: '10x60 0x60',
      [of('state', ',state="running"')]: '1x120',
    },
    quiet: [60, 400],
    fires: [70, 295],
    labels: SHARD,
  },
  SluiceDeadLetters: {
    series: { [of('messages_dead_total', ',reason="23505"')]: '0x5 3x400' },
    quiet: [20, 1_200],
    fires: [60, 800],
    labels: SHARD,
  },
  SluiceDeadLettersNearFull: {
    series: { [of('dead_letters')]: '10x5 850x60 10x100', [of('dead_letters_limit')]: '1000x200' },
    quiet: [20, 500],
    fires: [40, 330],
    labels: SHARD,
  },
  SluiceErrorRateHigh: {
    series: {
      // Nothing was refused: there is no such series.
      [of('messages_dead_total', ',reason="22P02"')]: '0+5x60 300x200',
      [of('messages_received_total')]: '0+100x400',
    },
    quiet: [30, 900],
    fires: [120, 300],
    labels: SHARD,
  },
  SluiceAckSlow: {
    series: {
      [of('ack_duration_seconds_bucket', ',level="stored",le="4"')]: '0x300',
      [of('ack_duration_seconds_bucket', ',level="stored",le="8"')]: '0+10x120 1200x200',
      [of('ack_duration_seconds_bucket', ',level="stored",le="+Inf"')]: '0+10x120 1200x200',
    },
    quiet: [200, 900],
    fires: [330, 600],
    labels: { ...SHARD, level: 'stored' },
  },
  SluicePoolSaturated: {
    series: {
      [of('database_connections', ',state="busy"')]: '2x120',
      [of('database_connections_limit')]: '2x120',
      [of('queue_oldest_timestamp_seconds')]: '1x60 0x60',
      [of('queue_messages')]: '10x60 0x60',
    },
    quiet: [100, 400],
    fires: [140, 295],
    labels: SHARD,
  },
  SluiceMonitorDeaf: {
    series: { 'sluice_monitor_shards{state="deaf"}': '0x5 1x60 0x60' },
    quiet: [20, 400],
    fires: [35, 295],
    labels: { state: 'deaf' },
  },
  SluicePostgresConnectionsNearLimit: {
    series: {
      'sluice_postgres_connections{database="db/app",state="idle"}': '5x5 45x60 5x100',
      'sluice_postgres_connections{database="db/app",state="active"}': '40x200',
      'sluice_postgres_connections_limit{database="db/app"}': '100x200',
      'sluice_postgres_connections_reserved{database="db/app",kind="superuser"}': '3x200',
    },
    quiet: [60, 500],
    fires: [110, 330],
    labels: { database: 'db/app' },
  },
};

/** @throws Error where a rule has no scenario: each default rule is tested */
export function alertRuleTests(): string {
  const tests = ALERT_RULES.map((rule) => {
    const scenario = SCENARIOS[rule.name];
    if (scenario === undefined)
      throw new Error(`No test of ${rule.name}: add one to local/build/ops/rule-tests.ts`);
    const { series, quiet, fires, labels } = scenario;
    const firing = [
      '        exp_alerts:',
      '          - exp_labels:',
      ...Object.entries({ severity: rule.severity, ...labels }).map(
        ([name, value]) => `              ${name}: ${quoted(value)}`,
      ),
      '            exp_annotations:',
      ...Object.entries(annotationsOf(rule)).map(
        ([name, value]) => `              ${name}: ${quoted(value)}`,
      ),
    ];
    const checks: [number, readonly string[]][] = [
      [quiet[0], []],
      [fires[0], firing],
      [fires[1], firing],
      [quiet[1], []],
    ];
    return [
      `  - name: ${rule.name}`,
      `    interval: ${STEP_SECONDS}s`,
      '    input_series:',
      ...Object.entries(series).flatMap(([name, values]) => [
        `      - series: ${quoted(name)}`,
        `        values: ${quoted(values)}`,
      ]),
      '    alert_rule_test:',
      ...checks.flatMap(([seconds, lines]) => [
        `      - eval_time: ${seconds}s`,
        `        alertname: ${rule.name}`,
        ...lines,
      ]),
    ].join('\n');
  });
  return `# Made by local/build/ops.ts: changes here are lost. Run it with: promtool test rules ops/alerts-test.yaml
rule_files:
  - alerts.yaml
evaluation_interval: ${STEP_SECONDS}s
tests:
${tests.join('\n')}
`;
}
