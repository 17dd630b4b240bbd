/**
 * Writes a batch exactly once, however often it is tried.
 *
 * A lane of a shard numbers its messages by position: 0, 1, 2, ... A row of `sluice_checkpoints` says up to which
 * position the lane is settled. The transaction that writes the rows of [from, end) first moves that row from `fence`,
 * where it was last known to be, to `end`. Rows and checkpoint are committed together or not at all: a repetition
 * after a lost answer finds the checkpoint moved and writes nothing, and so does another instance of the shard.
 *
 * Nothing here needs a session: no prepared names, no advisory locks, settings of one transaction only. A pooler may
 * give every transaction another connection.
 */

import { getTableName, sql } from 'drizzle-orm';
import { SluiceError } from '../core/errors.ts';
import type { Failpoints } from '../core/failpoints.ts';
import { LOCK_TIME_LIMIT_MS, STATEMENT_TIME_LIMIT_MS, WRITE_TIME_LIMIT_MS } from '../core/limits.ts';
import { quoteName } from '../core/sql-text.ts';
import { type Connection, sqlState } from '../database/connection.ts';
import { markAboutCheckpoint } from '../database/fault-class.ts';
import { rollback, runScript } from '../database/script.ts';
import { type CheckpointKey, isKey, tableOf } from './checkpoint-key.ts';
import { NULL_IN_ARRAYS } from './table-types.ts';
import type { Write } from './writer.ts';

export interface WriteOnceOrder {
  key: CheckpointKey;
  /** The last known position of the checkpoint. Null: it was never written, so it is created. */
  fence: bigint | null;
  /** Position of the first message; at least `fence`. What lies between is settled without a row. */
  from: bigint;
  /** Position after the last message, where the checkpoint moves to; at least `from`, and above `fence`. */
  end: bigint;
}

export type WriteOnceEnd =
  /** The rows are in, and the checkpoint is at `end`. */
  | { state: 'committed' }
  /** The checkpoint was not at `fence`, so nothing was written. Null: there is no such row. */
  | { state: 'elsewhere'; position: bigint | null };

/**
 * Moves the checkpoint and writes the rows in one transaction. Takes one round trip to begin and move, those of the
 * write, and one to commit. To be repeated with the same order after any error: whether the rows are in or not, they
 * are in once in the end.
 *
 * The connection is either clean afterwards, outside of any transaction, or closed.
 *
 * @param write must leave the transaction alone; it is called with `callers`
 * @throws SluiceError `internal` for an order that contradicts itself, or when `write` has ended the transaction.
 *   Otherwise what failed: an error of the server (55P03: a lock was not to be had within 10 s) or of the connection
 */
export async function writeOnce(
  connection: Connection,
  order: WriteOnceOrder,
  write: Write,
  failpoints: Failpoints,
): Promise<WriteOnceEnd> {
  assertOrder(order);
  const beginning = [...BEGIN, moveStatement(order)];
  let isCommitted = false;
  try {
    const begun = await runScript(connection, beginning).catch((error: unknown) => {
      markAboutCheckpoint(error);
      throw checkpointError(error, order.key);
    });
    if (begun.at(-1)?.rowCount !== 1) {
      // Read within the transaction: the row that was in the way is committed, and no cache answers in its place.
      const position = await readCheckpoint(connection, order.key);
      await connection.db.execute(sql.raw('rollback'));
      return { state: 'elsewhere', position };
    }
    await failpoints.pass('after_begin');
    await write(connection, 'callers');
    await failpoints.pass('after_rows');
    const [ended] = await runScript(connection, ['commit']);
    // A COMMIT of a transaction that has failed is no error to Postgres: it answers ROLLBACK.
    if (ended?.command !== 'COMMIT') {
      throw new SluiceError(
        'internal',
        `A batch was not committed: COMMIT was answered by ${ended?.command}`,
      );
    }
    isCommitted = true;
    await failpoints.pass('after_commit');
    return { state: 'committed' };
  } catch (error) {
    if (!isCommitted) await rollback(connection, error);
    throw error;
  }
}

/** What failed about the checkpoint; where its table is not there, an error that says so. */
export function checkpointError(error: unknown, key: Pick<CheckpointKey, 'table'>): unknown {
  if (sqlState(error) !== UNDEFINED_TABLE) return error;
  const missing = new SluiceError(
    'database_refused',
    `The table of checkpoints ${getTableName(tableOf(key))} is not in this database: it was dropped, or DATABASE_URL names another database. Nothing is written without it; the command migrate creates it`,
    { cause: error },
  );
  markAboutCheckpoint(missing);
  return missing;
}

/** The SQLSTATE for a table that does not exist. */
const UNDEFINED_TABLE = '42P01';

/** The position of a checkpoint; null where there is no such row. */
export async function readCheckpoint({ db }: Connection, key: CheckpointKey): Promise<bigint | null> {
  const table = tableOf(key);
  const [row] = await db
    // Hyperdrive answers a SELECT from its cache for a minute unless it calls a volatile function (Cloudflare
    // documentation, "Query caching").
    .select({ position: table.position, readAt: sql`clock_timestamp()` })
    .from(table)
    .where(isKey(key));
  return row?.position ?? null;
}

/**
 * Creates the checkpoint of a new incarnation at a position: for an operator who lets a shard go on whose outbox and
 * checkpoint no longer fit together. May be repeated.
 *
 * @returns where the checkpoint is now: at `position`, or, where the incarnation was there before, at its own
 */
export async function startIncarnation(
  connection: Connection,
  key: CheckpointKey,
  position: bigint,
): Promise<bigint> {
  const { sink, shard, lane, incarnation } = key;
  await connection.db
    .insert(tableOf(key))
    .values({ sink, shard, lane, incarnation, position })
    .onConflictDoNothing();
  const found = await readCheckpoint(connection, key);
  if (found === null) throw new SluiceError('internal', 'A checkpoint that was just created is not there');
  return found;
}

// The second of two transactions that move a checkpoint has to see what the first has committed. A database's default
// may be stricter, and then it would get an error (40001) instead.
// A client that is gone without a word leaves its transaction open, and the checkpoint locked, until the server's TCP
// notices (two hours by default). The client has given up after WRITE_TIME_LIMIT_MS, so the server may as well.
/** Begins a transaction of a lane. */
export const BEGIN = [
  'begin isolation level read committed',
  `set local lock_timeout = ${LOCK_TIME_LIMIT_MS}`,
  `set local idle_in_transaction_session_timeout = ${WRITE_TIME_LIMIT_MS}`,
  NULL_IN_ARRAYS,
  // A shorter limit of the role or the database stays.
  `select set_config('statement_timeout', '${STATEMENT_TIME_LIMIT_MS}', true) where current_setting('statement_timeout') = '0' or current_setting('statement_timeout')::interval > '${STATEMENT_TIME_LIMIT_MS} ms'`,
];

/** Moves the checkpoint, or creates it: one row if it was where the order says, otherwise none. */
function moveStatement({ key, fence, end }: WriteOnceOrder): string {
  const table = quoteName(getTableName(tableOf(key)));
  const values = [quoteText(key.sink), quoteText(key.shard), String(key.lane), quoteText(key.incarnation)];
  if (fence === null) {
    return `insert into ${table} (sink, shard, lane, incarnation, position) values (${values.join(', ')}, ${end}) on conflict do nothing`;
  }
  const [sink, shard, lane, incarnation] = values;
  return `update ${table} set position = ${end}, updated_at = now() where sink = ${sink} and shard = ${shard} and lane = ${lane} and incarnation = ${incarnation} and position = ${fence}`;
}

// An order whose checkpoint would not move could be carried out twice.
function assertOrder({ key, fence, from, end }: WriteOnceOrder): void {
  const isSound =
    Number.isSafeInteger(key.lane) &&
    from >= 0n &&
    from <= end &&
    (fence === null || (fence <= from && fence < end));
  if (isSound) return;
  throw new SluiceError(
    'internal',
    `Lane ${key.lane} cannot write the positions ${from} to ${end} from a checkpoint at ${fence}`,
  );
}

/** A text as SQL writes it, whatever is in it and however the server is set to read backslashes. */
export function quoteText(text: string): string {
  // A statement ends at a NUL, and Postgres stores none.
  if (text.includes('\0')) throw new SluiceError('internal', 'A text for a statement holds a NUL character');
  return `E'${text.replaceAll(/['\\]/g, '$&$&')}'`;
}
