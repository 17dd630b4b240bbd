/** The INSERT of a single row by Drizzle, with a sink's rule for rows that meet under a unique key. */

import { type SQL, sql } from 'drizzle-orm';
import type { Database } from '../database/connection.ts';
import type { TableSink } from '../sinks/sink.ts';
import { conflictClause } from './conflict-sql.ts';
import { conflictError } from './merging.ts';

/** An INSERT as Drizzle builds it: run when it is awaited, or taken as SQL. */
type Insert = PromiseLike<unknown> & { getSQL(): SQL };

/**
 * Makes what runs an INSERT of the sink. Drizzle's own `onConflictDoUpdate` would also set columns that have an `$onUpdate`, which
 * the other writers do not.
 */
export function insertFollowing(sink: TableSink): (insert: Insert, db: Database) => Promise<void> {
  const clause = conflictClause(sink);
  return async (insert, db) => {
    if (clause === '') await insert;
    else
      await db.execute(sql`${insert.getSQL()}${sql.raw(clause)}`).catch((error: unknown) => {
        throw conflictError(error, sink);
      });
  };
}
