/** What a command loads before it is known which one is meant. */

import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createProgram } from '../../../local/cli/program.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** All that Node loads with a file: packages by their names, files relative to the root. */
function loadedWith(file: string): string[] {
  const found = new Set([file]);
  for (const at of found) {
    if (!at.endsWith('.ts')) continue;
    const code = readFileSync(join(ROOT, at), 'utf8');
    for (const [, specifier = ''] of code.matchAll(
      /^(?:import|export) (?!type )(?:[\w*{}\s,]+ from )?'([^']+)'/gm,
    ))
      found.add(specifier.startsWith('.') ? relative(ROOT, join(ROOT, dirname(at), specifier)) : specifier);
  }
  return [...found].filter((name) => !name.startsWith('node:'));
}

test('a start loads no package but that of the command line, and of the lab one file', () => {
  const loaded = loadedWith('local/cli/main.ts');
  expect(loaded).toContain('local/cli/program.ts');
  expect(loaded.filter((name) => !name.endsWith('.ts'))).toEqual(['commander']);
  expect(loaded.filter((name) => name.startsWith('lab/'))).toEqual(['lab/local/cli/commands.ts']);
  // The control: what comes with the flags of `bench`.
  expect(loadedWith('lab/local/cli/bench-command.ts')).toEqual(
    expect.arrayContaining(['drizzle-orm', 'lab/suites.ts']),
  );
});

test('the list of commands is the same, whether the flags of the lab are defined or not', async () => {
  const [without, complete] = [await createProgram(['--help']), await createProgram(['bench', 'load'])];
  expect(without.helpInformation()).toBe(complete.helpInformation());
  const flagsOf = (program: typeof without) =>
    program.commands.map((command) => [command.name(), command.options.length] as const);
  expect(new Map(flagsOf(complete)).get('bench')).toBeGreaterThan(30);
  expect(new Map(flagsOf(without)).get('bench')).toBe(1);
});
