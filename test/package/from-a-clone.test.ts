/**
 * docs/from-a-clone.md, step by step: a clone with a table and a sink of its own has rows in Postgres, messages that wait in
 * its outbox, and a dead letter. Then each command of the page is typed, and the Worker of the package has to go on with all of it.
 */

import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { REPOSITORY } from '../../local/repository.ts';
import type { AckLevel } from '../../src/client/index.ts';
import { SluiceClient } from '../../src/client/index.ts';
import { type AppDatabase, openAppDatabase } from '../support/app-database.ts';
import { makeClone } from '../support/clone.ts';
import { type CloudflareApi, startCloudflareApi } from '../support/cloudflare-api.ts';
import { freePort } from '../support/free-port.ts';
import { keptTarball } from '../support/kept-package.ts';
import { commandsFor } from '../support/page-commands.ts';
import { allBlocks, commandsOf } from '../support/pages.ts';
import { eventually } from '../support/patience.ts';
import { Terminal } from '../support/terminal.ts';
import { startTlsFront, type TlsFront } from '../support/tls-front.ts';
import type { RunningServer } from './project.ts';

/** The table that the user had added to the clone; the file goes to the new Worker as it is. */
const SCHEMA = `import { bigint, doublePrecision, pgTable, text } from 'drizzle-orm/pg-core';

export const readings = pgTable('readings', {
  id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  sensor: text().notNull(),
  celsius: doublePrecision().notNull(),
});
`;

const blocksOf = (page: string): string[] =>
  allBlocks().flatMap((block) => (block.page === page && block.language === 'sh' ? [block.text] : []));
const [firstBlock = '', ...otherBlocks] = blocksOf('docs/from-a-clone.md');
const commands = otherBlocks.flatMap(commandsOf);
const typed = new Set<string>();

let scratch: string;
let clone: string;
let terminal: Terminal;
let database: AppDatabase;
let cloudflare: CloudflareApi;
let front: TlsFront | undefined;
let port: number;
let server: RunningServer | undefined;
let historyOfClone = 0;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'sluice-from-a-clone-'));
  clone = join(scratch, 'sluice');
  await makeClone(clone, () => false);
  port = await freePort();
  database = await openAppDatabase();
  cloudflare = await startCloudflareApi();
  terminal = await Terminal.open({
    folder: clone,
    scratch: join(scratch, 'terminal'),
    env: { SLUICE_TEST_DEV_PORT: String(port), ...cloudflare.env },
  });
  Object.assign(terminal.places, {
    'localhost:8787': `127.0.0.1:${port}`,
    'db.example.com:5432': database.place,
  });
});

afterAll(async () => {
  await server?.stop();
  await front?.close();
  await cloudflare?.close();
  await database?.close();
  await rm(scratch, { recursive: true, force: true });
});

/** Types the one command of the page that fits. */
async function type(pattern: RegExp): ReturnType<Terminal['succeed']> {
  return await terminal.succeed(shown(pattern));
}

function shown(pattern: RegExp): string {
  const found = commands.filter((command) => pattern.test(command));
  expect(found).toHaveLength(1);
  typed.add(found[0] as string);
  return found[0] as string;
}

async function send(temperatures: number[], ack: AckLevel): Promise<void> {
  const client = new SluiceClient({ url: `ws://127.0.0.1:${port}/ws/readings`, producer: 'kitchen', ack });
  await Promise.all(temperatures.map((celsius) => client.send({ sensor: 'kitchen', celsius })));
  expect(await client.close()).toMatchObject({ unacked: 0 });
}

async function rowsIn(table: string): Promise<number> {
  const [row] = await database.query(`select count(*)::int as count from ${table}`);
  return (row as { count: number }).count;
}

describe('from a clone to the package', () => {
  test('the clone has rows in its own table, messages that wait, and a dead letter', async () => {
    await writeFile(join(clone, 'src/schema/readings.ts'), SCHEMA);
    const index = join(clone, 'src/schema/index.ts');
    await writeFile(index, `${await readFile(index, 'utf8')}export { readings } from './readings.ts';\n`);
    const worker = join(clone, 'workers/index.ts');
    const code = await readFile(worker, 'utf8');
    const changed = code.replace('sinks: {', 'sinks: { readings: { table: readings },');
    expect(changed).not.toBe(code);
    await writeFile(worker, `import { readings } from '../src/schema/readings.ts';\n${changed}`);
    await writeFile(join(clone, '.dev.vars'), `DATABASE_URL=${database.url}\n`);
    await terminal.succeed('npm run generate');
    server = await terminal.start('npm run dev');
    await server.said(/Ready on/);
    await send([1, 2, 3], 'committed');
    // Without a temperature: the column refuses NULL.
    const hall = new SluiceClient({ url: `ws://127.0.0.1:${port}/ws/readings`, producer: 'hall' });
    await hall.send({ sensor: 'hall' });
    await hall.close();
    await eventually(async () =>
      expect(await (await fetch(`http://127.0.0.1:${port}/stats`)).text()).toMatch(/"deadLetters":1/),
    );
    await database.query('alter table readings rename to readings_away');
    await send([4, 5, 6], 'stored');
    await server.stop();
    server = undefined;
    await database.query('alter table readings_away rename to readings');
    expect(await database.query('select celsius from readings order by id')).toEqual(
      [1, 2, 3].map((celsius) => ({ celsius })),
    );
    historyOfClone = await rowsIn('sluice_migrations');
    expect(historyOfClone).toBeGreaterThanOrEqual(3);
  });

  test('a folder has the package, by the first commands, which test/package/pack.test.ts types', async () => {
    expect(firstBlock).toBe(blocksOf('docs/first-sink.md')[0]);
    // Installed from the tarball; what it needs are the packages of the repository, and not a second download.
    const folder = join(scratch, 'my-worker');
    const packages = join(folder, 'node_modules');
    await mkdir(join(packages, '.bin'), { recursive: true });
    await link(join(REPOSITORY, 'node_modules'), packages);
    await link(join(REPOSITORY, 'node_modules/.bin'), join(packages, '.bin'));
    await mkdir(join(packages, 'sluice'));
    await promisify(execFile)('tar', [
      ...['xzf', await keptTarball(), '--strip-components=1'],
      ...['-C', join(packages, 'sluice')],
    ]);
    // As npm makes a program of a package.
    const program = 'sluice/dist/local/cli/start.js';
    await chmod(join(packages, program), 0o755);
    await symlink(`../${program}`, join(packages, '.bin/sluice'));
    await writeFile(
      join(folder, 'package.json'),
      '{"private":true,"dependencies":{"sluice":"file:../sluice/sluice-0.3.0.tgz"}}\n',
    );
    terminal.folder = folder;
    await terminal.succeed('npx sluice init');
  });

  test('the table, the sink, the configuration and the Durable Objects move', async () => {
    await copyFile(join(clone, 'src/schema/readings.ts'), join(terminal.folder, 'src/schema.ts'));
    const parts = await readFile(join(REPOSITORY, 'examples/workers/all-parts.ts'), 'utf8');
    const code = parts
      .replace(
        /import \{ pgTable.*\n/,
        "import { messages, messageSources } from 'sluice';\nimport { readings } from './schema';\n",
      )
      .replace(/const notes = .*\n/, '')
      .replace(
        'notes: { table: notes }',
        'readings: { table: readings }, messages: { table: messages, columns: messageSources }',
      );
    expect(code).not.toMatch(/notes/);
    await writeFile(join(terminal.folder, 'src/index.ts'), code);
    await type(/^cp \.\.\/sluice\/wrangler\.toml/);
    const file = join(terminal.folder, 'wrangler.toml');
    const toml = (await readFile(file, 'utf8'))
      .replace('main = "workers/index.ts"', 'main = "src/index.ts"')
      .replace(/^\[build\]\n(?:\w.*\n)+/m, '');
    expect(toml).not.toMatch(/\[build\]|workers\/index/);
    await writeFile(file, toml);
    await type(/^cp -r \.\.\/sluice\/\.wrangler/);
    await type(/^cp \.\.\/sluice\/\.dev\.vars/);
  });

  test('its migration is noted as done and not run; the history of the clone stays', async () => {
    await type(/^rm -r drizzle/);
    await type(/^npx drizzle-kit generate$/);
    expect((await type(/ npx sluice migrate$/)).stdout).toMatch(/up to date/);
    expect(await rowsIn('sluice_migrations')).toBe(historyOfClone);
    expect(await rowsIn('drizzle.__drizzle_migrations')).toBe(1);
    expect(await rowsIn('readings')).toBe(3);
  });

  test('the Worker of the package writes what waited, and goes on: nothing is lost or doubled', async () => {
    server = await terminal.start(shown(/^npx sluice dev$/));
    await server.said(/Ready on/);
    await send([7, 8, 9], 'committed');
    // In their order: what waited is written before what comes.
    expect(await database.query('select celsius from readings order by id')).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((celsius) => ({ celsius })),
    );
    const letters = await terminal.succeed('npx sluice dead-letters list --sink readings');
    expect(letters.stdout).toMatch(/1 dead letter[\s\S]* hall /);
    expect(await rowsIn('sluice_migrations')).toBe(historyOfClone);
    expect(await rowsIn('drizzle.__drizzle_migrations')).toBe(1);
  });

  test('and is deployed under the name and the classes of the clone; a shard of the old one drains', async () => {
    await type(/^npx wrangler deploy --env=""$/);
    const uploaded = cloudflare.workers.get('sluice');
    expect(uploaded?.migrations).toMatchObject({ new_tag: 'v4' });
    const classes = (uploaded?.bindings ?? []).flatMap(({ class_name }) => class_name ?? []);
    expect(classes.toSorted()).toEqual(
      ['BenchObject', 'BenchShard', 'LoadObject', 'Monitor', 'Namespace', 'Registry', 'Shard'].toSorted(),
    );
    front = await startTlsFront(port);
    terminal.places['sluice.example.workers.dev:443'] = front.place;
    terminal.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    expect((await type(/^npx sluice shard drain /)).stdout).toMatch(/0 messages not written yet/);
  });

  test('the same Worker below a path of an application, which `sluice dev` is told', async () => {
    await server?.stop();
    const file = join(terminal.folder, 'src/index.ts');
    const code = await readFile(file, 'utf8');
    // As docs/sinks.md has it.
    const mounted = code.replace(
      'export default sluice;',
      "const app = new Hono();\napp.get('/', (context) => context.text('The application'));\n" +
        "app.route('/sluice', sluice.router);\nexport default app;",
    );
    expect(mounted).not.toBe(code);
    await writeFile(file, `import { Hono } from 'hono';\n${mounted}`);
    const [command = '', ...others] = commandsFor('test/package/from-a-clone.test.ts').filter((one) =>
      one.startsWith('npx sluice dev --path '),
    );
    expect(others).toEqual([]);
    server = await terminal.start(command);
    await server.said(/Ready on/);
    const at = `http://127.0.0.1:${port}`;
    expect(await (await fetch(at)).text()).toBe('The application');
    expect((await fetch(`${at}/sluice/health`)).status).toBe(200);
    // The control: nothing of Sluice is at the root, and dev would have said so.
    expect((await fetch(`${at}/health`)).status).toBe(404);
    expect((await server.stop()).stderr).not.toMatch(/is not Sluice|cannot use its database/);
    server = undefined;
  });

  test('every command of the page was typed', () => {
    expect(commands.filter((command) => !typed.has(command))).toEqual([]);
  });
});

/** Makes each entry of a folder one of another. */
async function link(from: string, to: string): Promise<void> {
  for (const name of await readdir(from))
    if (!['.bin', '.cache', '.vite'].includes(basename(name)))
      await symlink(join(from, name), join(to, name));
}
