/**
 * What the monitor shows: the dashboard, `sluice top` and `/health` are all made from this. Plain data (JSON), rates per second,
 * durations in milliseconds, times as milliseconds since 1970. Null: not known.
 */

import type { LaneState } from '../outbox/lane-faults.ts';
import type { DatabaseReport, MonitorEvent, ProducerFigures, ShardFault } from './shard-report.ts';

export type HealthStatus = 'ok' | 'degraded' | 'failing';

/** A sentence that says why something is not well. */
export interface HealthReason {
  status: 'degraded' | 'failing';
  sink: string | null;
  shard: number | null;
  /** What it is, for programs: `retrying`, `paused`, `stopped`, `queue-old`, `queue-full`, `dead-letters-near-full`, `deaf`, … */
  reason: string;
  sinceMs: number;
  message: string;
  code: string | null;
  sqlState: string | null;
}

export interface Health {
  status: HealthStatus;
  sinks: Record<string, HealthStatus>;
  reasons: HealthReason[];
}

/** What is countable at one look: of all, of a sink, of a shard. */
export interface Tiles {
  receivedPerSecond: number;
  committedPerSecond: number;
  queueMessages: number;
  queueBytes: number;
  queueLimitBytes: number;
  /** Age of the oldest message that waits; 0 while none does. */
  oldestMs: number;
  ackP50Ms: number | null;
  ackP99Ms: number | null;
  flushP50Ms: number | null;
  flushP99Ms: number | null;
  deadLetters: number;
  deadLettersLimit: number;
  /** Totals, for ever. */
  received: number;
  stored: number;
  committed: number;
  dead: number;
  duplicate: number;
  refused: number;
  sockets: number;
  connectionsOpen: number;
  connectionsBusy: number;
  connectionsLimit: number;
}

export type ShownState = LaneState | 'held' | 'full' | 'busy' | 'ok' | 'asleep' | 'unknown';

export interface ShardView extends Tiles {
  sink: string;
  shard: number;
  state: ShownState;
  stateSinceMs: number;
  reportedAtMs: number;
  /** True where its last report said that nothing more comes. */
  isAsleep: boolean;
  fault: ShardFault | null;
  producers: readonly ProducerFigures[];
  version: string;
}

export interface SinkView extends Tiles {
  sink: string;
  state: ShownState;
  stateSinceMs: number;
  shards: ShardView[];
}

export interface AlertView {
  /** One for each change of state of a rule for a sink or shard; retries of its delivery keep it. */
  id: string;
  rule: string;
  severity: 'page' | 'warn';
  sink: string | null;
  shard: number | null;
  state: 'pending' | 'firing' | 'resolved';
  /** Since when the condition holds, and since when it fires; null while it is pending. */
  activeAtMs: number;
  firedAtMs: number | null;
  resolvedAtMs: number | null;
  value: number;
  message: string;
  /** What to do, in a sentence or two. */
  remedy: string;
  /** Where the whole of it is: a page of the docs. */
  runbook: string;
  silencedUntilMs: number | null;
  acknowledgedBy: string | null;
}

export interface MonitorView {
  atMs: number;
  /** Of the deployment, where it has one. */
  version: string;
  /** Of the package `sluice`; missing in what older ones answer. */
  packageVersion?: string;
  health: Health;
  all: Tiles;
  /** The last 15 minutes in steps of 10 s, oldest first, for sparklines: all sinks together. */
  sparks: Record<SparkName, (number | null)[]>;
  sinks: SinkView[];
  databases: DatabaseReport[];
  /** Those that fire or are pending. */
  alerts: AlertView[];
  /** The latest first, at most 50. */
  events: MonitorEvent[];
}

export type SparkName = 'received' | 'committed' | 'queueMessages' | 'oldestMs' | 'ackP99Ms' | 'deadLetters';

/** The series that the monitor keeps, of each shard. Sums over shards, but the maximum of `oldestMs`; percentiles are of merged histograms. */
export const SERIES = [
  'received',
  'committed',
  'dead',
  'refused',
  'duplicate',
  'retries',
  'queueMessages',
  'queueBytes',
  'oldestMs',
  'outboxBytes',
  'deadLetters',
  'sockets',
  'connectionsOpen',
  'connectionsBusy',
  'rowsWritten',
  'batches',
  'ackP50Ms',
  'ackP90Ms',
  'ackP99Ms',
  'flushP50Ms',
  'flushP90Ms',
  'flushP99Ms',
  'batchMessages',
] as const;
export type SeriesName = (typeof SERIES)[number];

/** `GET /monitor/history?range=15m|6h|7d|1y&sink=&shard=`. Rates per second; null where nothing was reported. */
export interface HistoryView {
  fromMs: number;
  stepMs: number;
  series: Record<SeriesName, (number | null)[]>;
  /** Deployments, pauses and returns within the range. */
  markers: MonitorEvent[];
}
