/**
 * Asks where a lane's checkpoint is, and why it is not to be seen; and hands it over to another incarnation. What is done
 * about a lane that has stopped, because checkpoint and outbox did not fit together.
 */

import { and, eq, getTableName, inArray, sql } from 'drizzle-orm';
import { quoteName } from '../core/sql-text.ts';
import type { Connection } from '../database/connection.ts';
import { type CheckpointKey, isLane, tableOf } from './checkpoint-key.ts';
import { checkpointError } from './write-once.ts';

/** Names the checkpoints of a lane, whatever their incarnation. */
export type LaneKey = Omit<CheckpointKey, 'incarnation'>;

/** Where a database has the checkpoint of a lane. */
export type CheckpointSurvey =
  | {
      state: 'found';
      incarnation: string;
      position: bigint;
      /** When it moved last, by the clock of the database: it has nothing that was committed later. */
      movedAtMs: number;
    }
  /** There is none to be seen, and row security is active for this role: it may be there. */
  | { state: 'hidden' }
  | {
      state: 'missing';
      /** True where no shard has a checkpoint there: the table was created, or emptied, since. */
      isTableEmpty: boolean;
    };

/**
 * Looks for the checkpoint of a lane under any of its incarnations. They all count the same messages, so the furthest says
 * what this database has.
 *
 * @throws SluiceError `database_refused` where the table is not there; otherwise what failed
 */
export async function surveyCheckpoints(
  { db }: Connection,
  key: LaneKey,
  incarnations: readonly string[],
): Promise<CheckpointSurvey> {
  const table = tableOf(key);
  const rows = await db
    // Hyperdrive answers a SELECT from its cache for a minute unless it calls a volatile function (Cloudflare
    // documentation, "Query caching").
    .select({
      incarnation: table.incarnation,
      position: table.position,
      movedAt: table.updatedAt,
      readAt: sql`clock_timestamp()`,
    })
    .from(table)
    .where(and(isLane(key), inArray(table.incarnation, [...incarnations])))
    .catch((error: unknown) => {
      throw checkpointError(error, key);
    });
  let found: (typeof rows)[number] | undefined;
  for (const row of rows) if (found === undefined || row.position > found.position) found = row;
  if (found !== undefined) {
    const { incarnation, position, movedAt } = found;
    return { state: 'found', incarnation, position, movedAtMs: movedAt.getTime() };
  }
  const name = quoteName(getTableName(table));
  const answer = (await db.execute(
    sql`select row_security_active(${name}::text) as hidden, not exists (select 1 from ${sql.raw(name)}) as empty, clock_timestamp() as read_at`,
  )) as unknown as { rows: { hidden: boolean; empty: boolean }[] };
  const [row] = answer.rows;
  return row?.hidden === true ? { state: 'hidden' } : { state: 'missing', isTableEmpty: row?.empty === true };
}

/**
 * Moves a lane's checkpoint to another incarnation, at a position. It is the same row, so a writer that still writes under the
 * old one, as a transaction that was given up and that the server has not ended yet, either comes first and moves it, or
 * finds it gone.
 *
 * @param from where it was found
 * @returns false where it is no longer there: nothing was changed
 */
export async function handOverCheckpoint(
  { db }: Connection,
  key: LaneKey,
  from: { incarnation: string; position: bigint },
  to: { incarnation: string; position: bigint },
): Promise<boolean> {
  const table = tableOf(key);
  const moved = await db
    .update(table)
    .set({ incarnation: to.incarnation, position: to.position, updatedAt: sql`now()` })
    .where(and(isLane(key), eq(table.incarnation, from.incarnation), eq(table.position, from.position)))
    .returning({ position: table.position });
  return moved.length === 1;
}
