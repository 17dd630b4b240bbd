/** The commands of the pages: curl and SQL as they stand there, against a real Worker; those of Sluice by its own command line. */

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createProgram } from '../../local/cli/program.ts';
import { REPOSITORY } from '../../local/repository.ts';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { rowsOf } from '../support/connect.ts';
import { ownDatabase } from '../support/own-database.ts';
import { allBlocks, commandsOf, wordsOf } from '../support/pages.ts';

const own = ownDatabase();
const blocks = allBlocks();
const shell = blocks
  .filter(({ language }) => ['sh', 'bash', 'console'].includes(language))
  .flatMap(({ page, text }) => commandsOf(text).map((command) => ({ page, command })));

/** The arguments of a command of Sluice; undefined for other commands. */
function argumentsOf(command: string): string[] | undefined {
  const words = wordsOf(command);
  if (words[0] === 'npx' && words[1] === 'sluice') return words.slice(2);
  const scripts = ['bench', 'load', 'migrate', 'dev', 'dead-letters', 'shard', 'export', 'import'];
  if (words[0] !== 'npm' || words[1] !== 'run' || !scripts.includes(words[2] as string)) return undefined;
  return [words[2] as string, ...words.slice(words[3] === '--' ? 4 : 3)];
}

/** Reads arguments as the command line does, and says which command would run. */
async function read(args: string[]): Promise<string> {
  const called: string[] = [];
  const silence = (command: Command): void => {
    command.action(() => void called.push(command.name()));
    command.exitOverride().configureOutput({ writeErr() {}, writeOut() {} });
    for (const inner of command.commands) silence(inner);
  };
  const program = createProgram();
  for (const command of program.commands) silence(command);
  await program.parseAsync(args, { from: 'user' });
  return called.join();
}

describe('a command of Sluice', () => {
  const ours = shell.flatMap(({ page, command }) => {
    const args = argumentsOf(command);
    return args === undefined ? [] : [{ page, command, args }];
  });

  test('is on the pages', () => expect(ours.length).toBeGreaterThan(15));

  test.each(ours)('is read by the command line: $page: $command', async ({ args }) => {
    expect(args).toContain(await read(args));
  });

  test.each([
    { args: ['bench', '--no-such-flag'] },
    { args: ['shard', 'resum'] },
    { args: ['dead-letters', 'show'] },
  ])('the control: $args is refused', async ({ args }) => {
    await expect(read(args)).rejects.toThrow();
  });
});

describe('against a Worker', () => {
  let worker: LocalWorker;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-commands-'));
    // The pages speak of a sink `readings`; one of streams needs no code.
    const SINKS = JSON.stringify({ readings: { namespace: 'readings' } });
    const bindings = { ADMIN: 'on', BENCH: 'on', OPEN_NAMESPACE: 'default', SINKS };
    worker = await startWorker({ bindings: { ...bindings, DATABASE_URL: inject('databaseUrl') } });
  });
  afterAll(async () => {
    await worker?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs a command as a shell does, in an empty folder, at the Worker's address. */
  async function run(command: string): Promise<string> {
    const { stdout } = await promisify(execFile)('sh', ['-c', here(command)], { cwd: folder });
    return stdout;
  }

  /** A command as it is shown, for the Worker of the test instead of the one at the usual port. */
  function here(command: string): string {
    const main = `"${process.execPath}" "${join(REPOSITORY, 'local/cli/main.ts')}"`;
    return command
      .replaceAll('localhost:8787', worker.url.host)
      .replaceAll(
        /(?:npx sluice|npm run) (?:(export|import)|(dead-letters|shard)(?: --)? (\w+))(?: --(?= ))?/g,
        (_, whole?: string, group?: string, inner?: string) =>
          `${main} ${whole ?? `${group} ${inner}`} --url ${worker.url.origin}`,
      );
  }

  /** The first lines that a command prints, which is then ended: it would go on for ever, or for long. */
  async function begin(command: string, enough: RegExp): Promise<string> {
    const child = spawn('sh', ['-c', `exec ${here(command)}`], { stdio: ['ignore', 'pipe', 'ignore'] });
    let said = '';
    try {
      for await (const piece of child.stdout.setEncoding('utf8')) {
        said += piece;
        if (enough.test(said)) break;
      }
    } finally {
      child.kill('SIGKILL');
    }
    return said;
  }

  /** What each command prints. Those that go on are read up to that. */
  const EXPECTED: readonly (readonly [RegExp, RegExp])[] = [
    [/^curl localhost:8787\/health$/, /"status":"ok"/],
    [/^curl localhost:8787\/stats$/, /"sinks":\{"messages":/],
    [/^curl -N localhost:8787\/bench$/, /naive/],
    [/^curl localhost:8787\/rpc .*stream\.write/s, /"position":0,"globalPosition":\d+/],
    [/^curl -N 'localhost:8787\/subscribe/, /: ready/],
    [/^curl localhost:8787\/append /, /"position":"?1"?/],
    [/^curl -G localhost:8787\/read /, /"type":"CourseDefined"/],
    [/^curl -N 'localhost:8787\/events\/subscribe/, /data:.*CourseDefined/],
  ];

  const curls = [
    ...new Set(shell.map(({ command }) => command).filter((command) => command.startsWith('curl '))),
  ];

  test('every curl has something that it should print', () => {
    for (const command of curls)
      expect([command, EXPECTED.filter(([pattern]) => pattern.test(command)).length]).toEqual([command, 1]);
    expect(curls).toHaveLength(EXPECTED.length);
  });

  test('curl prints what it should, in the order of the pages', async () => {
    for (const [pattern, printed] of EXPECTED) {
      const command = curls.find((candidate) => pattern.test(candidate)) as string;
      const output = command.includes(' -N ') ? await begin(command, printed) : await run(command);
      expect([command, output]).toEqual([command, expect.stringMatching(printed)]);
    }
  });

  test('messages go out into files and come back, as docs/message-store.md shows it', async () => {
    const inFiles = shell
      .map(({ command }) => command)
      .filter((command) => /\b(export|import)\b/.test(command));
    expect(inFiles).toHaveLength(4);
    const [gzipped, imported, all, again] = inFiles as [string, string, string, string];
    await run(gzipped);
    const lines = gunzipSync(await readFile(join(folder, 'account.ndjson'))).toString();
    expect(lines.trim().split('\n').length).toBeGreaterThan(0);
    expect(lines).toContain('"stream":"account-123"');
    await run(imported);
    await run(all);
    await run(again);
    expect(gunzipSync(await readFile(join(folder, 'all.ndjson.gz'))).toString()).toContain('account-123');
  });

  test('dead letters are listed and counted, and a shard resumes and drains, as docs/operations.md shows it', async () => {
    const commands = shell
      .filter(({ page, command }) => page === 'docs/operations.md' && /dead-letters|shard/.test(command))
      .map(({ command }) => command);
    expect(commands.length).toBeGreaterThan(7);
    // What is about the letter 17 needs one of this number; test/local/cli/dead-letters.test.ts has some.
    for (const command of commands.filter((shown) => !/\b17\b|--write-again/.test(shown))) await run(command);
  });
});

describe('SQL', () => {
  test('is accepted by Postgres as it is shown', async () => {
    const statements = blocks.filter(({ language }) => language === 'sql');
    expect(statements.length).toBeGreaterThan(0);
    for (const { text } of statements) await rowsOf(own.connection, text);
  });
});
