/** What the rules of alerts are asked about: figures of one shard, or of one database, as plain values. */

import type { LaneState } from '../../outbox/lane-faults.ts';
import type { DatabaseReport, ShardFault, ShardReport, StoredReport } from '../shard-report.ts';
import { type Samples, sampleSum } from './alert-input.ts';
import type { RecentFigures } from './shard-memory.ts';

export interface ShardFacts {
  sink: string;
  shard: number;
  state: LaneState | 'held';
  fault: ShardFault | null;
  /** How old its latest report is. */
  silentMs: number;
  /** Messages that wait. */
  waiting: number;
  /** How full the queue is, by bytes or by messages, 0 to 1. */
  fill: number;
  /** How long the oldest message has waited; 0 while none waits. */
  oldestMs: number;
  /** For how long messages have waited with no batch that succeeded; 0 while none waits. */
  uncommittedMs: number;
  /** For how long writing has been in trouble: it retries, or a batch is on its way and nothing comes back. At most `uncommittedMs`. */
  stalledMs: number;
  deadLetters: number;
  /** Messages that have lately become dead letters, and how long ago the last one did; 0 and Infinity where none did. */
  deadNews: number;
  deadAgoMs: number;
  /** How full the room for dead letters is, 0 to 1. */
  deadFill: number;
  connectionsBusy: number;
  connectionsLimit: number;
  recent: RecentFigures;
}

export interface DatabaseFacts {
  /** The name of the database, without its host: notifications go to other companies. */
  database: string;
  connections: number;
  connectionsLimit: number;
  /** The share of its connections that is in use, 0 to 1; undefined where the server does not say. */
  connectionShare: number | undefined;
  /** How old these figures are. */
  ageMs: number;
}

export function shardFacts(
  { report, receivedAtMs }: StoredReport,
  recent: RecentFigures,
  news: Pick<ShardFacts, 'deadNews' | 'deadAgoMs'>,
  nowMs: number,
): ShardFacts {
  const { gauges, sink, shard, state, fault } = report;
  const gauge = (metric: string, label?: string): number =>
    sampleSum(gauges, metric, label === undefined ? undefined : (own) => own === label);
  const silentMs = Math.max(0, nowMs - receivedAtMs);
  const waiting = gauge('queue_messages');
  const limit = gauge('database_connections_limit');
  return {
    sink,
    shard,
    state,
    fault,
    silentMs,
    waiting,
    fill: queueFill(gauges),
    oldestMs:
      waiting === 0 ? 0 : since(report, gauge('queue_oldest_timestamp_seconds')) + agedMs(report, silentMs),
    ...troubleOf(report, silentMs),
    ...news,
    deadLetters: gauge('dead_letters'),
    deadFill: share(gauge('dead_letters'), gauge('dead_letters_limit')),
    connectionsBusy: gauge('database_connections', 'busy'),
    connectionsLimit: limit,
    recent,
  };
}

export function databaseFacts({ address, atMs, samples }: DatabaseReport, nowMs: number): DatabaseFacts {
  const connections = sampleSum(samples, 'postgres_connections');
  // What the server keeps for superusers is no room for anybody else.
  const connectionsLimit =
    sampleSum(samples, 'postgres_connections_limit') - sampleSum(samples, 'postgres_connections_reserved');
  return {
    database: address.slice(address.lastIndexOf('/') + 1),
    connections,
    connectionsLimit,
    connectionShare: connectionsLimit > 0 ? connections / connectionsLimit : undefined,
    ageMs: Math.max(0, nowMs - atMs),
  };
}

/** How full a queue is, by bytes or by messages, whichever is fuller. */
function queueFill(gauges: Samples): number {
  return Math.max(
    share(sampleSum(gauges, 'queue_bytes'), sampleSum(gauges, 'queue_limit_bytes')),
    share(sampleSum(gauges, 'queue_messages'), sampleSum(gauges, 'queue_limit_messages')),
  );
}

function share(used: number, limit: number): number {
  return limit > 0 ? used / limit : 0;
}

/** Milliseconds from a time that a gauge holds in seconds to the moment of the report. */
function since({ sentAtMs }: ShardReport, seconds: number): number {
  return seconds === 0 ? 0 : Math.max(0, sentAtMs - seconds * 1_000);
}

/**
 * How much older things are than when they were reported. A shard that writes reports every ten seconds: nine seconds later, what
 * waited then is written. One that retries tells its return at once; until then what waits grows old.
 */
function agedMs({ state }: ShardReport, silentMs: number): number {
  return state === 'running' ? 0 : silentMs;
}

function troubleOf(report: ShardReport, silentMs: number): Pick<ShardFacts, 'uncommittedMs' | 'stalledMs'> {
  const { gauges, sentAtMs, state, stateSinceMs } = report;
  if (sampleSum(gauges, 'queue_messages') === 0) return { uncommittedMs: 0, stalledMs: 0 };
  const oldestAtMs = sampleSum(gauges, 'queue_oldest_timestamp_seconds') * 1_000;
  const committedAtMs = sampleSum(gauges, 'last_commit_timestamp_seconds') * 1_000;
  const triedAtMs = sampleSum(gauges, 'last_try_timestamp_seconds') * 1_000;
  const isWriting = state === 'running';
  const nowMs = sentAtMs + agedMs(report, silentMs);
  const uncommittedMs = Math.max(0, nowMs - Math.max(committedAtMs, oldestAtMs));
  // Messages that gather for a larger batch (`lingerMs`) wait without any trouble: nothing was tried yet.
  const troubleSinceMs = isWriting ? triedAtMs : stateSinceMs;
  const isInTrouble = !isWriting || triedAtMs > committedAtMs;
  const stalledMs = isInTrouble ? Math.min(uncommittedMs, Math.max(0, nowMs - troubleSinceMs)) : 0;
  return { uncommittedMs, stalledMs };
}
