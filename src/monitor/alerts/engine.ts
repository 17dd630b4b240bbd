/**
 * From conditions to alerts: pending, firing, resolved, as in Prometheus (`for`, `keep_firing_for`), with a condition to fire and
 * another one to end. Each alert that fires ends exactly once, also if the object is evicted in between, or its rule or shard is gone.
 */

import type { Sqlite } from '../../database/sqlite.ts';
import { type Alert, keyOf, type Subject, subjectText } from './alert.ts';
import { AlertTable } from './alert-table.ts';
import type { DatabaseFacts, ShardFacts } from './facts.ts';
import { type ActiveRule, judge, type Verdict } from './rule.ts';

/** Alerts at the same time. What is more is not looked at before others are over. */
const MAX_ACTIVE = 1_000;
const MAX_MESSAGE_LENGTH = 500;

/** What came and went twice within this time flaps: then it has to be away for longer before it is over, up to `MAX_KEEP_MS`. */
const FLAP_MS = 600_000;
const QUICK_ENDS = 2;
const FLAP_KEEP_MS = 30_000;
const MAX_KEEP_MS = 600_000;

export interface AlertChange {
  to: 'firing' | 'resolved';
  /** As it was at that moment. */
  alert: Readonly<Alert>;
}

export interface AlertEngineOptions {
  sqlite: Sqlite;
  rules: readonly ActiveRule[];
  /** Ids in rising order: `uuidV7`. */
  randomId: () => string;
}

/** One rule about one thing, at this moment. */
interface Finding {
  active: ActiveRule;
  subject: Subject;
  verdict: Verdict;
  message: () => string;
}

export class AlertEngine {
  readonly table: AlertTable;
  readonly #options: AlertEngineOptions;
  readonly #alerts: Map<string, Alert>;
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(options: AlertEngineOptions) {
    this.#options = options;
    this.table = new AlertTable(options.sqlite);
    this.#alerts = new Map(this.table.active().map((alert) => [keyOf(alert), alert]));
  }

  /** Those that are pending or fire. */
  get active(): readonly Alert[] {
    return [...this.#alerts.values()];
  }

  /** When time alone may change something; Infinity where only a report does. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** Looks at everything once. What is not among the facts any more is over. */
  evaluate(shards: readonly ShardFacts[], databases: readonly DatabaseFacts[], nowMs: number): AlertChange[] {
    const changes: AlertChange[] = [];
    const seen = new Set<string>();
    this.#dueMs = Number.POSITIVE_INFINITY;
    for (const finding of this.#findings(shards, databases)) {
      const key = keyOf(finding.subject);
      seen.add(key);
      const change = this.#step(key, finding, nowMs);
      if (change !== undefined) changes.push(change);
    }
    for (const [key, alert] of this.#alerts) {
      if (seen.has(key)) continue;
      const change = this.#clear(key, alert, nowMs);
      if (change !== undefined) changes.push(change);
    }
    if (changes.some(({ to }) => to === 'resolved')) this.table.prune(nowMs);
    return changes;
  }

  /** @returns the alert; undefined where there is none of this id */
  acknowledge(id: string, by: string): Alert | undefined {
    const alert = this.active.find((one) => one.id === id) ?? this.table.find(id);
    if (alert === undefined) return undefined;
    alert.acknowledgedBy = by;
    this.table.save(alert);
    return alert;
  }

  *#findings(shards: readonly ShardFacts[], databases: readonly DatabaseFacts[]): Generator<Finding> {
    for (const active of this.#options.rules) {
      const { rule, limit } = active;
      if (rule.of === 'shard') {
        for (const facts of shards) {
          const subject = { rule: rule.name, sink: facts.sink, shard: facts.shard, database: null };
          const message = () => `${subjectText(subject)}: ${rule.sentence(facts, limit)}`;
          yield { active, subject, verdict: judge(rule, facts, limit), message };
        }
      } else {
        for (const facts of databases) {
          const subject = { rule: rule.name, sink: null, shard: null, database: facts.database };
          const message = () => `${subjectText(subject)}: ${rule.sentence(facts, limit)}`;
          yield { active, subject, verdict: judge(rule, facts, limit), message };
        }
      }
    }
  }

  #step(key: string, finding: Finding, nowMs: number): AlertChange | undefined {
    const alert = this.#alerts.get(key) ?? this.#begin(key, finding, nowMs);
    if (alert === undefined) return undefined;
    const { verdict } = finding;
    if (alert.state === 'firing') {
      if (verdict.resolves === true) return this.#clear(key, alert, nowMs);
      this.#due(nowMs, verdict.resolvesInMs);
      if (verdict.resolves === false) this.#holds(alert, finding);
      return undefined;
    }
    // What is not known does not hold, as in Prometheus where no figures come.
    if (verdict.fires !== true) {
      this.#alerts.delete(key);
      this.table.drop(alert.id);
      return undefined;
    }
    const pendingMs = nowMs - alert.activeAtMs;
    if (pendingMs >= finding.active.forMs) return this.#fire(alert, finding, nowMs);
    this.#due(nowMs, finding.active.forMs - pendingMs);
    return undefined;
  }

  /** @returns a pending alert where the condition holds */
  #begin(key: string, { active, subject, verdict, message }: Finding, nowMs: number): Alert | undefined {
    if (verdict.fires !== true || this.#alerts.size >= MAX_ACTIVE) {
      this.#due(nowMs, verdict.firesInMs);
      return undefined;
    }
    const alert: Alert = {
      ...subject,
      id: this.#options.randomId(),
      severity: active.severity,
      state: 'pending',
      activeAtMs: nowMs,
      firedAtMs: null,
      resolvedAtMs: null,
      clearSinceMs: null,
      keepFiringMs: active.keepFiringMs,
      value: verdict.value,
      message: bounded(message()),
      acknowledgedBy: null,
    };
    this.#alerts.set(key, alert);
    // One that fires at once is written then.
    if (active.forMs > 0) this.table.save(alert);
    return alert;
  }

  #fire(alert: Alert, { active, verdict, message }: Finding, nowMs: number): AlertChange {
    alert.state = 'firing';
    alert.firedAtMs = nowMs;
    alert.keepFiringMs = this.#keepFiringMs(alert, active.keepFiringMs, nowMs);
    alert.value = verdict.value;
    alert.message = bounded(message());
    this.table.save(alert);
    this.#due(nowMs, verdict.resolvesInMs);
    return { to: 'firing', alert: { ...alert } };
  }

  #keepFiringMs(alert: Alert, usualMs: number, nowMs: number): number {
    const ends = this.table.countEnded(alert, nowMs - FLAP_MS);
    if (ends < QUICK_ENDS) return usualMs;
    return Math.max(usualMs, Math.min(MAX_KEEP_MS, FLAP_KEEP_MS * 2 ** (ends - QUICK_ENDS)));
  }

  #holds(alert: Alert, { verdict, message }: Finding): void {
    alert.value = verdict.value;
    alert.message = bounded(message());
    if (alert.clearSinceMs === null) return;
    alert.clearSinceMs = null;
    this.table.save(alert);
  }

  /** Its condition is over: it ends if that has lasted. */
  #clear(key: string, alert: Alert, nowMs: number): AlertChange | undefined {
    if (alert.state !== 'firing') {
      this.#alerts.delete(key);
      this.table.drop(alert.id);
      return undefined;
    }
    if (alert.clearSinceMs === null) {
      alert.clearSinceMs = nowMs;
      if (alert.keepFiringMs > 0) this.table.save(alert);
    }
    const clearMs = nowMs - alert.clearSinceMs;
    if (clearMs < alert.keepFiringMs) {
      this.#due(nowMs, alert.keepFiringMs - clearMs);
      return undefined;
    }
    this.#alerts.delete(key);
    alert.state = 'resolved';
    alert.resolvedAtMs = nowMs;
    this.table.save(alert);
    return { to: 'resolved', alert: { ...alert } };
  }

  #due(nowMs: number, inMs: number | undefined): void {
    if (inMs !== undefined) this.#dueMs = Math.min(this.#dueMs, nowMs + inMs);
  }
}

function bounded(message: string): string {
  return message.replaceAll(/\s+/g, ' ').slice(0, MAX_MESSAGE_LENGTH).toWellFormed();
}
