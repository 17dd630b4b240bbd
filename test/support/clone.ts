/** A clone of this repository as somebody has it who has just fetched it; its packages are those of the repository. */

import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { REPOSITORY } from '../../local/repository.ts';

const LEFT_OUT =
  /^(node_modules|\.git|dist|\.wrangler|\.sluice|\.dev\.vars|\.env|sluice-.*\.tgz|results\/(?!reference).*)$/;

/**
 * @param folder is made
 * @param keepsTest which tests it has, by their paths; all, where nothing is said
 */
export async function makeClone(
  folder: string,
  keepsTest: (path: string) => boolean = () => true,
): Promise<void> {
  await cp(REPOSITORY, folder, {
    recursive: true,
    filter: (source) => {
      const path = relative(REPOSITORY, source);
      return !LEFT_OUT.test(path) && (!path.endsWith('.test.ts') || keepsTest(path));
    },
  });
  // A folder, so that what leaves out `node_modules/` leaves it out here too.
  await mkdir(join(folder, 'node_modules'));
  for (const name of await readdir(join(REPOSITORY, 'node_modules')))
    if (basename(name) !== '.vite' && basename(name) !== '.cache')
      await symlink(join(REPOSITORY, 'node_modules', name), join(folder, 'node_modules', name));
}
