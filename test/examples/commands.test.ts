/** Commands of the pages as they stand there, against a real Worker and Postgres; and all of Sluice's by its own command line. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createProgram } from '../../local/cli/program.ts';
import { migrateDatabase } from '../../local/migrate.ts';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { SluiceClient } from '../../src/client/index.ts';
import { makeCliFolder } from '../support/cli-folder.ts';
import { rowsOf } from '../support/connect.ts';
import { ownDatabase } from '../support/own-database.ts';
import { commandsFor } from '../support/page-commands.ts';
import { allBlocks, commandsOf, wordsOf } from '../support/pages.ts';
import { eventually } from '../support/patience.ts';
import { Terminal } from '../support/terminal.ts';

/** Where commands for operators are shown. */
const OPERATORS_PAGES = ['docs/admin.md', 'docs/dead-letters.md', 'docs/operations.md'];

const own = ownDatabase();
const blocks = allBlocks();
const shell = blocks
  .filter(({ language }) => ['sh', 'bash', 'console'].includes(language))
  .flatMap(({ page, text }) => commandsOf(text).map((command) => ({ page, command })));

/** The arguments of a command of Sluice; undefined for other commands. */
function argumentsOf(command: string): string[] | undefined {
  const words = wordsOf(command);
  if (words[0] === 'npx' && words[1] === 'sluice') return words.slice(2);
  const scripts = [
    'bench',
    'load',
    'migrate',
    'dev',
    'dead-letters',
    'shard',
    'sessions',
    'export',
    'import',
  ];
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
  const program = await createProgram(args);
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
  let terminal: Terminal;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-commands-'));
    // The pages speak of a sink `readings`; one of streams needs no code.
    const SINKS = JSON.stringify({ readings: { namespace: 'readings' } });
    const bindings = {
      AUTHORIZE: 'open',
      OPERATORS: 'open',
      BENCH: 'open',
      OPEN_NAMESPACE: 'default',
      SINKS,
    };
    worker = await startWorker({ bindings: { ...bindings, DATABASE_URL: inject('databaseUrl') } });
    await makeCliFolder(join(folder, 'my-worker'));
    terminal = await Terminal.open({
      folder: join(folder, 'my-worker'),
      scratch: join(folder, 'terminal'),
    });
    terminal.places['localhost:8787'] = worker.url.host;
  });
  afterAll(async () => {
    await worker?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Types a command as it is shown. */
  async function run(command: string): Promise<string> {
    return (await terminal.succeed(command)).stdout;
  }

  /** The first that a command prints, which is then ended: it would go on for ever, or for long. */
  async function begin(command: string, enough: RegExp): Promise<string> {
    const running = await terminal.start(command);
    try {
      await running.said(enough);
    } finally {
      await running.stop();
    }
    return running.output();
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
    const lines = gunzipSync(await readFile(join(terminal.folder, 'account.ndjson'))).toString();
    expect(lines.trim().split('\n').length).toBeGreaterThan(0);
    expect(lines).toContain('"stream":"account-123"');
    await run(imported);
    await run(all);
    await run(again);
    expect(gunzipSync(await readFile(join(terminal.folder, 'all.ndjson.gz'))).toString()).toContain(
      'account-123',
    );
  });

  test("Sluice's own tables are made without those of the application, as docs/deploy.md shows it", async () => {
    terminal.env.DATABASE_URL = own.url;
    const [command = ''] = commandsFor('test/examples/commands.test.ts').filter((one) =>
      one.endsWith(' --sluice-only'),
    );
    await run(command);
    const tables = await own.tables();
    expect(tables).toContain('sluice_checkpoints');
    expect(tables.filter((name) => !name.startsWith('sluice_'))).toEqual([]);
    // The control: without the flag, they are made.
    await run(command.replace(' --sluice-only', ''));
    expect(await own.tables()).toContain('messages');
    delete terminal.env.DATABASE_URL;
  });

  test('dead letters are listed and counted, a shard resumes and drains, and sessions are ended and revoked, as the pages for operators show it', async () => {
    const commands = shell
      .filter(
        ({ page, command }) => OPERATORS_PAGES.includes(page) && /dead-letters|shard|sessions/.test(command),
      )
      .map(({ command }) => command);
    expect(commands.length).toBeGreaterThan(7);
    // Without a stream, each is refused: letters up to number 18.
    const client = new SluiceClient({
      url: new URL('/ws/readings', worker.url),
      producer: 'kitchen',
      ack: 'committed',
    });
    // The client is told of each: that is what is meant to happen here.
    await Promise.allSettled(Array.from({ length: 18 }, () => client.send({ sensor: 'kitchen' })));
    await client.close();
    const printed: Record<string, string> = {};
    for (const command of commands) {
      // By then, 17 and 18 have been tried again with all others, and have other numbers: 1 says that they are not there.
      const codes = command.includes('dead-letters drop 17 18') ? [1] : [0];
      printed[command] = (await terminal.succeed(command, { codes })).stdout;
    }
    expect(printed['npx sluice dead-letters show 17 --sink readings']).toContain('"sensor":"kitchen"');
    // None of them was refused for a value of that column. The control: for their own reason, they are tried again.
    expect(
      printed['npx sluice dead-letters retry --reason 22P02 --column celsius --sink readings'],
    ).toContain(': 0 dead letters to be written again');
    const own = await eventually(async () => {
      const { letters } = JSON.parse(await run('npx sluice dead-letters list --sink readings --json'));
      expect(letters).not.toEqual([]);
      return letters[0].reason as string;
    });
    expect(
      await run(`npx sluice dead-letters retry --reason '${own.split(/['"]/)[0]}' --sink readings`),
    ).toMatch(/: [1-9]\d* dead letters? to be written again/);
    // The control: there is no such letter.
    const { exitCode } = await terminal.type('npx sluice dead-letters show 17000 --sink readings');
    expect(exitCode).toBe(1);
  });

  test('sluice top shows the sink of a real Worker, and every Worker serves the dashboard', async () => {
    const [command = ''] = commandsFor('test/examples/commands.test.ts').filter((one) =>
      one.endsWith(' top'),
    );
    const { stdout } = await terminal.succeed(command, { codes: [0, 1] });
    expect(stdout).toMatch(/^Sluice (ok|degraded|failing) /);
    expect(stdout).toMatch(/^ {2}readings +\w+ /m);
    const page = await fetch(new URL('/dashboard', worker.url));
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'sha256-/);
  });
});

describe('SQL', () => {
  test('is accepted by Postgres as it is shown', async () => {
    // That of docs/metrics.md is for Cloudflare's Analytics Engine.
    const statements = blocks.filter(
      ({ language, page }) => language === 'sql' && page !== 'docs/metrics.md',
    );
    expect(statements.length).toBeGreaterThan(0);
    await migrateDatabase(own.url);
    for (const { text } of statements) await rowsOf(own.connection, text);
  });
});
