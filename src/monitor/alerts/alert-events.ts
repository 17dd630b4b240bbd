/** What alerts leave in the log and in the list of events: one line for all shards of a sink that changed at the same moment. */

import type { MonitorEvent } from '../shard-report.ts';
import { groupOf } from './alert.ts';
import type { AlertChange } from './engine.ts';
import { timeText } from './words.ts';

const MAX_MESSAGE_LENGTH = 500;

export function alertEvents(changes: readonly AlertChange[], nowMs: number): MonitorEvent[] {
  const groups = new Map<string, AlertChange[]>();
  for (const change of changes) {
    const key = `${change.to} ${groupOf(change.alert)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [change]);
    else group.push(change);
  }
  return [...groups.values()].map((group) => eventOf(group, nowMs));
}

function eventOf(group: readonly AlertChange[], atMs: number): MonitorEvent {
  const [{ to, alert }] = group as [AlertChange];
  const { rule, sink, shard, severity, message, firedAtMs } = alert;
  const others = group.length === 1 ? '' : ` (and ${group.length - 1} more)`;
  const text =
    to === 'firing'
      ? `${rule} fires (${severity}): ${message}${others}`
      : `${rule} is over after ${timeText(atMs - (firedAtMs ?? atMs))}: ${message}${others}`;
  return {
    atMs,
    sink,
    shard: group.length === 1 ? shard : null,
    kind: 'alert',
    code: rule,
    sqlState: null,
    message: text.slice(0, MAX_MESSAGE_LENGTH).toWellFormed(),
  };
}
