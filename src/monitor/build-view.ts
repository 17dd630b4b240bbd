/** Makes what the monitor shows from what it knows. A pure function: the same reports give the same view. */

import { QUEUE_FULL_AT } from '../core/limits.ts';
import { VERSION } from '../core/version.ts';
import { addBuckets, type Buckets, NO_BUCKETS, percentileMs } from './buckets.ts';
import { judgeHealth } from './health.ts';
import { oldestMs } from './point-of.ts';
import type { Recent } from './recent-reports.ts';
import type { KnownShard } from './report-book.ts';
import { sampleValue } from './report-samples.ts';
import type { DatabaseReport, MonitorEvent, ShardReport } from './shard-report.ts';
import { REPORT_MS } from './shard-report.ts';
import type { AlertView, MonitorView, ShardView, ShownState, SinkView, SparkName, Tiles } from './view.ts';

/** A shard with messages that has not reported for so long is not known to be well: three reports are missing. */
export const DEAF_AFTER_MS = 3 * REPORT_MS;

export interface ViewSources {
  nowMs: number;
  version: string;
  /** The sinks that are defined, whether any of their shards has reported or not. */
  sinkNames: readonly string[];
  shards: readonly KnownShard[];
  sparks: Record<SparkName, (number | null)[]>;
  databases: readonly DatabaseReport[];
  alerts: readonly AlertView[];
  /** The latest first. */
  events: readonly MonitorEvent[];
}

/** A shard, or several, and what percentiles are made of. */
interface Summed {
  tiles: Tiles;
  ack: Buckets;
  flush: Buckets;
}

export function buildView(sources: ViewSources): MonitorView {
  const { nowMs, version, sinkNames, shards, sparks, databases, alerts, events } = sources;
  const shown = shards.map((known) => shownShard(known, nowMs));
  const names = [...new Set([...sinkNames, ...shown.map(({ view }) => view.sink)])].toSorted();
  const sinks = names.map((sink) => {
    const own = shown.filter(({ view }) => view.sink === sink);
    return { view: sinkView(sink, own), own };
  });
  const all = summed(shown.map(({ summed: one }) => one));
  const sinkViews = sinks.map(({ view }) => view);
  return {
    atMs: nowMs,
    version,
    packageVersion: VERSION,
    health: judgeHealth(sinkViews, nowMs),
    all: withPercentiles(all),
    sparks,
    sinks: sinkViews,
    databases: [...databases],
    alerts: [...alerts],
    events: events.slice(0, 50),
  };
}

function shownShard(known: KnownShard, nowMs: number): { view: ShardView; summed: Summed } {
  const { report, receivedAtMs } = known.latest;
  const recent = known.recent.at(nowMs, report);
  const one = tilesOf(known, recent, nowMs);
  const state = shownState(known, nowMs);
  const isAsleep = state === 'asleep';
  return {
    summed: one,
    view: {
      ...withPercentiles(one),
      sink: report.sink,
      shard: report.shard,
      state,
      stateSinceMs: isAsleep || state === 'unknown' ? receivedAtMs : report.stateSinceMs,
      reportedAtMs: receivedAtMs,
      isAsleep,
      fault: report.fault,
      producers: report.producers,
      version: report.version,
    },
  };
}

function tilesOf({ latest }: KnownShard, recent: Recent, nowMs: number): Summed {
  const { report } = latest;
  const { counters, gauges } = report;
  return {
    ack: recent.ack,
    flush: recent.flush,
    tiles: {
      receivedPerSecond: recent.receivedPerSecond,
      committedPerSecond: recent.committedPerSecond,
      queueMessages: sampleValue(gauges, 'queue_messages'),
      queueBytes: sampleValue(gauges, 'queue_bytes'),
      queueLimitBytes: sampleValue(gauges, 'queue_limit_bytes'),
      // A shard that writes reports now and then: what waited at its report is written since. One in trouble says when that ends.
      oldestMs: oldestMs(report, isWriting(report, nowMs) ? report.sentAtMs : nowMs),
      ackP50Ms: null,
      ackP99Ms: null,
      flushP50Ms: null,
      flushP99Ms: null,
      deadLetters: sampleValue(gauges, 'dead_letters'),
      deadLettersLimit: sampleValue(gauges, 'dead_letters_limit'),
      received: sampleValue(counters, 'messages_received_total'),
      stored: sampleValue(counters, 'messages_stored_total'),
      committed: sampleValue(counters, 'messages_committed_total'),
      dead: sampleValue(counters, 'messages_dead_total'),
      duplicate: sampleValue(counters, 'messages_duplicate_total'),
      refused: sampleValue(counters, 'messages_refused_total'),
      sockets: sampleValue(gauges, 'sockets'),
      connectionsOpen: sampleValue(gauges, 'database_connections', 'open'),
      connectionsBusy: sampleValue(gauges, 'database_connections', 'busy'),
      connectionsLimit: sampleValue(gauges, 'database_connections_limit'),
    },
  };
}

function isWriting({ state, sentAtMs }: ShardReport, nowMs: number): boolean {
  return state === 'running' && nowMs - sentAtMs <= DEAF_AFTER_MS;
}

const NO_TILES: Tiles = {
  receivedPerSecond: 0,
  committedPerSecond: 0,
  queueMessages: 0,
  queueBytes: 0,
  queueLimitBytes: 0,
  oldestMs: 0,
  ackP50Ms: null,
  ackP99Ms: null,
  flushP50Ms: null,
  flushP99Ms: null,
  deadLetters: 0,
  deadLettersLimit: 0,
  received: 0,
  stored: 0,
  committed: 0,
  dead: 0,
  duplicate: 0,
  refused: 0,
  sockets: 0,
  connectionsOpen: 0,
  connectionsBusy: 0,
  connectionsLimit: 0,
};

function summed(those: readonly Summed[]): Summed {
  const sum: Summed = { tiles: { ...NO_TILES }, ack: NO_BUCKETS, flush: NO_BUCKETS };
  for (const { tiles, ack, flush } of those) {
    for (const name of Object.keys(NO_TILES) as (keyof Tiles)[]) {
      const value = tiles[name];
      if (value === null) continue;
      const before = sum.tiles[name] ?? 0;
      (sum.tiles[name] as number) = name === 'oldestMs' ? Math.max(before, value) : before + value;
    }
    sum.ack = addBuckets(sum.ack, ack);
    sum.flush = addBuckets(sum.flush, flush);
  }
  return sum;
}

function withPercentiles({ tiles, ack, flush }: Summed): Tiles {
  return {
    ...tiles,
    ackP50Ms: percentileMs(ack, 0.5),
    ackP99Ms: percentileMs(ack, 0.99),
    flushP50Ms: percentileMs(flush, 0.5),
    flushP99Ms: percentileMs(flush, 0.99),
  };
}

/** From the worst to the best: a sink is in the worst state of its shards. */
const STATES: readonly ShownState[] = [
  'stopped',
  'paused',
  'held',
  'full',
  'unknown',
  'retrying',
  'busy',
  'ok',
  'asleep',
];

function sinkView(sink: string, shards: readonly { view: ShardView; summed: Summed }[]): SinkView {
  const views = shards.map(({ view }) => view);
  const state = STATES.find((one) => views.some((view) => view.state === one)) ?? 'asleep';
  const since = views.filter((view) => view.state === state).map((view) => view.stateSinceMs);
  return {
    ...withPercentiles(summed(shards.map((shard) => shard.summed))),
    sink,
    state,
    stateSinceMs: since.length === 0 ? 0 : Math.min(...since),
    shards: views,
  };
}

function shownState({ latest: { report, receivedAtMs } }: KnownShard, nowMs: number): ShownState {
  const { state, gauges, isLast } = report;
  const waiting = sampleValue(gauges, 'queue_messages');
  if (state === 'stopped' && report.fault?.code === 'paused_by_operator') return 'paused';
  if (state === 'stopped' || state === 'paused' || state === 'held') return state;
  if (waiting > 0 && nowMs - receivedAtMs > DEAF_AFTER_MS) return 'unknown';
  if (waiting > 0 && isFull(report.gauges)) return 'full';
  if (state === 'retrying') return state;
  // One that has gone without a last word, as in a deployment, has nothing that waits: it wakes up when something comes.
  if (isLast || (waiting === 0 && nowMs - receivedAtMs > DEAF_AFTER_MS)) return 'asleep';
  return isHalfFull(gauges) ? 'busy' : 'ok';
}

/** How full the queue is, by bytes or by messages, 0 to 1. */
export function queueFill(gauges: KnownShard['latest']['report']['gauges']): number {
  const part = (used: number, limit: number): number => (limit > 0 ? used / limit : 0);
  return Math.max(
    part(sampleValue(gauges, 'queue_bytes'), sampleValue(gauges, 'queue_limit_bytes')),
    part(sampleValue(gauges, 'queue_messages'), sampleValue(gauges, 'queue_limit_messages')),
  );
}

function isFull(gauges: KnownShard['latest']['report']['gauges']): boolean {
  return queueFill(gauges) >= QUEUE_FULL_AT;
}

function isHalfFull(gauges: KnownShard['latest']['report']['gauges']): boolean {
  return queueFill(gauges) >= 0.5;
}
