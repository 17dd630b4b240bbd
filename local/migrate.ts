/** Brings a database's tables up to date with src/schema. */

import { join } from 'node:path';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { PgClient } from '../src/database/client.ts';
import { Handshake } from '../src/database/handshake.ts';
import { describeTarget, resolveTarget } from '../src/database/target.ts';
import { errorText, SluiceError } from '../src/errors.ts';
import { CONNECT_TIME_LIMIT_MS } from '../src/limits.ts';
import { REPOSITORY } from './repository.ts';

/**
 * Applies the migrations that the database does not have yet. Always over TCP: use a direct address, not a pooler's.
 *
 * @throws SluiceError `database_unreachable`, or `database_refused` when a migration fails
 */
export async function migrateDatabase(databaseUrl: string): Promise<void> {
  const target = resolveTarget({ databaseUrl, driver: 'tcp' });
  const client = new PgClient(target.url, { connectionTimeoutMillis: CONNECT_TIME_LIMIT_MS });
  const handshake = new Handshake();
  handshake.watch(client);
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    throw new SluiceError(
      'database_unreachable',
      `Cannot reach the database ${describeTarget(target)}: ${handshake.reasonOf(error)}`,
      { cause: error },
    );
  }
  try {
    await migrate(drizzle(client), { migrationsFolder: join(REPOSITORY, 'src/schema/migrations') });
  } catch (error) {
    throw new SluiceError(
      'database_refused',
      `Could not migrate ${describeTarget(target)}: ${errorText(error)}`,
      { cause: error },
    );
  } finally {
    await client.end();
  }
}
