/** A folder of migrations as drizzle-kit writes it. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Writes the folder. The one who asks for it removes it. */
export async function drizzleFolder(
  migrations: readonly { tag: string; when: number; text: string }[],
): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-migrations-'));
  await mkdir(join(folder, 'meta'));
  const entries = migrations.map(({ tag, when }, idx) => ({
    idx,
    version: '7',
    when,
    tag,
    breakpoints: true,
  }));
  await writeFile(
    join(folder, 'meta/_journal.json'),
    JSON.stringify({ version: '7', dialect: 'postgresql', entries }),
  );
  for (const { tag, text } of migrations) await writeFile(join(folder, `${tag}.sql`), text);
  return { folder, remove: () => rm(folder, { recursive: true }) };
}
