/** What several rules of alerts share. */

import type { ShardFacts } from './facts.ts';
import { TEMPORARY_REFUSALS, WINDOW_MS } from './shard-memory.ts';
import { timeText } from './words.ts';

/** Reasons of refusals that are no errors, for a matcher of Prometheus. */
export const TEMPORARY_REASONS = TEMPORARY_REFUSALS.join('|');

/** Below this share of its limit, a queue that grows is one that begins. */
export const SMALL_FILL = 0.1;

/** Stands for a time that never comes: a year. Infinity has no place in JSON. */
export const NEVER_SECONDS = 365 * 86_400;

/** How full a queue is, by bytes or by messages, whichever is fuller. */
export const FILL = greater(
  'sluice_queue_bytes / (sluice_queue_limit_bytes > 0)',
  'sluice_queue_messages / (sluice_queue_limit_messages > 0)',
);

/** The greater one of two, of each series. */
export function greater(one: string, other: string): string {
  return `((${one}) > (${other}) or (${other}))`;
}

/** By how much a counter of a shard has grown within five minutes. */
export function increaseOf(counter: string): string {
  return `sum by (sink, shard) (increase(${counter}[5m]))`;
}

/** The same, and 0 for a shard that has not counted anything: its counter is not there, and a sum with nothing is nothing. */
export function orNone(counter: string): string {
  return `(${increaseOf(counter)} or 0 * ${increaseOf('sluice_messages_received_total')})`;
}

/** `: column "price" does not exist (42703)`; empty where no fault is known. */
export function faultText({ fault }: ShardFacts): string {
  if (fault === null) return '';
  const code = fault.details?.sqlState ?? fault.code;
  return `: ${fault.message}${code === null ? '' : ` (${code})`}`;
}

/** `, and full in 12 min at this rate`; empty where it does not grow. */
export function fullInText({ recent: { fullInMs } }: ShardFacts): string {
  if (fullInMs === undefined || fullInMs > NEVER_SECONDS * 1_000) return '';
  return `, and at this rate is full in ${timeText(fullInMs)}`;
}

/** When figures of the last minutes are over, if no report comes. */
export function recentEndsInMs({ silentMs }: ShardFacts): number | undefined {
  return silentMs < WINDOW_MS ? WINDOW_MS - silentMs + 1 : undefined;
}

export function isPoolBusy({ connectionsBusy, connectionsLimit }: ShardFacts): boolean {
  return connectionsLimit > 0 && connectionsBusy >= connectionsLimit;
}

/** How many times longer than one that writes a shard may be silent: one that waits for somebody sleeps between its tries. */
const PATIENCE: Record<ShardFacts['state'], number> = {
  running: 1,
  retrying: 5,
  paused: 12,
  held: 12,
  // Nothing is tried before somebody resumes it, and it may sleep until then; it has an alert anyway.
  stopped: Number.POSITIVE_INFINITY,
};

/** How long a shard may be silent, from how long one may be that writes. Infinity where nothing waits: it sleeps. */
export function allowedSilenceMs({ state, waiting }: ShardFacts, limitSeconds: number): number {
  return waiting > 0 ? limitSeconds * 1_000 * PATIENCE[state] : Number.POSITIVE_INFINITY;
}
