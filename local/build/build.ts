/**
 * `npm run build`: makes `dist`, which is what the package holds. It mirrors the rooms of the repository, so that code finds
 * its files in the same places in both.
 */

import { execFile } from 'node:child_process';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from '../repository.ts';
import { buildClientBundle } from './client-bundle.ts';

const DIST = join(REPOSITORY, 'dist');

/** What is taken as it is: files that code reads at run time. */
const COPIED = ['src/schema/migrations', 'local/cli/init/template'];

/** Makes `dist` from nothing. @throws Error with the compiler's words where something does not compile */
export async function build(): Promise<void> {
  await rm(DIST, { recursive: true, force: true });
  await run('local/build/build-page.ts');
  for (const config of ['tsconfig.build.json', 'workers/tsconfig.build.json']) await compile(config);
  await nameCompiledFiles();
  // In place of the compiled entry, which leads to thirty files.
  await buildClientBundle({ outdir: join(DIST, 'src') });
  for (const path of COPIED) await cp(join(REPOSITORY, path), join(DIST, path), { recursive: true });
}

async function compile(config: string): Promise<void> {
  const require = createRequire(import.meta.url);
  await run(join(dirname(require.resolve('typescript/package.json')), 'bin/tsc'), '-p', config);
}

async function run(...args: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, args, { cwd: REPOSITORY }).catch(
    ({ stdout, stderr, message }: { stdout?: string; stderr?: string; message: string }) => {
      throw new Error(`${args.join(' ')} failed:\n${stdout || stderr || message}`);
    },
  );
}

/** The compiler names compiled files in what it makes of code, but not in declarations. */
async function nameCompiledFiles(): Promise<void> {
  for (const entry of await readdir(DIST, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.d.ts')) continue;
    const file = join(entry.parentPath, entry.name);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replaceAll(/(from |import\()(['"])(\.[^'"\n]*)\.ts\2/g, '$1$2$3.js$2'));
  }
}

if (import.meta.main) await build();
