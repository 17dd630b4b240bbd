/** Writes rows as a sink does and takes them back: would Postgres take them now? */

import type { Connection } from '../database/connection.ts';
import { rollback, runScript } from '../database/script.ts';
import { BEGIN } from './write-once.ts';
import type { Write } from './writer.ts';

/**
 * Resolves where Postgres takes the rows, constraints that are checked at COMMIT included, and rejects with what it refuses
 * them for. Nothing is written in either case. Takes three round trips.
 */
export async function tryWrite(connection: Connection, write: Write): Promise<void> {
  try {
    await runScript(connection, BEGIN);
    await write(connection, 'callers');
    await runScript(connection, ['set constraints all immediate', 'rollback']);
  } catch (error) {
    await rollback(connection, error);
    throw error;
  }
}
