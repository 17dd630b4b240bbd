/**
 * The alerts, as they outlive the object: those that are pending or fire, and those that are over. A row is written where a state
 * changes, and at no other time.
 */

import type { Sqlite } from '../../database/sqlite.ts';
import type { Alert } from './alert.ts';
import type { Severity } from './rule.ts';

/** Alerts that are kept after they are over, and for how long. */
export const MAX_HISTORY = 500;
export const HISTORY_MS = 90 * 86_400_000;

interface AlertRow {
  id: string;
  rule: string;
  severity: Severity;
  sink: string | null;
  shard: number | null;
  of_database: string | null;
  state: Alert['state'];
  active_at_ms: number;
  fired_at_ms: number | null;
  resolved_at_ms: number | null;
  clear_since_ms: number | null;
  keep_firing_ms: number;
  value: number;
  message: string;
  acknowledged_by: string | null;
}

const COLUMNS =
  'id, rule, severity, sink, shard, of_database, state, active_at_ms, fired_at_ms, resolved_at_ms, clear_since_ms, keep_firing_ms, value, message, acknowledged_by';

export class AlertTable {
  readonly #sqlite: Sqlite;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
    sqlite.run(
      `create table if not exists alerts (id text primary key, rule text not null, severity text not null, sink text, shard integer,
        of_database text, state text not null, active_at_ms integer not null, fired_at_ms integer, resolved_at_ms integer,
        clear_since_ms integer, keep_firing_ms integer not null, value real not null, message text not null,
        acknowledged_by text) without rowid`,
    );
  }

  /** Those that are pending or fire. */
  active(): Alert[] {
    return this.#sqlite
      .run<AlertRow>(`select ${COLUMNS} from alerts where state <> 'resolved' order by active_at_ms, id`)
      .map(alertOf);
  }

  /** Those that are over, the latest first. */
  history(limit = MAX_HISTORY): Alert[] {
    return this.#sqlite
      .run<AlertRow>(
        `select ${COLUMNS} from alerts where state = 'resolved' order by resolved_at_ms desc, id desc limit ?`,
        limit,
      )
      .map(alertOf);
  }

  find(id: string): Alert | undefined {
    return this.#sqlite.run<AlertRow>(`select ${COLUMNS} from alerts where id = ?`, id).map(alertOf)[0];
  }

  save(alert: Alert): void {
    this.#sqlite.run(
      `insert or replace into alerts (${COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      alert.id,
      alert.rule,
      alert.severity,
      alert.sink,
      alert.shard,
      alert.database,
      alert.state,
      Math.round(alert.activeAtMs),
      rounded(alert.firedAtMs),
      rounded(alert.resolvedAtMs),
      rounded(alert.clearSinceMs),
      alert.keepFiringMs,
      alert.value,
      alert.message,
      alert.acknowledgedBy,
    );
  }

  drop(id: string): void {
    this.#sqlite.run('delete from alerts where id = ?', id);
  }

  /** How often an alert of the same rule about the same thing has ended since then. */
  countEnded({ rule, sink, shard, database }: Alert, sinceMs: number): number {
    return Number(
      this.#sqlite.rows<[number]>(
        `select count(*) from alerts where state = 'resolved' and resolved_at_ms > ? and rule = ? and sink is ? and shard is ?
          and of_database is ?`,
        sinceMs,
        rule,
        sink,
        shard,
        database,
      )[0]?.[0] ?? 0,
    );
  }

  /** Drops what is older than `HISTORY_MS`, and what is more than `MAX_HISTORY`. */
  prune(nowMs: number): void {
    this.#sqlite.run(
      `delete from alerts where state = 'resolved' and (resolved_at_ms < ? or id in (
        select id from alerts where state = 'resolved' order by resolved_at_ms desc, id desc limit -1 offset ?))`,
      nowMs - HISTORY_MS,
      MAX_HISTORY,
    );
  }
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms);
}

function alertOf(row: AlertRow): Alert {
  return {
    id: row.id,
    rule: row.rule,
    severity: row.severity,
    sink: row.sink,
    shard: row.shard,
    database: row.of_database,
    state: row.state,
    activeAtMs: row.active_at_ms,
    firedAtMs: row.fired_at_ms,
    resolvedAtMs: row.resolved_at_ms,
    clearSinceMs: row.clear_since_ms,
    keepFiringMs: row.keep_firing_ms,
    value: row.value,
    message: row.message,
    acknowledgedBy: row.acknowledged_by,
  };
}
