/** Bookmarks of handlers in SQLite: a Durable Object's own, or Node's. */

import { SluiceError } from '../../core/errors.ts';
import { quoteName } from '../../core/sql-text.ts';
import type { Sqlite } from '../../database/sqlite.ts';
import type { BookmarkMove, HandlerDatabase } from '../handler.ts';

/** What a handler on SQLite may return: nothing, and no promise, since a transaction of SQLite is one synchronous step. */
// biome-ignore lint/suspicious/noConfusingVoidType: to `void` alone, functions of any result may be assigned, also async ones
export type SqliteEffect = undefined | void;

export interface SqliteHandlerDatabaseOptions {
  /** The table of bookmarks, made where there is none. Default: `sluice_bookmarks`. */
  table?: string;
}

export class SqliteHandlerDatabase implements HandlerDatabase<Sqlite, SqliteEffect> {
  readonly #sqlite: Sqlite;
  readonly #table: string;

  constructor(sqlite: Sqlite, { table = 'sluice_bookmarks' }: SqliteHandlerDatabaseOptions = {}) {
    this.#sqlite = sqlite;
    this.#table = quoteName(table);
    sqlite.run(
      `create table if not exists ${this.#table} (handler text primary key, position integer not null) without rowid`,
    );
  }

  async bookmark(handler: string): Promise<bigint> {
    return this.#read(handler);
  }

  async move<Event extends { position: bigint }>(
    handler: string,
    from: bigint,
    events: readonly Event[],
    effect: (event: Event, transaction: Sqlite) => SqliteEffect,
  ): Promise<BookmarkMove> {
    const move = this.#sqlite.transaction((): BookmarkMove => {
      const found = this.#read(handler);
      if (found !== from) return { isMoved: false, position: found };
      let position = from;
      for (const event of events) {
        const result: unknown = effect(event, this.#sqlite);
        if (isThenable(result)) throw asynchronous(result);
        position = event.position;
      }
      this.#sqlite.run(
        `insert into ${this.#table} (handler, position) values (?, ?) on conflict do update set position = excluded.position`,
        handler,
        Number(position),
      );
      return { isMoved: true, position };
    });
    await this.#sqlite.sync();
    return move;
  }

  #read(handler: string): bigint {
    const [row] = this.#sqlite.rows<[number]>(
      `select position from ${this.#table} where handler = ?`,
      handler,
    );
    return BigInt(row?.[0] ?? 0);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function asynchronous(result: PromiseLike<unknown>): SluiceError {
  // What it does later is nobody's to wait for; without this, its failure would end the process.
  Promise.resolve(result).catch(() => {});
  return new SluiceError(
    'invalid_options',
    'A handler on SQLite must be synchronous: what it does after its first await would be outside of the transaction',
    { details: { option: 'handle' } },
  );
}
