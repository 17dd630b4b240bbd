/** A Worker that several test files start is bundled once in a run. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export default async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bundles-'));
  // Test files, and the commands that they run, inherit it.
  process.env.SLUICE_KEPT_BUNDLES = folder;
  return () => rm(folder, { recursive: true, force: true });
}
