import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { getTableConfig } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { migrateDatabase } from '../../../local/migrate.ts';
import { REPOSITORY } from '../../../local/repository.ts';
import { deadLetters } from '../../../src/schema/dead-letters.ts';
import * as generated from '../../../src/schema/index.ts';
import { HISTORY_TABLE } from '../../../src/schema/sluice-tables.ts';
import { rowsOf } from '../../support/connect.ts';
import { ownDatabase } from '../../support/own-database.ts';

const FOLDER = join(REPOSITORY, 'src/schema/migrations');
/** Those of drizzle's folder, and what Sluice's own steps add. */
const tables = { ...generated, deadLetters };

/** Brings a database to where it was after the first `count` migrations. */
async function migrateTo(url: string, count: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-migrations-'));
  const client = new pg.Client({ connectionString: url });
  try {
    await cp(FOLDER, folder, { recursive: true });
    const journalPath = join(folder, 'meta/_journal.json');
    const journal = JSON.parse(await readFile(journalPath, 'utf8')) as { entries: unknown[] };
    await writeFile(journalPath, JSON.stringify({ ...journal, entries: journal.entries.slice(0, count) }));
    await client.connect();
    await migrate(drizzle(client), { migrationsFolder: folder });
  } finally {
    await client.end();
    await rm(folder, { recursive: true });
  }
}

describe('the migrations', () => {
  const database = ownDatabase();

  test('bring a database of the first release up to date, and keep its messages as those of epoch 0', async () => {
    await migrateTo(database.url, 1);
    expect(await database.tables()).toEqual(['messages']);
    const insert = `insert into messages (producer, sequence, payload, received_at) values ('p', 7, '{"a":1}', now())`;
    await rowsOf(database.connection, insert);
    const read = 'select producer, sequence::int, payload from messages order by id';
    const before = await rowsOf(database.connection, read);
    expect(before).toHaveLength(1);

    await migrateDatabase(database.url);
    expect(await rowsOf(database.connection, read)).toEqual(before);
    // A Worker of the first release that still runs goes on writing.
    await rowsOf(database.connection, insert);
    const epochs = await rowsOf(database.connection, 'select epoch::int from messages order by id');
    expect(epochs).toEqual([{ epoch: 0 }, { epoch: 0 }]);

    await migrateDatabase(database.url);
    expect(await rowsOf(database.connection, read)).toHaveLength(2);
  });

  test('end where src/schema is', async () => {
    await migrateDatabase(database.url);
    expect(await database.tables()).toEqual(
      [...Object.values(tables).map((table) => getTableConfig(table).name), HISTORY_TABLE].sort(),
    );
    for (const table of Object.values(tables)) {
      const { name, columns } = getTableConfig(table);
      const found = await rowsOf<{ name: string; type: string; is_required: boolean }>(
        database.connection,
        `select attname as name, format_type(atttypid, atttypmod) as type, attnotnull as is_required
           from pg_attribute where attrelid = '${name}'::regclass and attnum > 0 and not attisdropped`,
      );
      const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
      expect(found.sort(byName)).toEqual(
        columns
          .map((column) => ({ name: column.name, type: column.getSQLType(), is_required: column.notNull }))
          .sort(byName),
      );
    }
  });
});
