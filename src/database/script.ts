/** Several statements in one message of the simple protocol, and the end of a transaction that failed. */

import { sql } from 'drizzle-orm';
import { withTimeLimit } from '../core/time-limit.ts';
import { type Connection, sqlState } from './connection.ts';

/** How long an ended transaction may take to be taken back before its connection is given up instead. */
const ROLLBACK_TIME_LIMIT_MS = 5_000;

export interface StatementResult {
  command: string;
  rowCount: number | null;
  rows: Record<string, unknown>[];
}

/**
 * Runs statements in one message, hence one round trip: several are possible in the simple protocol only, which takes
 * no parameters. Drizzle hands a text without parameters to both drivers in such a way, and both then answer with a
 * list of results where there are several.
 */
export async function runScript(
  { db }: Connection,
  statements: readonly string[],
): Promise<StatementResult[]> {
  const answer = (await db.execute(sql.raw(statements.join('; ')))) as unknown;
  return (Array.isArray(answer) ? answer : [answer]) as StatementResult[];
}

/** Ends a transaction that failed, so that the connection can be used again; closes the connection where that fails. */
export async function rollback(connection: Connection, error: unknown): Promise<void> {
  // Without an error of the server, nobody knows what the connection still waits for. Its end ends the transaction too.
  if (sqlState(error) === undefined) {
    connection.close();
    return;
  }
  try {
    await withTimeLimit(connection.db.execute(sql.raw('rollback')), ROLLBACK_TIME_LIMIT_MS, 'rolling back');
  } catch {
    // What failed first is thrown by the caller, and says more.
    connection.close();
  }
}
