/**
 * Builds the pages that a Worker serves: the script of each from TypeScript with all that it imports, and its styles, into one
 * module of texts. These modules are not committed. They are made by what needs them: `npm ci`, wrangler's `[build]`, the type
 * check, and the tests.
 */

import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { missingPackageText } from '../cli/missing-package.ts';
import { REPOSITORY } from '../repository.ts';

export interface PageSource {
  /** What the page is called, for people. */
  name: string;
  /** Its folder, with `page.html` and `page.css`. */
  folder: string;
  /** Its first script, in the folder. */
  script: string;
  /** Packages whose code goes out with it: their licenses ask to go with it. */
  packages: readonly string[];
  /** Folders that it takes something of, besides its own. */
  uses: readonly string[];
}

/** What all pages share. */
const PARTS = 'workers/pages/parts';

export const LAB_PAGE: PageSource = {
  name: 'the bench',
  folder: 'lab/page',
  script: 'script/main.ts',
  packages: ['uplot'],
  uses: [PARTS],
};

export const DASHBOARD_PAGE: PageSource = {
  name: 'the dashboard',
  folder: 'workers/pages/dashboard',
  script: 'script/main.tsx',
  packages: ['preact', 'uplot'],
  uses: [PARTS, 'src/monitor'],
};

export const PAGES: readonly PageSource[] = [LAB_PAGE, DASHBOARD_PAGE];

/** What every page is made of besides the files in its folders: this file, and the versions of packages. */
const OTHER_SOURCES = ['local/build/build-page.ts', 'package-lock.json'];

/** The module that is built of a page. */
export function builtPage({ folder }: PageSource): string {
  return join(REPOSITORY, folder, 'built.ts');
}

/** Builds the pages that are missing or older than their sources. @throws Error where a script cannot be bundled */
export async function ensurePages(): Promise<void> {
  await Promise.all(PAGES.map((page) => ensurePage(page)));
}

/**
 * Builds a page where it is missing or older than one of its sources.
 *
 * @param built where to. Default: `builtPage`
 * @returns whether it had to be built
 * @throws Error where the page's script cannot be bundled
 */
export async function ensurePage(page: PageSource, built: string = builtPage(page)): Promise<boolean> {
  const folders = await Promise.all([page.folder, ...page.uses].map(filesOf));
  const sources = [...folders.flat(), ...OTHER_SOURCES.map((file) => join(REPOSITORY, file))];
  const [builtAtMs = 0, ...changed] = await Promise.all([built, ...sources].map(changedAtMs));
  if (builtAtMs > Math.max(...changed)) return false;
  // Under its name only when it is whole: two processes may build it at the same time.
  const draft = `${built}.${process.pid}.draft`;
  await writeFile(draft, await buildPage(page));
  await rename(draft, built);
  return true;
}

async function filesOf(folder: string): Promise<string[]> {
  const path = join(REPOSITORY, folder);
  const names = await readdir(path, { recursive: true });
  return names.filter((name) => !isProduct(name)).map((name) => join(path, name));
}

function isProduct(name: string): boolean {
  return name === 'built.ts' || name.endsWith('.draft');
}

/** When a file was last changed; 0 where there is none. */
async function changedAtMs(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

async function buildPage({ folder, script, packages }: PageSource): Promise<string> {
  const require = createRequire(import.meta.url);
  // The one that wrangler bundles the Worker with.
  const wrangler = createRequire(require.resolve('wrangler/package.json'));
  const { build } = wrangler('esbuild') as typeof import('esbuild');
  const bundled = async (entry: string): Promise<string> => {
    const { outputFiles } = await build({
      absWorkingDir: REPOSITORY,
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: 'esm',
      target: 'es2022',
      minify: true,
      jsx: 'automatic',
      jsxImportSource: 'preact',
      legalComments: 'none',
      charset: 'utf8',
      logLevel: 'silent',
    });
    return outputFiles[0]?.text ?? '';
  };
  const page = (name: string): string => join(REPOSITORY, folder, name);
  const [html, chartStyle, style, code, ...notices] = await Promise.all([
    readFile(page('page.html'), 'utf8'),
    bundled(require.resolve('uplot/dist/uPlot.min.css')),
    bundled(page('page.css')),
    bundled(page(script)),
    ...packages.map(noticeOf),
  ]);
  const texts = { HTML: html, STYLE: chartStyle + style, SCRIPT: `/*\n${notices.join('\n\n')}\n*/\n${code}` };
  return [
    '// Built by local/build/build-page.ts from the files beside it: edit those.',
    ...Object.entries(texts).map(([name, text]) => `export const PAGE_${name} = ${JSON.stringify(text)};`),
    '',
  ].join('\n');
}

async function noticeOf(name: string): Promise<string> {
  const license = await readFile(join(REPOSITORY, 'node_modules', name, 'LICENSE'), 'utf8');
  return `${name} is part of this script.\n\n${license.trim()}`;
}

if (import.meta.main) {
  try {
    await ensurePages();
  } catch (error) {
    // `npm ci --omit=dev` calls this too, and brings nothing that could build a Worker or a page.
    const text = missingPackageText(error);
    if (text === undefined) throw error;
    process.stderr.write(`The pages are not built. ${text}\n`);
  }
}
