/** What happened and what operators did, as the monitor keeps it: two lists in SQLite, each bounded. */

import type { Sqlite } from '../database/sqlite.ts';
import type { MonitorEvent, OperatorEntry } from './shard-report.ts';

/** Entries of each list that are kept: the latest. */
const MAX_ENTRIES = { events: 5_000, operators: 10_000 };

type List = keyof typeof MAX_ENTRIES;

export class MonitorLog {
  readonly #sqlite: Sqlite;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
    for (const list of Object.keys(MAX_ENTRIES))
      sqlite.run(
        `create table if not exists monitor_${list} (id integer primary key autoincrement, at_ms integer not null, entry text not null) strict`,
      );
  }

  addEvents(events: readonly MonitorEvent[]): void {
    for (const event of events) this.#add('events', event);
  }

  addOperator(entry: OperatorEntry): void {
    this.#add('operators', entry);
  }

  /** The latest first. */
  latestEvents(limit: number): MonitorEvent[] {
    return this.#latest('events', limit);
  }

  latestOperators(limit: number): OperatorEntry[] {
    return this.#latest('operators', limit);
  }

  /** Events of some kinds within a time, oldest first, at most 500: the latest of them. */
  eventsBetween(fromMs: number, toMs: number, kinds: readonly MonitorEvent['kind'][]): MonitorEvent[] {
    return this.#sqlite
      .run<{ entry: string }>(
        `select entry from monitor_events where at_ms >= ? and at_ms < ? and entry ->> 'kind' in (${kinds.map(() => '?').join(', ')}) order by id desc limit 500`,
        fromMs,
        toMs,
        ...kinds,
      )
      .map(({ entry }) => JSON.parse(entry) as MonitorEvent)
      .reverse();
  }

  #add(list: List, entry: MonitorEvent | OperatorEntry): void {
    const [row] = this.#sqlite.run<{ id: number }>(
      `insert into monitor_${list} (at_ms, entry) values (?, ?) returning id`,
      entry.atMs,
      JSON.stringify(entry),
    );
    this.#sqlite.run(`delete from monitor_${list} where id <= ?`, (row?.id ?? 0) - MAX_ENTRIES[list]);
  }

  #latest<Entry>(list: List, limit: number): Entry[] {
    return this.#sqlite
      .run<{ entry: string }>(`select entry from monitor_${list} order by id desc limit ?`, limit)
      .map(({ entry }) => JSON.parse(entry) as Entry);
  }
}
