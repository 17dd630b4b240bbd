/**
 * Builds the page of the bench: its script from TypeScript with all that it imports, and its styles, into one module of
 * texts. The module is not committed. It is made by what needs it: `npm ci`, wrangler's `[build]`, the type check, and the
 * tests.
 */

import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { missingPackageText } from '../../local/cli/missing-package.ts';
import { REPOSITORY } from '../../local/repository.ts';

const PAGE = join(REPOSITORY, 'lab/page');

/** The module that is built. */
export const BUILT_PAGE = join(PAGE, 'built.ts');

/** What the page is made of besides the files in its folder: this file, and the versions of esbuild and uPlot. */
const OTHER_SOURCES = [join(REPOSITORY, 'lab/local/build-page.ts'), join(REPOSITORY, 'package-lock.json')];

/**
 * Builds the page where it is missing or older than one of its sources.
 *
 * @param built where to. Default: `BUILT_PAGE`
 * @returns whether it had to be built
 * @throws Error where the page's script cannot be bundled
 */
export async function ensureLabPage(built: string = BUILT_PAGE): Promise<boolean> {
  const inFolder = (await readdir(PAGE, { recursive: true })).filter((name) => !isProduct(name));
  const sources = [...inFolder.map((name) => join(PAGE, name)), ...OTHER_SOURCES];
  const [builtAtMs = 0, ...changed] = await Promise.all([built, ...sources].map(changedAtMs));
  if (builtAtMs > Math.max(...changed)) return false;
  // Under its name only when it is whole: two processes may build it at the same time.
  const draft = `${built}.${process.pid}.draft`;
  await writeFile(draft, await buildLabPage());
  await rename(draft, built);
  return true;
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

async function buildLabPage(): Promise<string> {
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
      legalComments: 'none',
      charset: 'utf8',
      logLevel: 'silent',
    });
    return outputFiles[0]?.text ?? '';
  };
  const [html, license, chartStyle, style, script] = await Promise.all([
    readFile(join(PAGE, 'page.html'), 'utf8'),
    readFile(require.resolve('uplot/LICENSE'), 'utf8'),
    bundled(require.resolve('uplot/dist/uPlot.min.css')),
    bundled(join(PAGE, 'page.css')),
    bundled(join(PAGE, 'script/main.ts')),
  ]);
  // uPlot goes out with every page, and its license asks to go with it.
  const notice = `/*\nuPlot is part of this script.\n\n${license.trim()}\n*/\n`;
  const texts = { HTML: html, STYLE: chartStyle + style, SCRIPT: notice + script };
  return [
    '// Built by lab/local/build-page.ts from the files beside it: edit those.',
    ...Object.entries(texts).map(([name, text]) => `export const PAGE_${name} = ${JSON.stringify(text)};`),
    '',
  ].join('\n');
}

if (import.meta.main) {
  try {
    await ensureLabPage();
  } catch (error) {
    // `npm ci --omit=dev` calls this too, and brings nothing that could build a Worker or a page.
    const text = missingPackageText(error);
    if (text === undefined) throw error;
    process.stderr.write(`The page of the bench is not built. ${text}\n`);
  }
}
