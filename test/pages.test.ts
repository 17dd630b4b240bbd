/**
 * The inventory of the pages: every block of code is a file of `examples/` that a test runs, or a command that a test types,
 * or stands in a short list with the reason why it does not (test/support/page-commands.ts).
 */

import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { textReport } from '../lab/report/text.ts';
import type { BenchResult } from '../lab/result.ts';
import { ingestSuite } from '../lab/suites/ingest/ingest-suite.ts';
import { REPOSITORY } from '../local/repository.ts';
import { SCENARIOS } from './faults/scenarios/all.ts';
import { SOURCES } from './support/package-sources.ts';
import { COMMANDS, NOT_RUN, RUN } from './support/page-commands.ts';
import {
  allBlocks,
  type Block,
  blocksOf,
  commandsOf,
  PAGES,
  quotedText,
  readPage,
  wordsOf,
} from './support/pages.ts';

const blocks = allBlocks();
const shown = (block: Block): string => `${block.page}: ${block.text.split('\n')[0]}`;

/** Blocks that are no code: a drawing, a form, what a command prints. The value is why, or which test compares them. */
const PLAIN: Record<string, string> = {
  'README.md: 3 readings are in Postgres': 'printed by the client; test/package/pack.test.ts runs it',
  'README.md: WebSocket messages into Postgres (ingest): 10 clients × 10,000 messages, 1 per':
    'compared below',
  'docs/clients.md: {"t":"welcome","producer":"kitchen", …': 'compared by test/examples/websocat.test.ts',
  'docs/contributing.md: src/         runs anywhere and imports no platform': 'the folders, looked for below',
  'docs/database-addresses.md: postgres://user:password@host:port/database?sslmode=require':
    'a form; test/src/database/address.test.ts reads the tables below it',
  'docs/doctor.md: DATABASE_URL=postgres://… SLUICE_OPERATOR_TOKEN=… npx sluice doctor https://sluice.example.com':
    'a form; test/local/cli/doctor.test.ts gives an address and a database',
  'docs/doctor.md: WARN   max_wal_size is 1024 MB': 'compared by test/local/doctor/page.test.ts',
  'docs/metrics.md: scrape_configs:':
    'Prometheus asks by itself; test/workers/metrics.test.ts asks as it does',
  'docs/sinks.md: line 1': 'compared by test/package/pack.test.ts',
  'docs/first-sink.md: ok     Node 24.21.0': 'versions change; test/package/pack.test.ts runs the command',
};

/** Languages of programs and configurations: a block of them is a copy of an example. */
const PROGRAMS = ['ts', 'tsx', 'js', 'json', 'jsonc', 'toml', 'html'];

describe('a block on a page', () => {
  test('is found on every page that has a fence', () => {
    const fences = PAGES.flatMap((page) => readPage(page).match(/^```/gm) ?? []).length;
    expect(blocks).toHaveLength(fences / 2);
    expect(blocks.length).toBeGreaterThan(30);
  });

  test.each(
    blocks
      .filter(({ language }) => PROGRAMS.includes(language))
      .map((block) => [shown(block), block] as const),
  )('is a copy of an example: %s', (_, { quotes, text }) => {
    expect(quotes).toBeDefined();
    expect(text).toBe(quotedText(quotes as string));
  });

  test('that is no code is listed, with a reason', () => {
    const known = [...PROGRAMS, 'sh', 'bash', 'console', 'sql'];
    const plain = blocks.filter(({ language, quotes }) => !known.includes(language) && quotes === undefined);
    expect(plain.map(shown).toSorted()).toEqual(Object.keys(PLAIN).toSorted());
  });

  test('the control: a copy that differs, and one without its source', () => {
    const [changed, bare] = blocksOf(
      'x.md',
      '<!-- examples/client.ts -->\n```ts\nimport nothing;\n```\n\n```ts\nlet a;\n```\n',
    ) as [Block, Block];
    expect(changed.text).not.toBe(quotedText(changed.quotes as string));
    expect(bare.quotes).toBeUndefined();
  });
});

describe('an example', () => {
  const tests = readdirSync(join(REPOSITORY, 'test/examples'))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readPage(`test/examples/${name}`))
    .join('\n');
  const quoted = [...new Set(blocks.flatMap(({ quotes }) => quotes?.split('#')[0] ?? []))];

  test.each(quoted)('%s is named by a test that runs it', (path) => {
    // What `init` writes is run by the test of the package.
    if (path.startsWith('local/cli/init/template/')) return;
    const name = path.startsWith('examples/wrangler/') ? 'examples/wrangler' : path.replace(/\.ts$/, '');
    expect([name, tests.includes(name)]).toEqual([name, true]);
  });

  test('is quoted, or run for another reason', () => {
    const files = readdirSync(join(REPOSITORY, 'examples'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(REPOSITORY.length + 1));
    // The decisions of dcb.events are run on every engine by test/support/dcb-scenarios.ts.
    const others = files.filter((file) => !quoted.includes(file) && !file.startsWith('examples/decisions/'));
    expect(others).toEqual([]);
  });
});

describe('an import of the package', () => {
  test.each(['tsconfig.json', 'workers/tsconfig.json'])('leads in %s where package.json says', (file) => {
    const { compilerOptions } = JSON.parse(readPage(file).replaceAll(/^\s*\/\/.*$/gm, '')) as {
      compilerOptions: { paths: Record<string, string[]> };
    };
    const paths = Object.entries(compilerOptions.paths)
      .filter(([specifier]) => /^sluice\b/.test(specifier))
      .map(([specifier, [path = '']]) => [specifier, join(dirname(file), path)]);
    expect(paths).toEqual(SOURCES);
    for (const [, source] of SOURCES)
      expect([source, existsSync(join(REPOSITORY, source))]).toEqual([source, true]);
  });
});

describe('a command on a page', () => {
  test.each(COMMANDS)('$page: $command', ({ command }) => {
    expect([...NOT_RUN, ...RUN].filter(([pattern]) => pattern.test(command))).toHaveLength(1);
  });

  test('every exception stands for a command that is shown', () => {
    const unused = [...NOT_RUN, ...RUN].filter(
      ([pattern]) => !COMMANDS.some(({ command }) => pattern.test(command)),
    );
    expect(unused).toEqual([]);
  });

  test('every test that is named is there', () => {
    for (const [, reason] of [...NOT_RUN, ...RUN, ...Object.entries(PLAIN)])
      for (const [path] of reason.matchAll(/test\/[\w./-]+\.ts/g))
        expect([path, existsSync(join(REPOSITORY, path))]).toEqual([path, true]);
  });

  test('names faults, test files and npm scripts that there are', () => {
    const { scripts } = JSON.parse(readPage('package.json')) as { scripts: Record<string, string> };
    const faults = SCENARIOS.map(({ name }) => name);
    let named = 0;
    for (const { command } of COMMANDS) {
      const words = wordsOf(command);
      if (words[0] === 'npm' && words[1] === 'run') expect(Object.keys(scripts)).toContain(words[2]);
      const only = words[2] === 'faults' ? words[words.indexOf('--only') + 1] : undefined;
      if (words.includes('--only'))
        for (const fault of only?.split(',') ?? []) expect(faults).toContain(fault);
      if (words[1] === 'vitest') {
        expect(existsSync(join(REPOSITORY, words[3] as string))).toBe(true);
        if (words.includes('-t')) expect(readPage(words[3] as string)).toContain(words.at(-1));
      }
      named += 1;
    }
    expect(named).toBeGreaterThan(20);
  });

  test('is read as a shell reads it', () => {
    expect(
      commandsOf("a 'b # c' # d\n{\n  e\n} | f\nX=1 g \\\n  h |\n  i\n\n# only a comment\nj '\nk'\n"),
    ).toEqual(["a 'b # c'", '{\n  e\n} | f', 'X=1 g \\\n  h |\n  i', "j '\nk'"]);
    expect(wordsOf('X=1 g \'h i\' -d"j" | k')).toEqual(['g', 'h i', '-dj']);
    expect(wordsOf('a \\\n  b')).toEqual(['a', 'b']);
  });
});

describe('a page', () => {
  test.each(PAGES)('%s links to files and headings that there are', (page) => {
    for (const [, path = '', heading] of readPage(page).matchAll(
      /\]\((?!https?:)([\w./-]*)(?:#([\w.-]+))?\)/g,
    )) {
      const target = path === '' ? page : join(dirname(page), path);
      expect([target, existsSync(join(REPOSITORY, target))]).toEqual([target, true]);
      if (heading !== undefined)
        expect([target, headingsOf(readPage(target)).includes(heading), heading]).toEqual([
          target,
          true,
          heading,
        ]);
    }
  });

  test('is in the index', () => {
    const index = readPage('docs/README.md');
    for (const page of PAGES.filter((name) => name.startsWith('docs/') && name !== 'docs/README.md'))
      expect(index).toContain(`](${page.slice('docs/'.length)})`);
  });

  test('names folders that there are', () => {
    const drawing = blocks.find((block) => shown(block).startsWith('docs/contributing.md: src/'))?.text ?? '';
    let top = '';
    let found = 0;
    for (const [, indent = '', folder = ''] of drawing.matchAll(/^( *)([\w-]+)\//gm)) {
      if (indent === '') top = folder;
      expect(existsSync(join(REPOSITORY, indent === '' ? folder : join(top, folder)))).toBe(true);
      found += 1;
    }
    expect(found).toBeGreaterThan(10);
  });

  test('shows the bench as it prints the reference run on 80 columns', () => {
    const [block] = blocks.filter((candidate) =>
      shown(candidate).startsWith('README.md: WebSocket messages'),
    );
    const result = JSON.parse(readPage('results/reference/ingest.json')) as BenchResult;
    expect(textReport(result, ingestSuite, { width: 80 })).toContain(block?.text);
  });

  test('the README is short, and no line of its blocks is wider than a terminal', () => {
    expect(readPage('README.md').split('\n').length).toBeLessThanOrEqual(220);
    const output = blocks.filter(
      ({ page, language }) => page === 'README.md' && ['', 'text', 'console'].includes(language),
    );
    for (const line of output.flatMap(({ text }) => text.split('\n')))
      expect(line.length).toBeLessThanOrEqual(80);
  });
});

/** Headings as addresses have them: GitHub's rule. */
function headingsOf(markdown: string): string[] {
  return [...markdown.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
