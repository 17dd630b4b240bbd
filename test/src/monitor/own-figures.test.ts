import { expect, test } from 'vitest';
import { ALERT_RULES } from '../../../src/monitor/alerts/rules.ts';
import { ownFigures } from '../../../src/monitor/own-figures.ts';
import { type ReportParts, reportOf } from './reports.ts';

const NOW_MS = 1_000_000;

function figuresOf(reports: readonly (ReportParts & { agoMs?: number })[], rest = {}) {
  const figures = ownFigures({
    nowMs: NOW_MS,
    version: '7',
    reports: reports.map(({ agoMs = 0, ...parts }) => ({
      report: reportOf(parts),
      receivedAtMs: NOW_MS - agoMs,
    })),
    storageBytes: 1,
    alerts: [],
    receivers: [],
    ...rest,
  });
  return Object.fromEntries(figures.map(([name, label, value]) => [`${name} ${label}`, value]));
}

test('shards are awake, asleep, or deaf: with messages, and silent', () => {
  const figures = figuresOf([
    { agoMs: 5_000 },
    { agoMs: 5_000, gauges: { queue_messages: 1 } },
    { agoMs: 3_600_000, isLast: true },
    // Gone in a deployment, with nothing that waits.
    { agoMs: 3_600_000 },
    { agoMs: 60_000, gauges: { queue_messages: 1 } },
  ]);
  expect(figures).toMatchObject({
    'monitor_shards awake': 2,
    'monitor_shards asleep': 2,
    'monitor_shards deaf': 1,
    'build_info 7': 1,
  });
});

test('every rule is there, with how many of its alerts fire', () => {
  const [first, second] = ALERT_RULES.map(({ name }) => name) as [string, string];
  const figures = figuresOf([], {
    alerts: [
      { rule: first, state: 'firing' },
      { rule: first, state: 'firing' },
      { rule: second, state: 'pending' },
    ],
    receivers: [{ failedTries: 2 }, { failedTries: 3 }],
  });
  expect(figures).toMatchObject({
    [`alerts_firing ${first}`]: 2,
    [`alerts_firing ${second}`]: 0,
    'alert_deliveries_failed_total ': 5,
  });
  expect(Object.keys(figures).filter((key) => key.startsWith('alerts_firing'))).toHaveLength(
    ALERT_RULES.length,
  );
});
