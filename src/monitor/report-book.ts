/**
 * The latest report of each shard, kept in SQLite from one start of the monitor to the next, and what each one added to the history.
 * A report is kept when its step of the history is written, and not each second while somebody watches.
 */

import type { Sqlite } from '../database/sqlite.ts';
import { continuedReport } from './continued-counters.ts';
import { History, TIERS } from './history.ts';
import { pointOf } from './point-of.ts';
import { RecentReports } from './recent-reports.ts';
import { reportKey } from './report-key.ts';
import type { ShardReport, StoredReport } from './shard-report.ts';

/** Shards that are known at most. Those that reported the longest ago are forgotten first. */
const MAX_SHARDS = 2_048;

export interface KnownShard {
  id: number;
  latest: StoredReport;
  recent: RecentReports;
}

interface Kept extends KnownShard {
  /** The report up to which the history has all. */
  inHistory: ShardReport;
}

export class ReportBook {
  readonly #sqlite: Sqlite;
  readonly history: History;
  readonly #shards = new Map<string, Kept>();

  constructor(sqlite: Sqlite, history = new History(sqlite)) {
    this.#sqlite = sqlite;
    this.history = history;
    sqlite.run(
      'create table if not exists monitored_shards (id integer primary key, name text not null unique, received_at_ms integer not null, report text not null) strict',
    );
    for (const { id, received_at_ms, report } of sqlite.run<{
      id: number;
      received_at_ms: number;
      report: string;
    }>('select id, received_at_ms, report from monitored_shards')) {
      const read = JSON.parse(report) as ShardReport;
      const recent = new RecentReports();
      recent.add(read);
      this.#shards.set(reportKey(read), {
        id,
        latest: { report: read, receivedAtMs: received_at_ms },
        recent,
        inHistory: read,
      });
    }
  }

  /**
   * Takes a report. One that is older than what is known of its shard is passed over, as one that came late.
   *
   * @returns the report before it; undefined where it is the shard's first, or where it was passed over
   */
  take(given: ShardReport, nowMs: number): { before: ShardReport | undefined; isTaken: boolean } {
    const key = reportKey(given);
    const known = this.#shards.get(key);
    const before = known?.latest.report;
    if (before !== undefined && isOlder(given, before)) return { before, isTaken: false };
    const report = continuedReport(before, given);
    const latest = { report, receivedAtMs: nowMs };
    if (known === undefined) {
      this.#forgetOldest();
      const id = this.#insert(key, latest);
      const recent = new RecentReports();
      recent.add(report);
      this.history.add(id, nowMs, pointOf(undefined, report));
      this.#shards.set(key, { id, latest, recent, inHistory: report });
      return { before, isTaken: true };
    }
    known.latest = latest;
    known.recent.add(report);
    const { inHistory } = known;
    const [{ stepMs }] = TIERS;
    const isNewStep = Math.floor(report.sentAtMs / stepMs) !== Math.floor(inHistory.sentAtMs / stepMs);
    if (isNewStep || report.isLast || report.state !== inHistory.state) {
      this.history.add(known.id, nowMs, pointOf(inHistory, report));
      this.#sqlite.run(
        'update monitored_shards set received_at_ms = ?, report = ? where id = ?',
        nowMs,
        JSON.stringify(report),
        known.id,
      );
      known.inHistory = report;
    }
    return { before, isTaken: true };
  }

  /** All shards that ever reported, by sink and number. */
  all(): KnownShard[] {
    return [...this.#shards.values()].toSorted(
      ({ latest: { report: a } }, { latest: { report: b } }) =>
        (a.sink < b.sink ? -1 : a.sink > b.sink ? 1 : 0) || a.shard - b.shard,
    );
  }

  #insert(key: string, { report, receivedAtMs }: StoredReport): number {
    const [row] = this.#sqlite.run<{ id: number }>(
      'insert into monitored_shards (name, received_at_ms, report) values (?, ?, ?) on conflict (name) do update set report = excluded.report returning id',
      key,
      receivedAtMs,
      JSON.stringify(report),
    );
    return (row as { id: number }).id;
  }

  #forgetOldest(): void {
    if (this.#shards.size < MAX_SHARDS) return;
    let oldest: [string, Kept] | undefined;
    for (const entry of this.#shards)
      if (oldest === undefined || entry[1].latest.receivedAtMs < oldest[1].latest.receivedAtMs)
        oldest = entry;
    if (oldest === undefined) return;
    const [key, { id }] = oldest;
    this.#shards.delete(key);
    this.#sqlite.run('delete from monitored_shards where id = ?', id);
    this.history.forget(id);
  }
}

function isOlder(report: ShardReport, known: ShardReport): boolean {
  return report.sinceMs === known.sinceMs ? report.number <= known.number : report.sinceMs < known.sinceMs;
}
