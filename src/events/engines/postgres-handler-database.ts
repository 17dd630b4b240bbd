/**
 * Bookmarks of handlers in Postgres, in a table beside what the handlers write. Nothing here needs a session: the lock is that of a
 * row, and settings last as long as the transaction, so that a transaction pooler may be in between.
 */

import { type SQL, sql } from 'drizzle-orm';
import { SluiceError } from '../../core/errors.ts';
import { LOCK_TIME_LIMIT_MS, WRITE_TIME_LIMIT_MS } from '../../core/limits.ts';
import { quoteName } from '../../core/sql-text.ts';
import { type Connection, type Database, sqlState } from '../../database/connection.ts';
import type { ConnectionLender } from '../../database/connection-pool.ts';
import type { BookmarkMove, HandlerDatabase } from '../handler.ts';

/** Drizzle, within the transaction of a handler. What the handler returns is waited for, such as a query. */
export type HandlerTransaction = Parameters<Parameters<Database['transaction']>[0]>[0];

export interface PostgresHandlerDatabaseOptions {
  /**
   * Lends connections; a `ConnectionPool`. Its `useTimeLimitMs` (30 s by default) is how long a transaction may take, with all the
   * events of its batch.
   */
  connections: ConnectionLender;
  /** The table of bookmarks, made at the first use where there is none. Default: `sluice_bookmarks`. */
  table?: string;
  /**
   * How long to wait for a lock: that of the bookmark, while another runner is at work, after which this one begins again;
   * or one that the handler's statements need, which then fail. Default: 10,000.
   */
  lockTimeLimitMs?: number;
}

export class PostgresHandlerDatabase implements HandlerDatabase<HandlerTransaction, unknown> {
  readonly #connections: ConnectionLender;
  readonly #table: SQL;
  readonly #settings: SQL;

  /** @throws SluiceError `invalid_options` */
  constructor({
    connections,
    table = 'sluice_bookmarks',
    lockTimeLimitMs = LOCK_TIME_LIMIT_MS,
  }: PostgresHandlerDatabaseOptions) {
    // 0 would be no limit to Postgres.
    if (!Number.isSafeInteger(lockTimeLimitMs) || lockTimeLimitMs < 1)
      throw new SluiceError(
        'invalid_options',
        `lockTimeLimitMs must be a whole number from 1: ${lockTimeLimitMs}`,
        { details: { option: 'lockTimeLimitMs' } },
      );
    this.#connections = connections;
    this.#table = sql.raw(quoteName(table));
    // A client that is gone without a word would keep the bookmark locked until the server's TCP notices (two hours by default).
    this.#settings = sql.raw(
      `set local lock_timeout = ${lockTimeLimitMs}; set local idle_in_transaction_session_timeout = ${WRITE_TIME_LIMIT_MS}`,
    );
  }

  async bookmark(handler: string): Promise<bigint> {
    return this.#connections.use(async (connection) => {
      try {
        return (await this.#read(connection.db, handler)) ?? 0n;
      } catch (error) {
        if (sqlState(error) !== MISSING_TABLE) throw error;
        await this.#createTable(connection);
        return 0n;
      }
    });
  }

  async move<Event extends { position: bigint }>(
    handler: string,
    from: bigint,
    events: readonly Event[],
    effect: (event: Event, transaction: HandlerTransaction) => unknown,
  ): Promise<BookmarkMove> {
    return this.#connections.use(async ({ db }) => {
      let isLocked = false;
      try {
        return await db.transaction(
          async (transaction) => {
            await transaction.execute(this.#settings);
            const found = await this.#lock(transaction, handler);
            isLocked = true;
            if (found !== from) return { isMoved: false, position: found };
            let position = from;
            for (const event of events) {
              await effect(event, transaction);
              position = event.position;
            }
            // The last statement: were the transaction in a state of failure that the handler has hidden, this one would fail, while a
            // COMMIT would be answered with a silent ROLLBACK.
            await transaction.execute(
              sql`update ${this.#table} set position = ${String(position)}::bigint, updated_at = now() where handler = ${handler}`,
            );
            return { isMoved: true, position };
          },
          // What the one before has committed under the lock must be seen, whatever the database's default is.
          { isolationLevel: 'read committed' },
        );
      } catch (error) {
        // Another runner is at work for longer than a statement may wait. That is no failure: it is waited for again.
        if (isLocked || sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
        return { isMoved: false, position: (await this.#read(db, handler)) ?? 0n };
      }
    });
  }

  async #lock(transaction: HandlerTransaction, handler: string): Promise<bigint> {
    const locked = await this.#read(transaction, handler, sql`for update`);
    if (locked !== undefined) return locked;
    // The second one waits here for the first, and finds its row then.
    await transaction.execute(
      sql`insert into ${this.#table} (handler, position) values (${handler}, 0) on conflict do nothing`,
    );
    return (await this.#read(transaction, handler, sql`for update`)) ?? 0n;
  }

  async #read(db: Database, handler: string, lock = sql``): Promise<bigint | undefined> {
    // Hyperdrive answers a SELECT from its cache for a minute unless it calls a volatile function (Cloudflare documentation,
    // "Query caching").
    const result = await db.execute(
      sql`select position::text, clock_timestamp() from ${this.#table} where handler = ${handler} ${lock}`,
    );
    const [row] = (result as unknown as { rows: { position: string }[] }).rows;
    return row === undefined ? undefined : BigInt(row.position);
  }

  async #createTable({ db }: Connection): Promise<void> {
    try {
      await db.execute(
        sql`create table if not exists ${this.#table} (handler text collate "C" primary key, position bigint not null, updated_at timestamptz not null default now())`,
      );
    } catch (error) {
      // `if not exists` looks before it locks: of two that come at the same time, one fails.
      if (!MADE_BY_OTHERS.has(sqlState(error) ?? '')) throw error;
    }
  }
}

// SQLSTATEs: PostgreSQL documentation, appendix "PostgreSQL Error Codes".
const MISSING_TABLE = '42P01';
const LOCK_NOT_AVAILABLE = '55P03';
// 42710: the type that belongs to the table was there a moment before it.
const MADE_BY_OTHERS = new Set(['23505', '42710', '42P07']);
