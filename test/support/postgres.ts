/** One real Postgres for a whole test run, on a free port and with a data directory of its own. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { createBenchCheckpoints } from '../../lab/suites/ingest/bench-sink.ts';
import { migrateDatabase } from '../../local/migrate.ts';
import { startEmbeddedPostgres } from '../../local/postgres/embedded.ts';
import { openConnection } from '../../src/database/connection.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    databaseUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  const postgres = await startEmbeddedPostgres({ dataDirectory: join(folder, 'data'), port: 0 });
  await migrateDatabase(postgres.url);
  // In a bench its host makes it; here, shards of many test files share it.
  const connection = await openConnection({ url: postgres.url, driver: 'tcp' });
  await connection.db.execute(createBenchCheckpoints());
  connection.close();
  project.provide('databaseUrl', postgres.url);
  return async () => {
    await postgres.stop();
    // As root, the data lies elsewhere.
    await rm(postgres.dataDirectory, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  };
}
