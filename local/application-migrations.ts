/**
 * The migrations of the application, as drizzle-kit writes them. They keep drizzle's own history, so that `drizzle-kit
 * migrate` and this may be used in turns. A table that is there already is used as it is: a migration that makes nothing else
 * is entered in the history and not run.
 */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { errorText, SluiceError } from '../src/core/errors.ts';
import { quoteName } from '../src/core/sql-text.ts';
import { againIfMadeByAnother, isMadeAlready, type MigrationClient } from './migrations.ts';

/** drizzle-kit's names for its configuration, in its order, and two that it takes where it is told of them. */
const CONFIG_NAMES = [
  'drizzle.config.ts',
  'drizzle.config.mts',
  'drizzle.config.js',
  'drizzle.config.mjs',
  'drizzle.config.json',
];

/** How long another migration may take. */
const LOCK_LIMIT = '60s';

/** Where an application's migrations are, and where it keeps their history. */
export interface ApplicationMigrations {
  /** Absolute; has `meta/_journal.json`. */
  folder: string;
  schema: string;
  table: string;
}

/** What was done with migrations, by their names. */
export interface AppliedMigrations {
  taken: string[];
  /** Not run, since all that they make was there. */
  found: string[];
}

/** What is read of drizzle-kit's configuration. */
interface DrizzleConfig {
  dialect?: string;
  out?: string;
  migrations?: { schema?: string; table?: string };
}

/**
 * The migrations that the drizzle.config of a project names; undefined where it has none.
 *
 * @throws SluiceError `invalid_options` where the configuration cannot be read
 */
export async function findApplicationMigrations(project: string): Promise<ApplicationMigrations | undefined> {
  const file = CONFIG_NAMES.map((name) => join(project, name)).find((path) => existsSync(path));
  if (file === undefined) return undefined;
  const { dialect, out = './drizzle', migrations = {} } = await readConfig(file);
  if (dialect !== 'postgresql') {
    throw new SluiceError(
      'invalid_options',
      `${basename(file)} is for ${dialect ?? 'no dialect'}: Sluice writes to Postgres, dialect: 'postgresql'`,
    );
  }
  const folder = resolve(project, out);
  // As long as nothing was generated.
  if (!existsSync(join(folder, 'meta/_journal.json'))) return undefined;
  return {
    folder,
    schema: migrations.schema ?? 'drizzle',
    table: migrations.table ?? '__drizzle_migrations',
  };
}

async function readConfig(file: string): Promise<DrizzleConfig> {
  if (file.endsWith('.json')) return await readJsonConfig(file);
  try {
    const { default: config } = (await import(pathToFileURL(file).href)) as { default?: DrizzleConfig };
    return config ?? {};
  } catch (error) {
    throw new SluiceError(
      'invalid_options',
      `Cannot read ${relative('.', file)}: ${errorText(error)}. Node reads it as it is: it may import types of ` +
        'drizzle-kit (import type …), and other files only by their whole names',
      { cause: error },
    );
  }
}

async function readJsonConfig(file: string): Promise<DrizzleConfig> {
  try {
    return (JSON.parse(await readFile(file, 'utf8')) as DrizzleConfig | null) ?? {};
  } catch (error) {
    throw new SluiceError('invalid_options', `Cannot read ${relative('.', file)}: ${errorText(error)}`, {
      cause: error,
    });
  }
}

/**
 * Applies what the history does not have. Two that run at once take turns.
 *
 * @throws Error of the database, with the name of the migration; nothing of this call is applied then
 */
export async function applyApplicationMigrations(
  client: MigrationClient,
  { folder, schema, table }: ApplicationMigrations,
): Promise<AppliedMigrations> {
  const names = await namesIn(folder);
  const migrations = readMigrationFiles({ migrationsFolder: folder });
  const history = `${quoteName(schema)}.${quoteName(table)}`;
  await againIfMadeByAnother(() => makeHistory(client, schema, history));
  const done: AppliedMigrations = { taken: [], found: [] };
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = '${LOCK_LIMIT}'`);
    await client.query(`lock table ${history} in share row exclusive mode`);
    const { rows } = await client.query(`select max(created_at) as latest from ${history}`);
    const latest = Number(rows[0].latest ?? Number.NEGATIVE_INFINITY);
    for (const [index, { sql, folderMillis, hash }] of migrations.entries()) {
      if (folderMillis <= latest) continue;
      const name = names[index] ?? hash;
      if (await isMadeAlready(client, sql)) done.found.push(name);
      else {
        await runStatements(client, name, sql);
        done.taken.push(name);
      }
      await client.query(`insert into ${history} (hash, created_at) values ($1, $2)`, [hash, folderMillis]);
    }
    await client.query('commit');
    return done;
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

async function runStatements(client: MigrationClient, name: string, statements: string[]): Promise<void> {
  try {
    for (const statement of statements) await client.query(statement);
  } catch (error) {
    throw new Error(`${name}: ${errorText(error)}`, { cause: error });
  }
}

/** As drizzle's migrator makes it. Looks first, so that a role that may not create gets through where it is there. */
async function makeHistory(client: MigrationClient, schema: string, history: string): Promise<void> {
  const { rows } = await client.query('select to_regclass($1) is not null as is_there', [history]);
  if (rows[0].is_there) return;
  await client.query(`create schema if not exists ${quoteName(schema)}`);
  await client.query(
    `create table if not exists ${history} (id serial primary key, hash text not null, created_at bigint)`,
  );
}

async function namesIn(folder: string): Promise<string[]> {
  const journal = JSON.parse(await readFile(join(folder, 'meta/_journal.json'), 'utf8')) as {
    entries: { tag: string }[];
  };
  return journal.entries.map(({ tag }) => tag);
}
