/** An alert: one rule about one shard or database, from when its condition begins to hold until it is over. */

import type { AlertView } from '../view.ts';
import { remedyOf } from './remedies.ts';
import { runbookOf, type Severity } from './rule.ts';

export interface Alert {
  /** Given once, when the condition begins to hold. */
  readonly id: string;
  readonly rule: string;
  readonly severity: Severity;
  readonly sink: string | null;
  readonly shard: number | null;
  /** The name of the database, where it is about one. */
  readonly database: string | null;
  state: AlertView['state'];
  readonly activeAtMs: number;
  firedAtMs: number | null;
  resolvedAtMs: number | null;
  /** Since when the condition has ended while the alert still fires. */
  clearSinceMs: number | null;
  /** How long it fires on then: longer where it has come and gone lately. */
  keepFiringMs: number;
  value: number;
  message: string;
  acknowledgedBy: string | null;
}

/** What an alert is about, and by which rule. */
export type Subject = Pick<Alert, 'rule' | 'sink' | 'shard' | 'database'>;

/** Tells the alerts of one moment apart. */
export function keyOf({ rule, sink, shard, database }: Subject): string {
  return JSON.stringify([rule, sink, shard, database]);
}

/** Alerts that are told together: those of one rule about one sink. */
export function groupOf({ rule, sink, database }: Subject): string {
  return JSON.stringify([rule, sink, database]);
}

/** What a group is about. */
export function groupSubject(group: string): Pick<Subject, 'rule' | 'sink' | 'database'> {
  const [rule, sink, database] = JSON.parse(group) as [string, string | null, string | null];
  return { rule, sink, database };
}

/** `trades, shard 2`; `database "app"`. */
export function subjectText({ sink, shard, database }: Subject): string {
  if (database !== null) return `database ${JSON.stringify(database)}`;
  return shard === null ? String(sink) : `${sink}, shard ${shard}`;
}

export function alertView(alert: Alert, silencedUntilMs: number | null): AlertView {
  const { id, rule, severity, sink, shard, state } = alert;
  const { activeAtMs, firedAtMs, resolvedAtMs, value, message, acknowledgedBy } = alert;
  return {
    id,
    rule,
    severity,
    sink,
    shard,
    state,
    activeAtMs,
    firedAtMs,
    resolvedAtMs,
    value,
    message,
    remedy: remedyOf(rule),
    runbook: runbookOf(rule),
    silencedUntilMs,
    acknowledgedBy,
  };
}
