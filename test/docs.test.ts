/** What the documents say is what the code does. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { REPOSITORY } from '../local/repository.ts';
import { httpStatus } from '../src/errors.ts';
import { decodeFrame, encodeErrorFrame } from '../src/protocol/frame.ts';
import { benchTable, modesTable, optionsTable } from './support/readme-tables.ts';

const readme = read('README.md');
const protocol = read('PROTOCOL.md');

describe('README.md', () => {
  test('lists the ways of writing as they are', () => expect(readme).toContain(modesTable()));
  test('lists every option of a sink with its default and bounds', () =>
    expect(readme).toContain(optionsTable()));
  test('lists every flag of the bench with its default and bounds', () =>
    expect(readme).toContain(benchTable()));

  test('shows the custom sink that the compiler checks', () => {
    const shown = read('test/examples/custom-sink.ts')
      .replace("'../../src/index.ts'", "'../src/index.ts'")
      .trim();
    expect(readme).toContain(shown);
  });

  test('shows the client that a test has run', () => {
    const shown = read('test/examples/client.ts')
      .replace("'../../src/client/sluice-client.ts'", "'../src/client/sluice-client.ts'")
      .trim();
    expect(readme).toContain(shown);
  });

  test('names npm scripts and files that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [...readme.matchAll(/npm run ([a-z-]+)/g)].map(([, name]) => name as string);
    expect(named.length).toBeGreaterThan(3);
    for (const name of named) expect(Object.keys(scripts)).toContain(name);
    for (const [, path] of readme.matchAll(/\]\(([\w./-]+)\)/g))
      expect(existsSync(join(REPOSITORY, path as string))).toBe(true);
  });

  test('quotes the reference run as its report has it', () => {
    const report = read('results/reference/ingest-full.md');
    const rows = report.split('\n').filter((line) => line.startsWith('|'));
    expect(rows.length).toBeGreaterThan(8);
    for (const row of rows) expect(readme).toContain(row);
  });
});

describe('PROTOCOL.md', () => {
  test('shows an error frame as the server sends it', () => {
    const { refusals, refusedCount } = decodeFrame('{"a":1}\n{"a":2}\nbad');
    expect(protocol).toContain(encodeErrorFrame(refusals, refusedCount));
  });

  test('gives every error its status', () => {
    const section = protocol.slice(protocol.indexOf('# Errors over HTTP'));
    const rows = [...section.matchAll(/^\| (`[^|]+`) \| (\d{3})/gm)];
    expect(rows.length).toBeGreaterThan(8);
    for (const [, codes, status] of rows) {
      for (const [, code] of (codes as string).matchAll(/`(\w+)`/g)) {
        expect({ code, status: httpStatus(code as never) }).toEqual({ code, status: Number(status) });
      }
    }
  });
});

describe('package.json', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
    string,
    Record<string, string>
  >;

  test('pins exact versions', () => {
    const versions = Object.values({ ...dependencies, ...devDependencies });
    expect(versions.length).toBeGreaterThan(15);
    for (const version of versions) expect(version).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
  });

  test('installs one workerd and one Miniflare', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as {
      packages: Record<string, { version: string }>;
    };
    for (const name of ['workerd', 'miniflare', 'wrangler', 'vitest']) {
      expect(Object.keys(packages).filter((path) => path.endsWith(`node_modules/${name}`))).toEqual([
        `node_modules/${name}`,
      ]);
    }
  });
});

function read(path: string): string {
  return readFileSync(join(REPOSITORY, path), 'utf8');
}
