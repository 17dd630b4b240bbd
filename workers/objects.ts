/**
 * What the Durable Objects are asked by each other and by the routes, and the headers of requests to them. Types and names
 * only, so that the classes need not import each other.
 */

import type { Revocation, RevokedName } from '../src/access/revocations.ts';
import type { DeadLetterCopyStats } from '../src/ingest/dead-letter-copy.ts';
import type { IntakeStats } from '../src/ingest/intake.ts';
import type { SilenceRequest, TestResult } from '../src/monitor/alerts/alerts.ts';
import type { ReceiverView } from '../src/monitor/alerts/courier.ts';
import type { Silence } from '../src/monitor/alerts/silences.ts';
import type { HistoryQuestion, ShardsQuestion } from '../src/monitor/history-question.ts';
import type { MetricsFormat } from '../src/monitor/prometheus-text.ts';
import type { OperatorEntry, ReportAnswer, ShardReport, StoredReport } from '../src/monitor/shard-report.ts';
import type { AlertView, Health, HistoryView, MonitorView } from '../src/monitor/view.ts';
import type { HandedOver } from '../src/outbox/producer-rows.ts';
import type { ShardAdmin } from '../src/outbox/shard-admin.ts';
import type {
  DeletedNamespace,
  ListNamespaces,
  NamespaceInfo,
  NamespaceRecord,
  NewNamespace,
  StoreEngine,
} from '../src/store/namespaces.ts';
import type { MessageFigures } from './namespace-messages.ts';
import type { Outcome } from './outcome.ts';

/**
 * The Durable Objects of a class, by their names. The platform's own type wraps every result in what RPC may add to it, none
 * of which plain data has.
 */
export interface ObjectsOf<Calls> {
  getByName(name: string): Calls & {
    fetch(request: Request | string, init?: RequestInit): Promise<Response>;
  };
}

/** The header by which the Worker tells a shard who connects. */
export const PRODUCER_HEADER = 'sluice-producer';
/** The header by which it tells what they may do: `open`, `none`, or a grant (src/access/socket-access.ts). */
export const GRANT_HEADER = 'sluice-grant';
/** The header by which it tells where they connected to, without what they said to prove who they are. */
export const ADDRESS_HEADER = 'sluice-address';
/** It is there where the Worker has given the producer its name. */
export const ASSIGNED_HEADER = 'sluice-assigned';

/** Figures of one shard, as `/stats` shows them. */
export interface ShardStats extends IntakeStats {
  shard: number;
  sockets: number;
  /** How the copy of the dead letters to Postgres stands; null where the sink asks for none. */
  deadLetterTable: DeadLetterCopyStats | null;
  /** When the object was last started; the counters begin there. */
  sinceMs: number;
}

/** A shard by its sink and number. */
export interface ShardPlace {
  sink: string;
  shard: number;
}

/** What shards and routes ask. */
export interface ShardDirectory {
  /** The shard may hold something from now on. Safe to repeat; writes a row the first time. */
  addShard(place: ShardPlace): Promise<void>;
  /** The shard holds nothing, and no option names it. */
  removeShard(place: ShardPlace): Promise<void>;
  /** Of one sink, or of all; by sink and number. */
  listShards(sink?: string): Promise<ShardPlace[]>;
  /** A sink has so many shards. Answers with the numbers that it ever had, the latest first. */
  noteShards(sink: string, shards: number): Promise<number[]>;
}

/** All that a list holds, to be taken over. */
export interface ListedShards {
  places: ShardPlace[];
  /** The latest first. */
  counts: { sink: string; shards: number }[];
}

/** Until version 0.3 the list was kept by an object of the registry, which still has what it had then. */
export interface FormerDirectory {
  exportShards(): Promise<ListedShards>;
}

/** What a shard answers that is asked for a producer. */
export type HandOver =
  | { state: 'unknown' }
  /** It is no longer known there, and is told again to who asks again, until `forgetMoved`. */
  | { state: 'given'; producer: HandedOver }
  /** Messages of it are not in Postgres yet. */
  | { state: 'busy'; reason: string };

/** What shards of one sink ask each other. */
export interface ProducerHolder {
  handOver(producer: string): Promise<HandOver>;
  forgetMoved(producer: string): Promise<void>;
}

/** Who speaks over a socket, for operators. */
export interface ListedSession {
  /** The whole name: `acme/device-7`. */
  producer: string;
  tenant: string | null;
  /** What names its token; null where it has none, or has not said it yet. */
  token: string | null;
  protocol: 'raw' | 'sluice.v1';
  openedAtMs: number;
  /** When its token expires. */
  expiresAtMs: number | null;
}

/** What operators ask of a shard's sessions. Who ends some answers with how many these were. */
export interface SessionOperations {
  /** All of them by number, and as many as an answer lists. */
  listSessions(): Promise<{ count: number; sessions: ListedSession[] }>;
  /** Closes them. They may come back. */
  endSessions(name: RevokedName): Promise<number>;
  /** Closes them, and lets none of them in again. */
  noteRevocation(revocation: Revocation): Promise<number>;
  noteReinstated(name: RevokedName): Promise<void>;
}

/** The list of what is revoked, which the object keeps that keeps the list of shards. */
export interface RevocationList {
  /** @throws SluiceError `invalid_options` where there is no room */
  addRevocation(revocation: Revocation): Promise<void>;
  removeRevocation(name: RevokedName): Promise<void>;
  listRevocations(): Promise<Revocation[]>;
}

/** What is asked of a shard. */
export interface ShardCalls
  extends ShardAdmin,
    ProducerHolder,
    ShardDirectory,
    SessionOperations,
    RevocationList {
  /** Its figures. */
  stats(): ShardStats | Promise<ShardStats>;
  /** Flushes now, and answers with the figures once everything is settled. */
  drain(): Promise<ShardStats>;
  /** Deletes everything that it ever stored. */
  wipe(): Promise<void>;
  /** Deletes everything and ends the object. The call fails for the object's end alone. */
  abandon(): Promise<void>;
}

/** The header by which the Worker tells a namespace who asks: `open`, or `token` and the token. It always sets it. */
export const ACCESS_HEADER = 'sluice-access';

/** A namespace as the registry configures it. */
export interface NamespaceConfig {
  namespace: string;
  engine: StoreEngine;
  /** Empty: no token opens it. */
  tokenHash: string;
}

/** How a namespace stands. */
export interface NamespaceFigures extends MessageFigures {
  events: bigint;
}

/** What is asked of a namespace. */
export interface NamespaceCalls {
  /** True for the namespace's token. */
  verify(token: string): boolean | Promise<boolean>;
  configure(config: NamespaceConfig, isRepeated: boolean): Promise<Outcome<void>>;
  destroy(config: NamespaceConfig): Promise<bigint>;
  messageCount(): Promise<Outcome<bigint>>;
  figures(): Promise<Outcome<NamespaceFigures>>;
}

/** What is asked of the registry. */
export interface RegistryCalls extends FormerDirectory {
  create(namespace: NewNamespace): Promise<Outcome<NamespaceRecord>>;
  ensure(namespace: string): Promise<Outcome<void>>;
  delete(namespace: string): Promise<Outcome<DeletedNamespace>>;
  list(list: ListNamespaces): Promise<NamespaceInfo[]>;
  info(namespace: string): Promise<Outcome<NamespaceInfo>>;
}

/** Which shards' figures, and in which format. */
export interface MetricsQuestion extends ShardsQuestion {
  format: MetricsFormat;
}

/** Alerts that fire or are pending, those that are over, and who is told of them. */
export interface ListedAlerts {
  current: AlertView[];
  /** The latest first. */
  history: AlertView[];
  silences: Silence[];
  receivers: ReceiverView[];
}

/** What is asked of the monitor. None of it wakes a shard. */
export interface MonitorCalls {
  /** A shard tells how it stands. */
  report(report: ShardReport): Promise<ReportAnswer>;
  view(): Promise<MonitorView>;
  health(): Promise<Health>;
  history(question: HistoryQuestion): Promise<Outcome<HistoryView>>;
  /** The latest report of each shard. */
  reports(): Promise<StoredReport[]>;
  /** The figures of all shards as text for Prometheus; at most some 10 MB. */
  metrics(question: MetricsQuestion): Promise<string>;
  alerts(): Promise<ListedAlerts>;
  /** Keeps alerts from being delivered for a time; null where that ended a silence. */
  silenceAlerts(request: SilenceRequest): Promise<Outcome<Silence | null>>;
  acknowledgeAlert(id: string, by: string): Promise<Outcome<AlertView>>;
  /** Sends a message to every receiver, and says what each answered. */
  testAlerts(): Promise<TestResult[]>;
  /** Notes what an operator did. */
  noteOperator(entry: OperatorEntry): Promise<void>;
  /** The latest first. */
  audit(limit: number): Promise<OperatorEntry[]>;
  /** Marks the time on the charts. */
  noteDeployment(version: string, note: string): Promise<void>;
}
