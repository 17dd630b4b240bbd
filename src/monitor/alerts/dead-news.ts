/**
 * Which messages have lately become dead letters. What was told once is not told again: the total of each shard is kept, and a row is
 * written where it has grown. A shard that is seen for the first time and has dead letters has news.
 */

import type { Sqlite } from '../../database/sqlite.ts';
import type { StoredReport } from '../shard-report.ts';
import { sampleSum } from './alert-input.ts';
import type { ShardFacts } from './facts.ts';
import { DEAD_LETTER_NEWS_MS } from './rules.ts';

const MAX_ROWS = 4_096;

interface Known {
  total: number;
  /** The total before the first of those that are news. */
  newsFrom: number;
  atMs: number;
}

type NewsRow = [sink: string, shard: number, total: number, newsFrom: number, atMs: number];

export class DeadNews {
  readonly #sqlite: Sqlite;
  readonly #known: Map<string, Known>;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
    sqlite.run(
      'create table if not exists alert_dead_letters (sink text not null, shard integer not null, total integer not null, news_from integer not null, at_ms integer not null, primary key (sink, shard)) without rowid',
    );
    const rows = sqlite.rows<NewsRow>('select sink, shard, total, news_from, at_ms from alert_dead_letters');
    this.#known = new Map(
      rows.map(([sink, shard, total, newsFrom, atMs]) => [key(sink, shard), { total, newsFrom, atMs }]),
    );
  }

  /** Takes in a report, and says what is news at `nowMs`. */
  note({ report, receivedAtMs }: StoredReport, nowMs: number): Pick<ShardFacts, 'deadNews' | 'deadAgoMs'> {
    const { sink, shard, counters, gauges } = report;
    const total = sampleSum(counters, 'messages_dead_total');
    const before = this.#known.get(key(sink, shard));
    const known = grown(before, total, sampleSum(gauges, 'dead_letters'), receivedAtMs);
    if (known !== before && known !== undefined) this.#save(sink, shard, known);
    if (known === undefined) return { deadNews: 0, deadAgoMs: Number.POSITIVE_INFINITY };
    return { deadNews: known.total - known.newsFrom, deadAgoMs: Math.max(0, nowMs - known.atMs) };
  }

  #save(sink: string, shard: number, { total, newsFrom, atMs }: Known): void {
    if (!this.#known.has(key(sink, shard)) && this.#known.size >= MAX_ROWS) this.#dropOldest();
    this.#known.set(key(sink, shard), { total, newsFrom, atMs });
    this.#sqlite.run(
      'insert or replace into alert_dead_letters (sink, shard, total, news_from, at_ms) values (?, ?, ?, ?, ?)',
      sink,
      shard,
      total,
      newsFrom,
      Math.round(atMs),
    );
  }

  #dropOldest(): void {
    const [oldest] = this.#sqlite.rows<[string, number]>(
      'select sink, shard from alert_dead_letters order by at_ms limit 1',
    );
    if (oldest === undefined) return;
    this.#known.delete(key(...oldest));
    this.#sqlite.run('delete from alert_dead_letters where sink = ? and shard = ?', ...oldest);
  }
}

function key(sink: string, shard: number): string {
  return `${sink}/${shard}`;
}

function grown(before: Known | undefined, total: number, kept: number, atMs: number): Known | undefined {
  if (before === undefined) {
    if (total === 0) return undefined;
    // Those that are gone already were dealt with before anybody counted here.
    return kept > 0
      ? { total, newsFrom: Math.max(0, total - kept), atMs }
      : { total, newsFrom: total, atMs: 0 };
  }
  if (total === before.total) return before;
  // Storage that was lost begins to count from 0 again.
  if (total < before.total) return { total, newsFrom: total, atMs: 0 };
  const isGoingOn = atMs - before.atMs < DEAD_LETTER_NEWS_MS;
  return { total, newsFrom: isGoingOn ? before.newsFrom : before.total, atMs };
}
