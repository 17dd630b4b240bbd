/** One real Postgres for a whole test run, on a free port and with its own data directory; and a cluster to copy. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { createBenchCheckpoints } from '../../lab/suites/ingest/bench-sink.ts';
import { migrateDatabase } from '../../local/migrate.ts';
import { serverAccount } from '../../local/postgres/account.ts';
import { locateBinaries } from '../../local/postgres/binaries.ts';
import { ensureCluster, placeData } from '../../local/postgres/data-directory.ts';
import { startEmbeddedPostgres } from '../../local/postgres/embedded.ts';
import { quoteName } from '../../src/core/sql-text.ts';
import type { Connection } from '../../src/database/connection.ts';
import { openConnection } from './open-connection.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    databaseUrl: string;
    /**
     * A folder as `initdb` has made it. Tests that start a Postgres of their own copy it, unless it is about that: to make
     * one takes more than a second of CPU, to copy it a tenth.
     */
    emptyCluster: string;
  }
}

interface TestPostgres {
  url: string;
  emptyCluster: string;
  stop(): Promise<void>;
}

/** Projects of one run share it. Each of them loads this file for itself: what they share is kept in the process. */
const shared = globalThis as { sluiceTestPostgres?: { postgres: Promise<TestPostgres>; users: number } };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  shared.sluiceTestPostgres ??= { postgres: start(), users: 0 };
  const { sluiceTestPostgres: of } = shared;
  of.users += 1;
  const postgres = await of.postgres;
  project.provide('databaseUrl', postgres.url);
  project.provide('emptyCluster', postgres.emptyCluster);
  return async () => {
    of.users -= 1;
    if (of.users > 0) return;
    delete shared.sluiceTestPostgres;
    await postgres.stop();
  };
}

/**
 * By default who connects computes 4,096 rounds of a hash, and Neon's driver starts a job for each of them: with the thousands
 * of connections of a run, a minute of CPU. Servers that a test starts itself have the usual number.
 */
async function cheapenPasswords({ db }: Connection, url: string): Promise<void> {
  const { username, password } = new URL(url);
  await db.execute('alter system set scram_iterations = 1');
  await db.execute('set scram_iterations = 1');
  await db.execute(`alter role ${quoteName(username)} password '${decodeURIComponent(password)}'`);
}

async function start(): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  const dataDirectory = join(folder, 'data');
  const emptyCluster = join(folder, 'empty');
  const account = await serverAccount();
  const place = await placeData(dataDirectory, account);
  await ensureCluster(place, await locateBinaries(account), account);
  await promisify(execFile)('cp', ['-a', place, emptyCluster]);
  const postgres = await startEmbeddedPostgres({
    dataDirectory,
    port: 0,
    // All tests together have more statements than the usual 5,000, and those that a test looks for were thrown out.
    settings: { 'pg_stat_statements.max': 50_000 },
  });
  const connection = await openConnection({ url: postgres.url, driver: 'tcp' });
  // No test cuts this server's power; those about what a crash leaves start one of their own.
  for (const setting of ['fsync', 'full_page_writes', 'synchronous_commit'])
    await connection.db.execute(`alter system set ${setting} = off`);
  await cheapenPasswords(connection, postgres.url);
  await connection.db.execute('select pg_reload_conf()');
  await migrateDatabase(postgres.url);
  // In a bench its host makes it; here, shards of many test files share it.
  await connection.db.execute(createBenchCheckpoints());
  connection.close();
  return {
    url: postgres.url,
    emptyCluster,
    async stop() {
      await postgres.stop();
      // As root, the data lies elsewhere.
      await rm(postgres.dataDirectory, { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}
