/** Commands that sentences name: those that work where they are read. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commandText } from '../../local/command-text.ts';
import { onlySink } from '../../local/only-sink.ts';
import { REPOSITORY } from '../../local/repository.ts';

test.each([
  ['dev', '', 'npm run dev', 'npx sluice dev'],
  [
    'dead-letters',
    'list --sink a',
    'npm run dead-letters -- list --sink a',
    'npx sluice dead-letters list --sink a',
  ],
])('%s %s in a checkout and in a project', (command, options, inCheckout, inProject) => {
  expect(commandText(command, options, true)).toBe(inCheckout);
  expect(commandText(command, options, false)).toBe(inProject);
});

/** Lines of a source that name a script of npm, comments aside. */
function scriptsNamed(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  return code.split('\n').filter((line) => /\bnpm run\b/.test(line));
}

test.each(['src', 'workers', 'local', 'lab'])(
  'no sentence of %s names a script of npm: an installed package has none',
  (room) => {
    const found = readdirSync(join(REPOSITORY, room), { recursive: true, encoding: 'utf8' })
      // What makes the sentence for a checkout.
      .filter((file) => /\.(ts|js)$/.test(file) && file !== 'command-text.ts')
      .flatMap((file) =>
        scriptsNamed(readFileSync(join(REPOSITORY, room, file), 'utf8')).map((line) => `${file}: ${line}`),
      );
    expect(found).toEqual([]);
  },
);

test('the control: a sentence is found, and a comment is not', () => {
  expect(scriptsNamed("throw new Error('Use npm run dev');")).toHaveLength(1);
  expect(scriptsNamed('const text = `Run npm run generate`; // Why.')).toHaveLength(1);
  expect(scriptsNamed('/** `npm run dev` */\n  // npm run bench\nconst a = 1;')).toEqual([]);
});

test.each([
  [[], /has no sink$/],
  [['a', 'b'], /name one with --sink \(a, b\)$/],
])('of the sinks %j none is meant by itself', (sinks, says) => {
  expect(() => onlySink(sinks)).toThrow(says);
  expect(onlySink(['readings'])).toBe('readings');
});
