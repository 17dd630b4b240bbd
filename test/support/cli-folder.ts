/** A folder in which `npx sluice` is the command of this repository, from its sources. */

import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { REPOSITORY } from '../../local/repository.ts';

/** @param folder is made */
export async function makeCliFolder(folder: string): Promise<void> {
  const programs = join(folder, 'node_modules/.bin');
  await mkdir(programs, { recursive: true });
  await writeFile(join(folder, 'package.json'), '{"private":true}\n');
  const program = join(programs, 'sluice');
  await writeFile(
    program,
    `#!/bin/sh\nexec "${process.execPath}" "${join(REPOSITORY, 'local/cli/start.js')}" "$@"\n`,
  );
  await chmod(program, 0o755);
}
