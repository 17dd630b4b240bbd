/**
 * The alerts of a deployment: looks at what the shards report, keeps what fires, and tells who wants to know. All of its state is in
 * SQLite, so it goes on after an eviction, and nothing is told twice or forgotten. No clock, no network and no randomness of its own.
 */

import { SluiceError } from '../../core/errors.ts';
import type { Sqlite } from '../../database/sqlite.ts';
import type { MonitorEvent } from '../shard-report.ts';
import type { AlertView } from '../view.ts';
import { type Alert, alertView } from './alert.ts';
import { alertEvents } from './alert-events.ts';
import type { AlertInput } from './alert-input.ts';
import { MAX_HISTORY } from './alert-table.ts';
import { Courier, type ReceiverView, type TryResult } from './courier.ts';
import { DeadNews } from './dead-news.ts';
import { DeliveryQueue } from './delivery-queue.ts';
import { AlertEngine } from './engine.ts';
import { databaseFacts, shardFacts } from './facts.ts';
import { Incidents } from './incidents.ts';
import { acknowledgedNotification, notificationOf, testNotification } from './make-notification.ts';
import type { AlertSettings } from './options.ts';
import { ShardMemory } from './shard-memory.ts';
import { MAX_SILENCE_MS, MAX_WHO_LENGTH, type Silence, type SilenceScope, Silences } from './silences.ts';

/** With more shards than this, each report would cost a look at all of them: then they are looked at twice a second at most. */
const MANY_SHARDS = 16;
const EVALUATE_EVERY_MS = 500;
const MAX_SHARDS = 4_096;
const MAX_DATABASES = 256;

export interface AlertsOptions {
  sqlite: Sqlite;
  /** Milliseconds since 1970. */
  now: () => number;
  fetch: typeof fetch;
  /** Ids in rising order: `uuidV7`. */
  randomId: () => string;
  /** From 0 to below 1. Default: `Math.random`. */
  random?: () => number;
  options: AlertSettings;
}

export interface SilenceRequest extends Partial<SilenceScope> {
  /** How long, from now on: up to 30 days. 0 ends a silence of the same rule, sink and shard. */
  forMs: number;
  /** Who asks: 1 to 100 characters. */
  by: string;
}

export interface TestResult extends Omit<TryResult, 'retryAfterMs'> {
  /** Of which webhook. */
  name: string;
}

export class Alerts {
  readonly #options: AlertsOptions;
  readonly #engine: AlertEngine;
  readonly #incidents: Incidents;
  readonly #silences: Silences;
  readonly #deadNews: DeadNews;
  readonly #courier: Courier;
  readonly #memories = new Map<string, ShardMemory>();
  #evaluatedAtMs = Number.NEGATIVE_INFINITY;
  #everyMs = 0;
  #isPutOff = false;
  #testing: Promise<TestResult[]> | undefined;

  constructor(options: AlertsOptions) {
    const { sqlite, now, fetch, randomId, random = Math.random, options: settings } = options;
    this.#options = options;
    this.#engine = new AlertEngine({ sqlite, rules: settings.rules, randomId });
    this.#incidents = new Incidents({ sqlite, randomId, find: (id) => this.#engine.table.find(id) });
    this.#silences = new Silences(sqlite);
    this.#deadNews = new DeadNews(sqlite);
    this.#courier = new Courier({
      webhooks: settings.webhooks,
      queue: new DeliveryQueue(sqlite),
      fetch,
      now,
      random,
    });
  }

  /**
   * Looks at everything, and puts what is to be told into the queue; `deliver` sends it. To be called when a report has come and when
   * `nextDueMs` says so. With more than 16 shards it looks twice a second at most, and `nextDueMs` says when it will again.
   *
   * @returns what has changed, for the log and the list of events: one event for all shards of a sink that changed together
   */
  evaluate(input: AlertInput, nowMs: number): { events: MonitorEvent[] } {
    // What was put off is looked at whatever the clock says: one that was set back must not end all alerts.
    const agoMs = nowMs - this.#evaluatedAtMs;
    this.#everyMs = input.reports.length > MANY_SHARDS ? EVALUATE_EVERY_MS : 0;
    if (agoMs >= 0 && agoMs < this.#everyMs) {
      this.#isPutOff = true;
      return { events: [] };
    }
    this.#evaluatedAtMs = nowMs;
    this.#isPutOff = false;
    const changes = this.#options.sqlite.transaction(() => {
      const made = this.#engine.evaluate(...this.#factsOf(input, nowMs), nowMs);
      this.#tell(nowMs);
      return made;
    });
    return { events: alertEvents(changes, nowMs) };
  }

  /** When something has to be looked at or delivered though no report comes; undefined: nothing. */
  nextDueMs(): number | undefined {
    const hasFiring = this.#engine.active.some(({ state }) => state === 'firing');
    const lookMs = Math.min(
      this.#engine.dueMs,
      this.#incidents.dueMs,
      hasFiring ? this.#silences.nextEndMs(this.#evaluatedAtMs) : Number.POSITIVE_INFINITY,
      this.#isPutOff ? this.#evaluatedAtMs : Number.POSITIVE_INFINITY,
    );
    // Earlier than that, nothing would be looked at: who asked at once would ask for ever.
    const dueMs = Math.min(this.#courier.dueMs, Math.max(lookMs, this.#evaluatedAtMs + this.#everyMs));
    return Number.isFinite(dueMs) ? dueMs : undefined;
  }

  /** Delivers what is due. Resolves when it is done, and never fails: what could not be delivered is tried again. */
  deliver(): Promise<void> {
    return this.#courier.deliver();
  }

  /** Those that fire, pages first, then those that are pending. */
  current(): AlertView[] {
    const rank = ({ state, severity }: Alert): number =>
      state === 'firing' ? Number(severity !== 'page') : 2;
    return this.#engine.active
      .toSorted((one, other) => rank(one) - rank(other) || one.activeAtMs - other.activeAtMs)
      .map((alert) => this.#view(alert));
  }

  /** Those that are over, the latest first. @param limit 1 to 500 */
  history(limit = MAX_HISTORY): AlertView[] {
    return this.#engine.table
      .history(Math.min(MAX_HISTORY, Math.max(1, limit)))
      .map((alert) => alertView(alert, null));
  }

  /** The silences that last. */
  silences(): Silence[] {
    return this.#silences.list(this.#options.now());
  }

  /** The receivers, and how deliveries to them went. */
  receivers(): ReceiverView[] {
    return this.#courier.receivers();
  }

  /**
   * Keeps alerts from being delivered for a time. They still fire, and are on the dashboard and in the history. What an open incident
   * ends with is still told to those who heard of it.
   *
   * @throws SluiceError `invalid_options`
   */
  silence({ rule = null, sink = null, shard = null, forMs, by }: SilenceRequest): Silence | null {
    const nowMs = this.#options.now();
    assertWho(by);
    if (rule !== null && !this.#knowsRule(rule)) {
      throw new SluiceError(
        'invalid_options',
        `There is no rule ${JSON.stringify(rule.slice(0, 60))} that is on`,
      );
    }
    if (!(forMs >= 0 && forMs <= MAX_SILENCE_MS))
      throw new SluiceError(
        'invalid_options',
        `A silence may last from 0 to ${MAX_SILENCE_MS / 1_000} seconds`,
      );
    const scope = { rule, sink, shard };
    if (forMs === 0) this.#silences.end(scope);
    const silence: Silence = {
      ...scope,
      id: this.#options.randomId(),
      untilMs: nowMs + forMs,
      by,
      createdAtMs: nowMs,
    };
    if (forMs > 0) this.#silences.add(silence);
    this.#options.sqlite.transaction(() => this.#tell(nowMs));
    return forMs === 0 ? null : silence;
  }

  /**
   * Notes that somebody has seen an alert and sees to it. Receivers that heard of it hear that too.
   *
   * @throws SluiceError `not_found` where there is no alert of this id; `invalid_options` without a name
   */
  acknowledge(id: string, by: string): AlertView {
    assertWho(by);
    const alert = this.#engine.acknowledge(id, by);
    if (alert === undefined)
      throw new SluiceError(
        'not_found',
        `There is no alert ${JSON.stringify(id.slice(0, 60))}: it may be too long ago`,
      );
    const incident = this.#incidents.toldIncident(alert);
    if (incident !== undefined) {
      this.#courier.enqueue(acknowledgedNotification(alert, incident, by, this.#making(this.#options.now())));
    }
    return this.#view(alert);
  }

  /** Sends a message to every receiver, and says what each answered. One test at a time: who asks meanwhile gets the same. */
  test(): Promise<TestResult[]> {
    const notification = testNotification(this.#making(this.#options.now()));
    this.#testing ??= this.#courier
      .test(notification)
      .then((results) => results.map(({ retryAfterMs: _, ...result }) => result))
      .finally(() => {
        this.#testing = undefined;
      });
    return this.#testing;
  }

  #factsOf({ reports, databases }: AlertInput, nowMs: number) {
    const seen = new Set<string>();
    const shards = reports.slice(0, MAX_SHARDS).map((reported) => {
      const key = `${reported.report.sink}/${reported.report.shard}`;
      seen.add(key);
      const memory = this.#memories.get(key) ?? new ShardMemory();
      this.#memories.set(key, memory);
      memory.note(reported);
      return shardFacts(reported, memory.figures(nowMs), this.#deadNews.note(reported, nowMs), nowMs);
    });
    for (const key of this.#memories.keys()) if (!seen.has(key)) this.#memories.delete(key);
    return [shards, databases.slice(0, MAX_DATABASES).map((report) => databaseFacts(report, nowMs))] as const;
  }

  #tell(nowMs: number): void {
    const firing = this.#engine.active.filter(({ state }) => state === 'firing');
    const news = this.#incidents.update(
      firing,
      (alert) => this.#silences.untilMs(alert, nowMs) !== null,
      nowMs,
    );
    for (const one of news) this.#courier.enqueue(notificationOf(one, this.#making(nowMs)));
  }

  #making(nowMs: number) {
    const { randomId, options } = this.#options;
    return { randomId, nowMs, settings: options };
  }

  #view(alert: Alert): AlertView {
    return alertView(alert, this.#silences.untilMs(alert, this.#options.now()));
  }

  #knowsRule(name: string): boolean {
    return this.#options.options.rules.some(({ rule }) => rule.name === name);
  }
}

function assertWho(by: string): void {
  if (typeof by === 'string' && by.trim() !== '' && by.length <= MAX_WHO_LENGTH) return;
  throw new SluiceError('invalid_options', `Say who you are: a name of 1 to ${MAX_WHO_LENGTH} characters`);
}
