/** The migrations of an application beside Sluice's, in one database. */

import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate as drizzleMigrate } from 'drizzle-orm/node-postgres/migrator';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findApplicationMigrations } from '../../local/application-migrations.ts';
import { migrateDatabase } from '../../local/migrate.ts';
import { PgClient } from '../../src/database/client.ts';
import { rowsOf } from '../support/connect.ts';
import { drizzleFolder } from '../support/drizzle-folder.ts';
import { ownDatabase } from '../support/own-database.ts';

const database = ownDatabase();

const READINGS = {
  tag: '0000_readings',
  when: 1_000,
  text: 'CREATE TABLE "readings" (\n\t"id" bigint PRIMARY KEY,\n\t"celsius" double precision NOT NULL\n);\n',
};
const SENSOR = { tag: '0001_sensor', when: 2_000, text: 'ALTER TABLE "readings" ADD COLUMN "sensor" text;' };
const INDEX = { tag: '0002_index', when: 3_000, text: 'CREATE INDEX "by_sensor" ON "readings" ("sensor");' };

let project: string;
beforeEach(async () => {
  project = await mkdtemp(join(tmpdir(), 'sluice-application-'));
});
afterEach(async () => {
  await rm(project, { recursive: true });
  for (const statement of ['drop table if exists readings', 'drop schema if exists drizzle cascade'])
    await rowsOf(database.connection, statement);
});

/** Gives the project these migrations, where its configuration names them. */
async function generate(...migrations: (typeof READINGS)[]): Promise<string> {
  const { folder, remove } = await drizzleFolder(migrations);
  await rm(join(project, 'migrations'), { recursive: true, force: true });
  await cp(folder, join(project, 'migrations'), { recursive: true });
  await remove();
  await writeFile(
    join(project, 'drizzle.config.mjs'),
    "export default { dialect: 'postgresql', out: './migrations' };\n",
  );
  return join(project, 'migrations');
}

const history = async () =>
  (
    await rowsOf<{ at: string }>(
      database.connection,
      sql`select created_at::text as at from drizzle.__drizzle_migrations order by created_at`,
    )
  ).map(({ at }) => Number(at));

const migrate = () => migrateDatabase(database.url, { project });

describe('migrations of the application', () => {
  test('are applied after those of Sluice, each once, with drizzle’s own history', async () => {
    await generate(READINGS, SENSOR);
    expect(await migrate()).toMatchObject({
      taken: expect.arrayContaining(['0000_readings', '0001_sensor']),
      found: [],
    });
    expect(await database.tables()).toEqual([
      'readings',
      'sluice_checkpoints',
      'sluice_dead_letters',
      'sluice_migrations',
    ]);
    expect(await migrate()).toMatchObject({ taken: [], found: [] });
    await generate(READINGS, SENSOR, INDEX);
    expect(await migrate()).toMatchObject({ taken: ['0002_index'] });
    expect(await history()).toEqual([1_000, 2_000, 3_000]);
    const own = await rowsOf<{ name: string }>(database.connection, 'select name from sluice_migrations');
    expect(own.map(({ name }) => name)).toEqual(['sluice_0000_checkpoints', 'sluice_0001_dead_letters']);
  });

  test('are found by a configuration in JSON too, which drizzle-kit takes as well', async () => {
    await generate(READINGS);
    await rm(join(project, 'drizzle.config.mjs'));
    expect(await findApplicationMigrations(project)).toBeUndefined();
    const config = { dialect: 'postgresql', out: './migrations', migrations: { table: 'own' } };
    await writeFile(join(project, 'drizzle.config.json'), JSON.stringify(config));
    expect(await findApplicationMigrations(project)).toMatchObject({
      folder: join(project, 'migrations'),
      table: 'own',
    });
    await writeFile(join(project, 'drizzle.config.json'), '{');
    await expect(findApplicationMigrations(project)).rejects.toThrow(/drizzle\.config\.json/);
  });

  test('and drizzle’s migrator take turns: neither applies what the other has', async () => {
    const client = new PgClient(database.url);
    await client.connect();
    try {
      const byDrizzle = (migrationsFolder: string) => drizzleMigrate(drizzle(client), { migrationsFolder });
      await byDrizzle(await generate(READINGS));
      const folder = await generate(READINGS, SENSOR);
      expect(await migrate()).toMatchObject({ taken: ['0001_sensor'], found: [] });
      await byDrizzle(folder);
      await byDrizzle(await generate(READINGS, SENSOR, INDEX));
      expect(await migrate()).toMatchObject({ taken: [], found: [] });
    } finally {
      await client.end();
    }
  });

  test('leave a table that is there as it is', async () => {
    await rowsOf(
      database.connection,
      'create table readings (id bigint primary key, celsius double precision not null, mine text)',
    );
    await rowsOf(database.connection, "insert into readings values (1, 20.5, 'kept')");
    await generate(READINGS, SENSOR);
    expect(await migrate()).toMatchObject({ taken: ['0001_sensor'], found: ['0000_readings'] });
    expect(await rowsOf(database.connection, 'select * from readings')).toEqual([
      { id: '1', celsius: 20.5, mine: 'kept', sensor: null },
    ]);
    expect(await history()).toEqual([1_000, 2_000]);
  });

  test('stop at a table of the name that has other columns, and nothing of them is applied', async () => {
    await rowsOf(database.connection, 'create table readings (other text)');
    await generate(READINGS);
    await expect(migrate()).rejects.toMatchObject({
      code: 'database_refused',
      message: expect.stringMatching(/0000_readings: .*"readings" already exists/),
    });
    expect(await history()).toEqual([]);
  });

  test('are applied once where two start at the same time', async () => {
    await generate(READINGS, SENSOR, INDEX);
    const reports = await Promise.all([migrate(), migrate(), migrate()]);
    expect(reports.flatMap(({ taken }) => taken).filter((name) => name.startsWith('0'))).toEqual([
      '0000_readings',
      '0001_sensor',
      '0002_index',
    ]);
  });

  test('are not asked for with isSluiceOnly', async () => {
    await generate(READINGS);
    await migrateDatabase(database.url, { project, isSluiceOnly: true });
    expect(await database.tables()).not.toContain('readings');
  });
});

describe('the configuration of drizzle-kit', () => {
  const config = (text: string) => writeFile(join(project, 'drizzle.config.mjs'), text);

  test('may be missing, or name a folder without migrations', async () => {
    expect(await findApplicationMigrations(project)).toBeUndefined();
    await config("export default { dialect: 'postgresql' };");
    expect(await findApplicationMigrations(project)).toBeUndefined();
  });

  test.each([
    ["export default { dialect: 'mysql' };", /drizzle\.config\.mjs is for mysql: Sluice writes to Postgres/],
    ["import 'no-such-package';", /Cannot read .*drizzle\.config\.mjs: /],
  ])('is refused where it cannot be used: %s', async (text, says) => {
    await config(text);
    await expect(findApplicationMigrations(project)).rejects.toMatchObject({
      code: 'invalid_options',
      message: expect.stringMatching(says),
    });
  });
});
