/** Brings a database's tables up to date: Sluice's, and those of the application. */

import { join } from 'node:path';
import { is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import { errorText, isSluiceError, SluiceError } from '../src/core/errors.ts';
import { CONNECT_TIME_LIMIT_MS } from '../src/core/limits.ts';
import { PgClient } from '../src/database/client.ts';
import { Handshake } from '../src/database/handshake.ts';
import { type DatabaseTarget, describeTarget, resolveTarget } from '../src/database/target.ts';
import * as schemaTables from '../src/schema/index.ts';
import { SLUICE_STEPS, SLUICE_TABLES } from '../src/schema/sluice-tables.ts';
import {
  type AppliedMigrations,
  applyApplicationMigrations,
  findApplicationMigrations,
} from './application-migrations.ts';
import {
  bringUpToDate,
  type MigrationClient,
  type MigrationReport,
  pendingSteps,
  readDrizzleSteps,
  type StepSet,
} from './migrations.ts';
import { projectFolder } from './project.ts';
import { REPOSITORY } from './repository.ts';

/** What drizzle's history has of migrations that were applied by 0.2.0 and had another text then. */
const FORMER_HASHES = {
  '0001_checkpoints': ['091697d1909df3f82868b530875068ea34087f93c9baadc2ac6af53b097534d4'],
};

export interface MigrateOptions {
  /** Leaves the tables of the application alone. Default: false. */
  isSluiceOnly?: boolean;
  /** Whose migrations are applied. Default: the project of the working directory (local/project.ts). */
  project?: string;
}

/**
 * Makes and changes the tables that the database does not have yet: first those of Sluice itself, then those of the
 * application: what the project's drizzle.config names; in a checkout, src/schema (the example `messages`, and what a clone
 * adds). Always over TCP, directly or through a pooler.
 *
 * @throws SluiceError `database_unreachable`, or `database_refused` when a migration fails
 */
export async function migrateDatabase(
  databaseUrl: string,
  { isSluiceOnly = false, project = projectFolder() }: MigrateOptions = {},
): Promise<MigrationReport> {
  const target = resolveTarget({ databaseUrl, driver: 'tcp' });
  const client = await connect(target);
  try {
    const own = await bringUpToDate(client, OWN);
    if (isSluiceOnly) return own;
    const others =
      project === REPOSITORY ? await migrateExample(client) : await migrateProject(client, project);
    return { ...own, ...others, taken: [...own.taken, ...others.taken] };
  } catch (error) {
    if (isSluiceError(error) && error.code === 'invalid_options') throw error;
    throw new SluiceError(
      'database_refused',
      `Could not migrate ${describeTarget(target)}: ${errorText(error)}`,
      { cause: error },
    );
  } finally {
    await client.end();
  }
}

/**
 * What of Sluice's own tables a database lacks, without a change to it: names of steps that were not taken.
 *
 * @throws SluiceError `database_unreachable`, `database_refused`
 */
export async function missingSteps(databaseUrl: string): Promise<string[]> {
  const target = resolveTarget({ databaseUrl, driver: 'tcp' });
  const client = await connect(target);
  try {
    return await pendingSteps(client, OWN);
  } finally {
    await client.end();
  }
}

const OWN: StepSet = { steps: SLUICE_STEPS, tables: Object.values(SLUICE_TABLES) };

async function connect(target: DatabaseTarget): Promise<PgClient> {
  const client = new PgClient(target.url, { connectionTimeoutMillis: CONNECT_TIME_LIMIT_MS });
  const handshake = new Handshake();
  handshake.watch(client);
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    // The server may still wait for an answer, such as a password, and would keep the process for a minute.
    void client.end().catch(() => {});
    throw new SluiceError(
      'database_unreachable',
      `Cannot reach the database ${describeTarget(target)}: ${handshake.reasonOf(error)}`,
      { cause: error },
    );
  }
  return client;
}

/** The tables of a checkout's own schema, whose history is Sluice's. */
async function migrateExample(client: MigrationClient): Promise<MigrationReport> {
  return await bringUpToDate(client, {
    steps: await readDrizzleSteps(join(REPOSITORY, 'src/schema/migrations'), FORMER_HASHES),
    tables: Object.values(schemaTables).filter((table) => is(table, PgTable)),
  });
}

async function migrateProject(client: MigrationClient, project: string): Promise<AppliedMigrations> {
  const migrations = await findApplicationMigrations(project);
  if (migrations === undefined) return { taken: [], found: [] };
  return await applyApplicationMigrations(client, migrations);
}
