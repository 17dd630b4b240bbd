/**
 * Builds the page of the bench: its script from TypeScript with all that it imports, and its styles, into a module of
 * texts that every bundler takes, so that `wrangler dev`, `wrangler deploy`, Miniflare and vitest need no rule of their
 * own for it. `npm run generate:page` writes the module; a test compares it with what is built then.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { REPOSITORY } from '../../local/repository.ts';

const PAGE = join(REPOSITORY, 'lab/page');

/** The module that is built, which is committed. */
export const BUILT_PAGE = join(PAGE, 'built.ts');

/** The text of `BUILT_PAGE` as it should be now. @throws Error where the page's script cannot be bundled */
export async function buildLabPage(): Promise<string> {
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
      // Line by line, so that a difference in the repository can be read.
      minifySyntax: true,
      minifyWhitespace: true,
      minifyIdentifiers: true,
      lineLimit: 100,
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
  return [
    '// Built by `npm run generate:page` out of the files beside it: edit those.',
    '',
    ...Object.entries({ HTML: html, STYLE: chartStyle + style, SCRIPT: notice + script }).flatMap(
      ([name, text]) => [
        `export const PAGE_${name} = [`,
        ...text.split('\n').map((line) => `  ${JSON.stringify(line)},`),
        "].join('\\n');",
        '',
      ],
    ),
  ].join('\n');
}

if (import.meta.main) await writeFile(BUILT_PAGE, await buildLabPage());
