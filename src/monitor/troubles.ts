/** What is wrong, as people read it: reasons that are alike for several shards of a sink are one. For the dashboard and `sluice top`. */

import { type QueueFigures, roomMs, shownDuration, shownNumberOf } from './shown-figures.ts';
import type { HealthReason, MonitorView, ShardView } from './view.ts';

export interface Trouble {
  /** The first of its reasons, which says what it is. */
  first: HealthReason;
  reasons: HealthReason[];
  /** The shards that it is about. */
  shards: ShardView[];
}

/** What is wrong in the view, or with one sink of it; what fails comes first. */
export function troublesOf({ health, sinks }: MonitorView, only?: string): Trouble[] {
  const troubles = new Map<string, Trouble>();
  const shardsOf = new Map(
    sinks.map(({ sink, shards }) => [sink, new Map(shards.map((shard) => [shard.shard, shard]))]),
  );
  for (const reason of health.reasons) {
    if (only !== undefined && reason.sink !== only) continue;
    const key = troubleKey(reason);
    const trouble = troubles.get(key) ?? { first: reason, reasons: [], shards: [] };
    troubles.set(key, trouble);
    trouble.reasons.push(reason);
    const ofSink = reason.sink === null ? undefined : shardsOf.get(reason.sink);
    const shard = reason.shard === null ? undefined : ofSink?.get(reason.shard);
    if (shard !== undefined) trouble.shards.push(shard);
    else if (reason.shard === null && ofSink !== undefined) trouble.shards.push(...ofSink.values());
  }
  return [...troubles.values()].sort(
    (left, right) => Number(right.first.status === 'failing') - Number(left.first.status === 'failing'),
  );
}

/** The same for reasons that are alike but for the shard, and for figures in their sentences. */
export function troubleKey({ status, sink, reason, code, sqlState, shard, message }: HealthReason): string {
  return JSON.stringify([
    status,
    sink,
    reason,
    code,
    sqlState,
    shard === null,
    message.replaceAll(/[\d,.]+/g, '#'),
  ]);
}

/** Which shards it is about, to be put after the name of the sink: `, shards 0, 3`; nothing for a whole sink. */
export function shardsText({ reasons }: Trouble): string {
  const numbers = reasons.flatMap(({ shard }) => (shard === null ? [] : [shard]));
  if (numbers.length === 0) return '';
  if (numbers.length > 6) return `, ${numbers.length} shards`;
  return `, shard${numbers.length === 1 ? '' : 's'} ${numbers.join(', ')}`;
}

/** How much waits in all of several shards (the sentence has that of one), and how long there is room; empty where neither is known. */
export function waitingText({ shards }: Trouble): string {
  const sums: QueueFigures = {
    receivedPerSecond: 0,
    committedPerSecond: 0,
    queueMessages: 0,
    queueBytes: 0,
    queueLimitBytes: 0,
  };
  for (const shard of shards)
    for (const name of Object.keys(sums) as (keyof QueueFigures)[]) sums[name] += shard[name];
  const room = roomMs(sums);
  const parts = [
    shards.length > 1 ? `${shownNumberOf(sums.queueMessages, 'message')} wait in all` : undefined,
    room === null
      ? undefined
      : room === 0
        ? 'no room for more'
        : `room for ${shownDuration(room)} at the present rate`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? '' : `${parts.join('; ')}.`.replace(/^./, (letter) => letter.toUpperCase());
}
