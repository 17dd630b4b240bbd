/** `sluice init`: writes a Worker of the user's own into a folder. Nothing that is there is overwritten. */

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorText, SluiceError } from '../../../src/core/errors.ts';
import { testedVersions } from '../missing-package.ts';
import { mergeManifest, newManifest } from './manifest.ts';

const TEMPLATE = fileURLToPath(new URL('template/', import.meta.url));

/** The name in the template, in the place of which the folder's goes. */
const TEMPLATE_NAME = 'my-worker';

/** npm leaves files of these names out of packages, or reads them itself. */
const RENAMED: Record<string, string> = { gitignore: '.gitignore', 'dev.vars.example': '.dev.vars.example' };

/** What a folder may not have: a Worker, or a schema and migrations that ours would not fit. */
const IN_THE_WAY = [
  'wrangler.json',
  'wrangler.jsonc',
  'wrangler.toml',
  'src/index.ts',
  'src/schema.ts',
  'drizzle.config.ts',
  'drizzle.config.mts',
  'drizzle.config.js',
  'drizzle.config.mjs',
  'drizzle.config.json',
  'drizzle/meta/_journal.json',
];

/**
 * Writes the Worker and says on stdout what was written and what to do next.
 *
 * @param folder made where it is missing. Default: the working directory
 * @throws SluiceError `invalid_options` for a folder that has a Worker already, or a package.json that cannot be added to;
 *   nothing is written then
 */
export async function init(folder = '.'): Promise<void> {
  const target = resolve(folder);
  const found = IN_THE_WAY.filter((file) => existsSync(join(target, file)));
  if (found.length > 0) {
    throw new SluiceError(
      'invalid_options',
      `${describe(folder)} has ${found.join(', ')} already, and init overwrites nothing. Name a new folder (npx sluice init my-worker); ` +
        'or add Sluice to the Worker that is there: createSluice of sluice/worker, as the README shows',
    );
  }
  const manifestFile = join(target, 'package.json');
  const manifest = await readManifest(manifestFile);
  const name = packageName(basename(target));
  const versions = testedVersions();
  const { text, added } =
    manifest === undefined
      ? { text: newManifest(name, versions), added: [] }
      : mergeManifest(manifest, versions);

  const written: string[] = [];
  const kept: string[] = [];
  for (const source of await templateFiles()) {
    const file = join(dirname(source), RENAMED[basename(source)] ?? basename(source));
    const content = (await readFile(join(TEMPLATE, source), 'utf8')).replaceAll(TEMPLATE_NAME, name);
    (await writeNew(join(target, file), content)) ? written.push(file) : kept.push(file);
  }
  if (manifest === undefined) written.unshift('package.json');
  await mkdir(target, { recursive: true });
  await writeFile(manifestFile, text);

  const lines = [`Wrote ${written.join(', ')}`];
  if (added.length > 0) lines.push(`Added to package.json: ${added.join(', ')}`);
  if (kept.length > 0) lines.push(`Left as they are: ${kept.join(', ')}`);
  process.stdout.write(`${[...lines, '', ...nextCommands(target)].join('\n')}\n`);
}

function nextCommands(target: string): string[] {
  const path = relative('.', target);
  return [
    'Next:',
    ...(path === '' ? [] : [`  cd ${path}`]),
    '  npm install',
    '  npx sluice dev         # Postgres and the Worker, on http://localhost:8787',
    '  node client/send.ts    # in another terminal: sends three readings',
  ];
}

function describe(folder: string): string {
  return relative('.', resolve(folder)) === '' ? 'This folder' : folder;
}

async function templateFiles(): Promise<string[]> {
  const entries = await readdir(TEMPLATE, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(TEMPLATE, join(entry.parentPath, entry.name)))
    .toSorted();
}

/** @returns false where there is a file already */
async function writeNew(file: string, content: string): Promise<boolean> {
  await mkdir(dirname(file), { recursive: true });
  try {
    await writeFile(file, content, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function readManifest(file: string): Promise<Record<string, unknown> | undefined> {
  if (!existsSync(file)) return undefined;
  try {
    const manifest: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof manifest === 'object' && manifest !== null && !Array.isArray(manifest))
      return manifest as Record<string, unknown>;
    throw new Error('it is not an object');
  } catch (error) {
    throw new SluiceError('invalid_options', `Cannot read ${relative('.', file)}: ${errorText(error)}`, {
      cause: error,
    });
  }
}

/** A name that npm and Cloudflare take, made of a folder's: lower-case letters, digits and dashes. */
function packageName(folder: string): string {
  const name = folder
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 54);
  return name === '' || name === 'sluice' ? TEMPLATE_NAME : name;
}
