/** A deployment that the tests of alerts drive: shards that report what the test says, a clock, and a receiver that remembers. */

import type { ExponentialHistogram } from '../../../../src/core/exponential-histogram.ts';
import { uuidV7 } from '../../../../src/core/uuid.ts';
import type { Sqlite } from '../../../../src/database/sqlite.ts';
import { Alerts, type AlertsOptions } from '../../../../src/monitor/alerts/alerts.ts';
import { type AlertOptions, alertSettings } from '../../../../src/monitor/alerts/options.ts';
import {
  type DatabaseReport,
  type MonitorEvent,
  REPORT_MS,
  type Sample,
  type ShardFault,
  type ShardReport,
} from '../../../../src/monitor/shard-report.ts';
import type { AlertView } from '../../../../src/monitor/view.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';

export const START_MS = 1_800_000_000_000;
export const SECRET = 'a-secret-of-the-tests-that-is-long-enough';

/** What a test says of a shard; the rest is that of one that is well and has little to do. */
export interface ShardNow {
  state?: ShardReport['state'];
  /** Since when it is in that state; default: since the start. */
  stateSinceMs?: number;
  fault?: ShardFault | null;
  waiting?: number;
  waitingBytes?: number;
  /** How long the oldest has waited; default: a moment. */
  oldestMs?: number;
  committedAtMs?: number;
  triedAtMs?: number;
  received?: number;
  dead?: number;
  refused?: Record<string, number>;
  deadKept?: number;
  busy?: number;
  ack?: ExponentialHistogram;
  sinceMs?: number;
  isLast?: boolean;
}

export const LIMIT_MESSAGES = 10_000;
export const LIMIT_BYTES = 10_000_000;
export const DEAD_LIMIT = 1_000;

export const UNREACHABLE: ShardFault = {
  code: 'database_unreachable',
  message: 'The database cannot be reached: connection refused',
  atMs: START_MS,
  failuresInARow: 3,
  details: null,
};

export function reportOf(sink: string, shard: number, now: ShardNow, sentAtMs: number): ShardReport {
  const { waiting = 0, oldestMs = 20, committedAtMs = sentAtMs - 50, triedAtMs = committedAtMs - 10 } = now;
  const seconds = (ms: number): number => ms / 1_000;
  return {
    sink,
    shard,
    sinceMs: now.sinceMs ?? START_MS,
    sentAtMs,
    number: 1,
    isLast: now.isLast ?? false,
    version: 'test',
    state: now.state ?? 'running',
    stateSinceMs: now.stateSinceMs ?? START_MS,
    fault: now.fault ?? null,
    counters: [
      ['messages_received_total', '', now.received ?? 0],
      ['messages_dead_total', '22P02', now.dead ?? 0],
      ...Object.entries(now.refused ?? {}).map(
        ([reason, count]): Sample<'messages_refused_total'> => ['messages_refused_total', reason, count],
      ),
    ],
    gauges: [
      ['queue_messages', '', waiting],
      ['queue_bytes', '', now.waitingBytes ?? waiting * 100],
      ['queue_limit_messages', '', LIMIT_MESSAGES],
      ['queue_limit_bytes', '', LIMIT_BYTES],
      ['queue_oldest_timestamp_seconds', '', waiting === 0 ? 0 : seconds(sentAtMs - oldestMs)],
      ['last_commit_timestamp_seconds', '', seconds(committedAtMs)],
      ['last_try_timestamp_seconds', '', seconds(triedAtMs)],
      ['dead_letters', '', now.deadKept ?? now.dead ?? 0],
      ['dead_letters_limit', '', DEAD_LIMIT],
      ['database_connections', 'open', 2],
      ['database_connections', 'busy', now.busy ?? 0],
      ['database_connections_limit', '', 2],
    ],
    histograms: now.ack === undefined ? [] : [['ack_duration_seconds', 'committed', now.ack.snapshot()]],
    producers: [],
    events: [],
    database: null,
  };
}

export function databaseOf(connections: number, atMs: number, limit = 103): DatabaseReport {
  return {
    address: 'db.example.com:5432/app',
    atMs,
    serverVersion: '18.4',
    samples: [
      ['postgres_connections', 'active', Math.floor(connections / 2)],
      ['postgres_connections', 'idle', Math.ceil(connections / 2)],
      ['postgres_connections_limit', '', limit],
      ['postgres_connections_reserved', 'superuser', 3],
    ],
    hidden: [],
  };
}

/** A request that the receiver got. */
export interface Received {
  atMs: number;
  url: string;
  headers: Record<string, string>;
  body: Record<string, unknown>;
  text: string;
}

export interface DeploymentOptions {
  sqlite?: Sqlite;
  options?: AlertOptions;
  startMs?: number;
  /** What the receiver answers; default: 204. */
  answer?: (request: Received) => Response | Promise<Response>;
}

export class Deployment {
  nowMs: number;
  readonly sqlite: Sqlite;
  readonly received: Received[] = [];
  readonly events: MonitorEvent[] = [];
  alerts: Alerts;
  readonly #given: DeploymentOptions;
  readonly #reports = new Map<string, { report: ShardReport; receivedAtMs: number }>();
  databases: DatabaseReport[] = [];

  constructor(given: DeploymentOptions = {}) {
    this.#given = given;
    this.nowMs = given.startMs ?? START_MS;
    this.sqlite = given.sqlite ?? new NodeSqlite();
    this.alerts = this.#open();
  }

  /** The object is evicted, and started again. */
  restart(options: Partial<AlertsOptions> = {}): void {
    this.alerts = this.#open(options);
  }

  /** A shard reports. */
  report(now: ShardNow, sink = 'trades', shard = 0): void {
    const report = reportOf(sink, shard, now, this.nowMs);
    this.#reports.set(`${sink}/${shard}`, { report, receivedAtMs: this.nowMs });
    this.evaluate();
  }

  /** The monitor forgets a shard. */
  forget(sink = 'trades', shard = 0): void {
    this.#reports.delete(`${sink}/${shard}`);
    this.evaluate();
  }

  evaluate(): void {
    const input = { reports: [...this.#reports.values()], databases: this.databases };
    this.events.push(...this.alerts.evaluate(input, this.nowMs).events);
  }

  /** Time passes; whenever the alerts want to be looked at, they are, and what is due is delivered. */
  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      const dueMs = this.alerts.nextDueMs();
      if (dueMs === undefined || dueMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.evaluate();
      await this.alerts.deliver();
    }
    this.nowMs = endMs;
  }

  /** A shard reports every ten seconds; `now` is asked each time, with the milliseconds that have passed. */
  async run(ms: number, now: (passedMs: number) => ShardNow, sink = 'trades', shard = 0): Promise<void> {
    const startMs = this.nowMs;
    const endMs = startMs + ms;
    while (this.nowMs < endMs) {
      this.report(now(this.nowMs - startMs), sink, shard);
      await this.pass(Math.min(REPORT_MS, endMs - this.nowMs));
    }
  }

  firing(): string[] {
    return this.alerts
      .current()
      .filter(({ state }) => state === 'firing')
      .map(({ rule }) => rule);
  }

  find(rule: string): AlertView | undefined {
    return this.alerts.current().find((alert) => alert.rule === rule);
  }

  /** What was told, as `firing SluiceQueueOld`. */
  told(): string[] {
    return this.received.map(({ body }) => `${String(body.type).replace('alert.', '')} ${dataOf(body).rule}`);
  }

  #open(options: Partial<AlertsOptions> = {}): Alerts {
    const { answer = () => new Response(null, { status: 204 }) } = this.#given;
    let seed = 0;
    return new Alerts({
      sqlite: this.sqlite,
      now: () => this.nowMs,
      random: () => 0.5,
      randomId: uuidV7({
        now: () => this.nowMs,
        randomBytes: (bytes) => {
          seed += 1;
          bytes.fill(seed);
        },
      }),
      fetch: async (url, init) => {
        const text = String(init?.body);
        const headers = Object.fromEntries(new Headers(init?.headers));
        const request = {
          atMs: this.nowMs,
          url: String(url),
          headers,
          text,
          body: JSON.parse(text) as Record<string, unknown>,
        };
        this.received.push(request);
        return await answer(request);
      },
      options: alertSettings(
        this.#given.options ?? { webhooks: [{ url: 'https://alerts.example.com/in', secret: SECRET }] },
      ),
      ...options,
    });
  }
}

export function dataOf(body: Record<string, unknown>): Record<string, unknown> {
  return body.data as Record<string, unknown>;
}
