/**
 * `sluice/client` and `sluice/client/storages` as they are published: each is one file without imports, minified, with a source
 * map and one file of declarations. They run wherever there is ES2022; the client needs a WebSocket too.
 */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from '../repository.ts';
import { INTERNAL_NAMES } from './client-names.ts';

const CLIENT = join(REPOSITORY, 'src/client');

/** Those first that the code has most often anyway. */
const LETTERS = 'etsirnoahlducfgmpbyvkwxTSMONBEIDAPCjqzLFRHGUVKWXYZJQ$_';

/** The oldest platforms that it runs on. */
export const CLIENT_TARGETS: readonly string[] = ['node20', 'safari16'];

/** What is made, from `src/client/<entry>.ts`. */
const ENTRIES = ['index', 'storages/index'] as const;
type Entry = (typeof ENTRIES)[number];

/**
 * Writes `client/index.js` and `client/storages/index.js`, their source maps and their declarations.
 *
 * @param options `outdir`: where the folder `client` is made, or its files replaced
 * @throws Error where something does not compile
 */
export async function buildClientBundle({ outdir }: { outdir: string }): Promise<void> {
  const folder = join(outdir, 'client');
  await mkdir(join(folder, 'storages'), { recursive: true });
  const [declarations, ...bundles] = await Promise.all([declare(), ...ENTRIES.map(bundle)]);
  await Promise.all(
    ENTRIES.flatMap((entry, index) => {
      const { code, map } = bundles[index] as Bundle;
      return [
        writeFile(join(folder, `${entry}.js`), code),
        writeFile(join(folder, `${entry}.js.map`), map),
        writeFile(join(folder, `${entry}.d.ts`), declarations[entry]),
      ];
    }),
  );
}

interface Bundle {
  code: string;
  map: string;
}

async function bundle(entry: Entry): Promise<Bundle> {
  const require = createRequire(import.meta.url);
  // The one that wrangler bundles Workers with.
  const wrangler = createRequire(require.resolve('wrangler/package.json'));
  const { build } = wrangler('esbuild') as typeof import('esbuild');
  const { outputFiles } = await build({
    absWorkingDir: REPOSITORY,
    entryPoints: [join(CLIENT, `${entry}.ts`)],
    outfile: `client/${entry}.js`,
    bundle: true,
    write: false,
    format: 'esm',
    target: [...CLIENT_TARGETS],
    charset: 'utf8',
    sourcemap: 'external',
    mangleProps: new RegExp(`^(${INTERNAL_NAMES.join('|')})$`),
    mangleCache: await shortNames(),
    minify: true,
    // Members without a value need no declaration.
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
  });
  const [map, bundled] = [/\.map$/, /\.js$/].map(
    (suffix) => outputFiles.find(({ path }) => suffix.test(path))?.text ?? '',
  );
  // It makes less of what esbuild has minified.
  const { minify } = await import('terser');
  const minified = await minify(bundled as string, {
    module: true,
    ecma: 2020,
    compress: {
      passes: 3,
      sequences: false,
      // Texts are put together with + and not in templates, which is the same for texts, numbers and what JSON holds.
      unsafe: true,
      unsafe_arrows: true,
      unsafe_methods: true,
      pure_getters: true,
      keep_fargs: false,
    },
    sourceMap: { content: map as string, filename: 'index.js', url: 'index.js.map', includeSources: true },
  });
  return { code: `${minified.code}\n`, map: String(minified.map) };
}

/**
 * A letter for each internal name. Names that never belong to one object share letters, so that few are needed: the members of
 * an object are all declared in one file, where each is written without a dot before it.
 */
async function shortNames(): Promise<Record<string, string>> {
  const counts = new Map<string, number>();
  const files: Set<string>[] = [];
  for (const name of await readdir(CLIENT)) {
    if (!name.endsWith('.ts')) continue;
    const text = (await readFile(join(CLIENT, name), 'utf8')).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    for (const [word] of text.matchAll(/\w+/g)) counts.set(word, (counts.get(word) ?? 0) + 1);
    files.push(new Set(Array.from(text.matchAll(/(?<![.\w])\w+/g), ([word]) => word)));
  }
  const short: Record<string, string> = {};
  const byUse = [...INTERNAL_NAMES].sort((one, other) => (counts.get(other) ?? 0) - (counts.get(one) ?? 0));
  for (const name of byUse) {
    const near = files.filter((words) => words.has(name));
    if (near.length === 0) throw new Error(`No object has ${name}`);
    const taken = new Set(
      Object.keys(short).flatMap((other) => (near.some((words) => words.has(other)) ? [short[other]] : [])),
    );
    const letter = [...LETTERS].find((one) => !taken.has(one));
    if (letter === undefined) throw new Error(`There is no letter left for ${name}`);
    short[name] = letter;
  }
  return short;
}

/** The declarations of all that each entry exports, in one file. */
async function declare(): Promise<Record<Entry, string>> {
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
    const [index, storages] = await Promise.all(
      ENTRIES.map((entry) => joinDeclarations(join(folder, `${entry}.d.ts`))),
    );
    return { index: index as string, 'storages/index': storages as string };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The declarations of all that a compiled entry exports, with those that they need. */
async function joinDeclarations(entry: string): Promise<string> {
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
    parts.push(text.replaceAll(/^import .*\n/gm, '').replaceAll(/^export (?=declare|interface|type)/gm, ''));
  };
  const text = await readFile(entry, 'utf8');
  for (const [, names, path] of text.matchAll(/^export (?:type )?\{([^}]*)\} from '(.*)\.ts';$/gm)) {
    await add(join(dirname(entry), `${path}.d.ts`));
    exported.push(...(names as string).split(',').map((name) => name.replace('type ', '').trim()));
  }
  // Types and values alike: what is only a type is no value for being exported like one.
  parts.push(`export { ${exported.filter((name) => name !== '').join(', ')} };\n`);
  return parts.join('\n');
}
