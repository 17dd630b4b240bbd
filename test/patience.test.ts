/** No test waits for a time that a busy machine may miss: the limits are those of test/support/patience.ts. */

import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { arrived } from './support/patience.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where the rules and their controls are, and what tests the opening of connections itself. */
const OWN = new Set([
  'test/patience.test.ts',
  'test/support/patience.ts',
  'test/support/open-connection.ts',
  'test/src/database/connection.test.ts',
  'test/src/database/handshake.test.ts',
]);

const INSTEAD = 'use eventually() or the limits of test/support/patience.ts';

const RULES: readonly { what: string; pattern: RegExp }[] = [
  { what: 'waits for a second by default, and moves the clocks of a test', pattern: /\bvi\.waitFor\(/ },
  { what: 'waits for a second by default', pattern: /\bvi\.waitUntil\(|\bexpect\s*\.poll\(/ },
  {
    what: 'gives a test a time limit',
    pattern: /^\s*\}, \d[\d_]{3,}\);$|\b(?:testTimeout|hookTimeout): [\d_]+/m,
  },
  {
    what: 'gives a group of tests a time limit',
    pattern: /^\s*(?:describe|test|it)\b.*\{ timeout: [\d_]+ \}/m,
  },
  { what: 'gives an answer a time limit', pattern: /AbortSignal\.timeout\([\d_]/ },
  {
    what: "has the product's five seconds (test/support/open-connection.ts has not)",
    pattern: /\bopenConnection\b[^;]*from '[./]+\/src\/database\/connection\.ts'/,
  },
  { what: 'gives a step a time limit', pattern: /\b\w*_LIMIT_MS = [\d_]+;/ },
  {
    what: 'gives up after so many looks',
    pattern: /\b(?:look|attempt|tries) (?:===|<|<=|>=?) \d[\s\S]{0,400}setTimeout/,
  },
];

function faultsOf(file: string, source: string): string[] {
  return RULES.flatMap(({ what, pattern }) => {
    const found = pattern.exec(source);
    return found === null ? [] : [`${file}: ${found[0].trim().slice(0, 80)} ${what}; ${INSTEAD}`];
  });
}

test('no test has its own time limit', () => {
  const files = globSync('test/**/*.{ts,mts}', { cwd: ROOT }).filter((file) => !OWN.has(file));
  expect(files.length).toBeGreaterThan(200);
  expect(files.flatMap((file) => faultsOf(file, readFileSync(join(ROOT, file), 'utf8')))).toEqual([]);
});

describe('the control: a limit is found', () => {
  test.each([
    'await vi.waitFor(() => expect(a).toBe(1));',
    'await expect.poll(() => 1).toBe(1);',
    'await expect\n  .poll(() => 1)\n  .toBe(1);',
    '  }, 20_000);',
    'vi.setConfig({ testTimeout: 300_000 });',
    "describe('a server', { timeout: 180_000 }, () => {",
    'signal: AbortSignal.timeout(5_000),',
    'const STEP_LIMIT_MS = 600_000;',
    "import { type Connection, openConnection } from '../../../src/database/connection.ts';",
    'if (look === 500) break;\nawait new Promise((resolve) => setTimeout(resolve, 20));',
  ])('in %j', (source) => {
    expect(faultsOf('some.test.ts', source)).toHaveLength(1);
  });

  test('and none where there is none', () => {
    const patient = 'await eventually(() => expect(a).toBe(1));\nconst LIMIT_MS = HANG_LIMIT_MS;\n  }, 100);';
    expect(faultsOf('some.test.ts', patient)).toEqual([]);
  });
});

test('what hangs is named; what comes, or fails, is passed on', async () => {
  await expect(arrived('The answer to drain()', new Promise(() => {}), 1)).rejects.toThrow(
    'The answer to drain() has not come within 0.001 s',
  );
  expect(await arrived('A value', Promise.resolve(7))).toBe(7);
  await expect(arrived('A failure', Promise.reject(new Error('away')))).rejects.toThrow('away');
});
