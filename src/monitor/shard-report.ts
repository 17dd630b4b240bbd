/** What a shard tells the monitor, and what the monitor answers. Plain data, at most 64 KiB. */

import type { HistogramSnapshot } from '../core/exponential-histogram.ts';
import type { LaneState } from '../outbox/lane-faults.ts';
import type { RefusalDetails } from '../outbox/refusal.ts';
import type { CounterName, DatabaseMetricName, GaugeName, HistogramName } from './metrics.ts';

/** How often an active shard reports, in milliseconds. */
export const REPORT_MS = 10_000;
/** How often while somebody watches. */
export const WATCHED_REPORT_MS = 1_000;

/** A value of a metric, with the value of its label; '' where the metric has none. */
export type Sample<Name extends string = string> = readonly [metric: Name, label: string, value: number];
export type HistogramSample = readonly [metric: HistogramName, label: string, histogram: HistogramSnapshot];

/** Why a shard does not write, or wrote with trouble the last time. Without payloads, hosts or secrets. */
export interface ShardFault {
  code: string | null;
  message: string;
  atMs: number;
  failuresInARow: number;
  details: RefusalDetails | null;
}

/** Something that happened, once: a line of the log and of the dashboard's list of events. */
export interface MonitorEvent {
  atMs: number;
  /** Of which shard; null for what concerns all. */
  sink: string | null;
  shard: number | null;
  kind:
    | 'retrying'
    | 'paused'
    | 'stopped'
    | 'resumed'
    | 'full'
    | 'dead-letters'
    | 'started'
    | 'deployment'
    | 'alert'
    | 'operator';
  code: string | null;
  sqlState: string | null;
  /** A sentence for people: "paused: column "price" does not exist". At most 500 characters. */
  message: string;
}

export interface ProducerFigures {
  /** The whole name: `acme/device-7`. */
  producer: string;
  /** Messages since the last report. */
  messages: number;
  /** What it may still send; null for a raw socket. */
  creditMessages: number | null;
}

export interface ShardReport {
  sink: string;
  shard: number;
  /** When the object that reports was started: histograms begin there. */
  sinceMs: number;
  sentAtMs: number;
  /** Its number within the life of the object, from 1. */
  number: number;
  /** The outbox is empty and the connection closed: nothing more comes before something happens. */
  isLast: boolean;
  version: string;
  state: LaneState | 'held';
  /** Since when. */
  stateSinceMs: number;
  fault: ShardFault | null;
  counters: readonly Sample<CounterName>[];
  gauges: readonly Sample<GaugeName>[];
  /** Since `sinceMs`, whole: a report that is lost loses nothing. */
  histograms: readonly HistogramSample[];
  /** The producers that sent most since the last report, at most 20. */
  producers: readonly ProducerFigures[];
  /** At most 20, oldest first. */
  events: readonly MonitorEvent[];
  /** Postgres' own view, where this shard asked for it since the last report (src/monitor/postgres-view.ts). */
  database: DatabaseReport | null;
}

export interface DatabaseReport {
  /** Names the database without user or password: `host:port/database`. For those who may read. */
  address: string;
  atMs: number;
  serverVersion: string;
  samples: readonly Sample<DatabaseMetricName>[];
  /** What the role may not see, or the server does not have, in words. */
  hidden: readonly string[];
}

export interface ReportAnswer {
  /** When to report again, if the shard is active then. */
  everyMs: number;
  /** True for the one shard per database that asks Postgres for its view, at most every 30 s. */
  askDatabase: boolean;
  /** For the first report of a life: the counters of the last one before it, which may be ahead of what the shard's storage had. */
  known?: readonly Sample<CounterName>[];
}

/** A report as the monitor keeps it. */
export interface StoredReport {
  report: ShardReport;
  receivedAtMs: number;
}

/** What an operator did: a line of the audit log. */
export interface OperatorEntry {
  atMs: number;
  /** Who: a name that the operator gave, or the first digits of the token's hash; `open` where everybody may operate. */
  who: string;
  /** What: `retry dead letters`, `resume`, … */
  what: string;
  sink: string | null;
  shard: number | null;
  /** How many messages it concerned; null where that is not known. */
  messages: number | null;
}
