/**
 * What several test files make is made once in a run: the bundle of a Worker, and the compiled form of what Node loads, which for
 * `sluice` and wrangler is a third of the CPU of a start.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export default async function setup(): Promise<() => Promise<void>> {
  // Another project of this run has made it.
  if (process.env.SLUICE_KEPT_BUNDLES !== undefined) return async () => {};
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bundles-'));
  // Test files, and the commands that they run, inherit it.
  process.env.SLUICE_KEPT_BUNDLES = folder;
  // Not kept longer than the run: tests make folders under new names, and each would add to it.
  process.env.NODE_COMPILE_CACHE = join(folder, 'compiled');
  return async () => {
    // Processes that end meanwhile still write what they have compiled. A failure here would keep the other teardowns from
    // running, and leave a Postgres behind.
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }).catch(() => {});
  };
}
