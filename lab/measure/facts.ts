/** What a report says about the database, read from the database itself. */

import { sql } from 'drizzle-orm';
import type { Database } from '../../src/database/connection.ts';
import { type DatabaseTarget, describeTarget } from '../../src/database/target.ts';

/** Settings that change what a write costs; without them two figures cannot be compared. */
const SETTINGS = ['fsync', 'synchronous_commit', 'shared_buffers', 'max_wal_size', 'full_page_writes'];

export async function databaseFacts(db: Database, target: DatabaseTarget): Promise<Record<string, string>> {
  const result = (await db.execute(
    sql.raw(
      `select name, current_setting(name) as value from unnest(array['server_version',${SETTINGS.map((name) => `'${name}'`).join(',')}]) as name`,
    ),
  )) as unknown as { rows: { name: string; value: string }[] };
  const values = Object.fromEntries(result.rows.map(({ name, value }) => [name, value]));
  const { server_version: version, ...settings } = values;
  return { version: `PostgreSQL ${version}`, address: describeTarget(target), ...settings };
}
