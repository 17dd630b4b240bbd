/** The package is packed once in a run of the tests, though several test files use it. */

import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';
import { pack } from '../../local/build/check-package.ts';
import { PgClient } from '../../src/database/client.ts';

/** Of the advisory lock, under which one test file packs and the others wait. */
const LOCK = 1_311_202;

/** @returns the path of the tarball, which other test files use too */
export async function keptTarball(): Promise<string> {
  const folder = join(process.env.SLUICE_KEPT_BUNDLES as string, 'package');
  // Postgres gives the lock back when its connection ends, however the test file ends.
  const client = new PgClient(inject('databaseUrl'));
  await client.connect();
  try {
    await client.query(`select pg_advisory_lock(${LOCK})`);
    const [known] = await readdir(folder).catch(() => []);
    if (known !== undefined) return join(folder, known);
    const unfinished = `${folder}.unfinished`;
    await mkdir(unfinished, { recursive: true });
    const name = (await pack(unfinished)).slice(unfinished.length + 1);
    await rename(unfinished, folder);
    return join(folder, name);
  } finally {
    await client.end();
  }
}
