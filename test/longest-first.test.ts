/** The order of the test files in a run. */

import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fastFiles } from './support/fast-files.ts';
import { LONGEST, longestFirst } from './support/longest-first.ts';

const file = (name: string, path: string) => ({ moduleId: `/home/somebody/${path}`, project: { name } });

test('the longest files come first, and then the projects, those that wait for others before the others', () => {
  const [first, second] = LONGEST as [string, string];
  const given = [
    file('fast', 'test/b.test.ts'),
    file('fast', 'test/a.test.ts'),
    file('node', 'test/d.test.ts'),
    file('node', second),
    file('node', 'test/c.test.ts'),
    file('postgres', 'test/f.test.ts'),
    file('workers', 'test/e.test.ts'),
    file('workers', first),
  ];
  expect(longestFirst(given).map(({ moduleId }) => moduleId.replace('/home/somebody/', ''))).toEqual([
    first,
    second,
    'test/d.test.ts',
    'test/c.test.ts',
    'test/e.test.ts',
    'test/f.test.ts',
    'test/b.test.ts',
    'test/a.test.ts',
  ]);
});

test('the longest files are there, once each, and none of them is a fast one', () => {
  expect(LONGEST.filter((name) => !existsSync(new URL(`../${name}`, import.meta.url)))).toEqual([]);
  expect(new Set(LONGEST).size).toBe(LONGEST.length);
  const fast = new Set(fastFiles());
  expect(LONGEST.filter((name) => fast.has(name))).toEqual([]);
});
