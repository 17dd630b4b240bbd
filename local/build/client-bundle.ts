/**
 * `sluice/client` as it is published: one file without imports, minified, with a source map and one file of declarations. It
 * runs wherever there are ES2022 and a WebSocket.
 */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from '../repository.ts';
import { INTERNAL_NAMES } from './client-names.ts';

const CLIENT = join(REPOSITORY, 'src/client');

/** The oldest platforms that it runs on. */
export const CLIENT_TARGETS: readonly string[] = ['node20', 'safari16'];

/**
 * Writes `client/index.js`, its source map and `client/index.d.ts`.
 *
 * @param options `outdir`: where the folder `client` is made, or its files replaced
 * @throws Error where something does not compile
 */
export async function buildClientBundle({ outdir }: { outdir: string }): Promise<void> {
  const folder = join(outdir, 'client');
  await mkdir(folder, { recursive: true });
  const [{ code, map }, declarations] = await Promise.all([bundle(), declare()]);
  await Promise.all([
    writeFile(join(folder, 'index.js'), code),
    writeFile(join(folder, 'index.js.map'), map),
    writeFile(join(folder, 'index.d.ts'), declarations),
  ]);
}

async function bundle(): Promise<{ code: string; map: string }> {
  const require = createRequire(import.meta.url);
  // The one that wrangler bundles Workers with.
  const wrangler = createRequire(require.resolve('wrangler/package.json'));
  const { build } = wrangler('esbuild') as typeof import('esbuild');
  const { outputFiles } = await build({
    absWorkingDir: REPOSITORY,
    entryPoints: [join(CLIENT, 'index.ts')],
    outfile: 'client/index.js',
    bundle: true,
    write: false,
    format: 'esm',
    target: [...CLIENT_TARGETS],
    charset: 'utf8',
    sourcemap: 'external',
    mangleProps: new RegExp(`^(${INTERNAL_NAMES.join('|')})$`),
    minify: true,
  });
  const [map, bundled] = [/\.map$/, /\.js$/].map(
    (suffix) => outputFiles.find(({ path }) => suffix.test(path))?.text ?? '',
  );
  // It makes less of what esbuild has minified.
  const { minify } = await import('terser');
  const minified = await minify(bundled as string, {
    module: true,
    ecma: 2020,
    compress: { passes: 3, unsafe_arrows: true, unsafe_methods: true, pure_getters: true, keep_fargs: false },
    sourceMap: { content: map as string, filename: 'index.js', url: 'index.js.map', includeSources: true },
  });
  return { code: `${minified.code}\n`, map: String(minified.map) };
}

/** The declarations of all that `index.ts` exports, in one file. */
async function declare(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-client-'));
  try {
    const typescript = createRequire(import.meta.url).resolve('typescript/package.json');
    const tsc = join(dirname(typescript), 'bin/tsc');
    await promisify(execFile)(process.execPath, [
      tsc,
      '-p',
      CLIENT,
      '--noEmit',
      'false',
      '--outDir',
      folder,
    ]).catch(({ stdout, message }: { stdout?: string; message: string }) => {
      throw new Error(`The client does not compile:\n${stdout || message}`);
    });
    const index = await readFile(join(folder, 'index.d.ts'), 'utf8');
    const exported: string[] = [];
    const parts: string[] = [];
    const seen = new Set<string>();
    /** The declarations of a file, after those that they need. */
    const add = async (file: string): Promise<void> => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = await readFile(file, 'utf8');
      for (const [, path] of text.matchAll(/^import .* from '(\..*)\.ts';$/gm))
        await add(join(dirname(file), `${path}.d.ts`));
      parts.push(
        text.replaceAll(/^import .*\n/gm, '').replaceAll(/^export (?=declare|interface|type)/gm, ''),
      );
    };
    for (const [, names, path] of index.matchAll(/^export (?:type )?\{([^}]*)\} from '(.*)\.ts';$/gm)) {
      await add(join(folder, `${path}.d.ts`));
      exported.push(...(names as string).split(',').map((name) => name.replace('type ', '').trim()));
    }
    // Types and values alike: what is only a type is no value for being exported like one.
    parts.push(`export { ${exported.filter((name) => name !== '').join(', ')} };\n`);
    return parts.join('\n');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
