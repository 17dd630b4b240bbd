/**
 * The tickets that were used, in the shard's storage: a ticket that opened a socket opens no second one, also after a restart of
 * the shard. Each is remembered until it would have expired anyway.
 */

import { SluiceError } from '../core/errors.ts';
import { MAX_USED_TICKETS } from '../core/limits.ts';
import { hasTable, type Sqlite } from '../database/sqlite.ts';

/** Expired tickets that one use forgets: many at once would hold up what comes after. */
const PRUNED_AT_ONCE = 1_000;

export class UsedTickets {
  readonly #sqlite: Sqlite;
  readonly #maxTickets: number;
  /** How many there are; undefined before the first use, which looks. */
  #count: number | undefined;

  /** @param maxTickets that are remembered at the same time; beyond, tickets are refused until some have expired */
  constructor(sqlite: Sqlite, maxTickets = MAX_USED_TICKETS) {
    this.#sqlite = sqlite;
    this.#maxTickets = maxTickets;
  }

  /**
   * Uses a ticket up. All of it is one synchronous step, so two requests with one ticket cannot both pass.
   *
   * @throws SluiceError `unauthorized` where it was used before or has expired; `authorization_unavailable` where there is no room
   *   to remember another one
   */
  use({ id, untilMs }: { id: string; untilMs: number }, nowMs: number): void {
    if (untilMs <= nowMs) throw new SluiceError('unauthorized', 'The ticket has expired: get another one');
    const count = this.#prune(nowMs);
    if (this.#sqlite.run('select 1 from used_tickets where id = ?', id).length > 0)
      throw new SluiceError('unauthorized', 'The ticket was used before: get another one');
    if (count >= this.#maxTickets) {
      throw new SluiceError(
        'authorization_unavailable',
        'Too many tickets were used in the last seconds: try again later',
      );
    }
    this.#sqlite.run('insert into used_tickets (id, until_ms) values (?, ?)', id, untilMs);
    this.#count = count + 1;
  }

  // Pruned with each use: a timer for it would keep the shard awake.
  #prune(nowMs: number): number {
    const sqlite = this.#sqlite;
    if (this.#count === undefined && !hasTable(sqlite, 'used_tickets')) {
      sqlite.run('create table used_tickets (id text primary key, until_ms integer not null) without rowid');
      sqlite.run('create index used_tickets_until on used_tickets (until_ms)');
    }
    this.#count ??=
      sqlite.run<{ count: number }>('select count(*) as count from used_tickets')[0]?.count ?? 0;
    const pruned = sqlite.run(
      `delete from used_tickets where id in
         (select id from used_tickets where until_ms <= ? order by until_ms limit ${PRUNED_AT_ONCE}) returning 1`,
      nowMs,
    );
    this.#count -= pruned.length;
    return this.#count;
  }
}
