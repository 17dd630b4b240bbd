/**
 * The commands of docs/lab.md, typed as they stand there, in their order and in one folder. The runs are small: what is shown
 * here is that the commands fit each other (test/support/elsewhere.mjs has the flags that are added).
 */

import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCliFolder } from '../support/cli-folder.ts';
import { ownDatabase } from '../support/own-database.ts';
import { allBlocks, commandsOf } from '../support/pages.ts';
import { Terminal } from '../support/terminal.ts';

const own = ownDatabase();
let scratch: string;
let terminal: Terminal;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'sluice-lab-commands-'));
  const folder = join(scratch, 'my-worker');
  await makeCliFolder(folder);
  terminal = await Terminal.open({
    folder,
    scratch: join(scratch, 'terminal'),
    env: { DATABASE_URL: own.url },
  });
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

interface Expected {
  command: RegExp;
  prints: RegExp;
  /** How it may end on a machine that is slow: 99 where a threshold is not kept, 1 where nothing keeps a goal. */
  codes?: number[];
  /** Flags that make a run small. */
  small?: string[];
}

const TINY = ['--clients', '2', '--messages', '500'];

const EXPECTED: readonly Expected[] = [
  { command: / ingest --modes copy,unnest --frame 100 --reps 5$/, prints: /copy.*exactly once/, small: TINY },
  { command: / bench list$/, prints: /ingest/ },
  { command: / show latest$/, prints: /copy.*exactly once/ },
  { command: / report latest --file report\.html$/, prints: /^/ },
  { command: / compare ingest-20261121-112921 latest$/, prints: /copy/ },
  {
    command: / recommend latest /,
    prints: /^(copy|unnest|Nothing in this run keeps ackP99Ms<20)/,
    codes: [0, 1],
  },
  // Fewer repetitions than five show no difference, and are refused.
  {
    command: / --base latest/,
    prints: /copy.*exactly once/,
    codes: [0, 99],
    small: [...TINY, '--reps', '5'],
  },
  { command: / bench schema$/, prints: /"\$schema"/ },
  { command: / bench clean$/, prints: /^/ },
  {
    command: / bench rates /,
    prints: /fire-and-forget/,
    small: ['--reps', '1', '--to', '200', '--seconds', '1', '--pools', '2'],
  },
];

const commands = allBlocks()
  .filter(({ page, language }) => page === 'docs/lab.md' && language === 'sh')
  .flatMap(({ text }) => commandsOf(text))
  .filter((command) => command.startsWith('npx sluice bench'));

describe('the commands of the lab', () => {
  test('have each something that they should print', () => {
    for (const command of commands)
      expect([command, EXPECTED.filter((expected) => expected.command.test(command)).length]).toEqual([
        command,
        1,
      ]);
    expect(commands).toHaveLength(EXPECTED.length);
  });

  test.each(commands)('%s', async (command) => {
    const found = EXPECTED.find((expected) => expected.command.test(command)) as Expected;
    const { prints, codes = [0], small = [] } = found;
    const named = /ingest-\d+-\d+/.exec(command)?.[0];
    if (named !== undefined) {
      const results = join(terminal.folder, 'results');
      const [first = ''] = (await readdir(results)).filter((name) => name.endsWith('.json'));
      await copyFile(join(results, first), join(results, `${named}.json`));
    }
    terminal.env.SLUICE_TEST_BENCH_FLAGS = JSON.stringify(small);
    expect((await terminal.succeed(command, { codes })).stdout).toMatch(prints);
    if (command.includes('report.html')) expect(await readdir(terminal.folder)).toContain('report.html');
  });
});
