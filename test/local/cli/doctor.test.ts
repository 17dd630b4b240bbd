/** `sluice doctor` in projects of which something is wrong. */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CHECKS } from '../../../local/doctor/checks.ts';
import { migrateDatabase } from '../../../local/migrate.ts';
import { commandLine, type Ended } from '../../support/command-line.ts';
import { ownDatabase } from '../../support/own-database.ts';

const cli = commandLine();
const database = ownDatabase();
/** Nothing listens there. */
const NO_DATABASE = 'postgres://a:b@127.0.0.1:1/x';

const GOOD_CONFIG = `name = "w"
main = "src/index.ts"
compatibility_date = "2026-10-15"
compatibility_flags = ["nodejs_compat"]

[exports.Shard]
type = "durable-object"
storage = "sqlite"

[exports.Monitor]
type = "durable-object"
storage = "sqlite"

[[durable_objects.bindings]]
name = "SHARD"
class_name = "Shard"

[[durable_objects.bindings]]
name = "MONITOR"
class_name = "Monitor"

[observability]
enabled = true
`;

let cleanups: (() => Promise<unknown>)[] = [];
beforeEach(() => {
  cleanups = [];
});
afterEach(async () => {
  for (const cleanup of cleanups) await cleanup();
});

/** Runs it in a project with this configuration. */
async function doctor(
  config: string | undefined,
  env: Record<string, string> = {},
  args: readonly string[] = [],
): Promise<Ended> {
  const file = join(cli.folder, 'wrangler.toml');
  await rm(file, { force: true });
  if (config !== undefined) await writeFile(file, config);
  const ended = await cli.run(['doctor', ...args], env);
  for (const line of ended.stdout.split('\n'))
    if (!line.includes('> ') && !args.includes('--json')) expect(line.length, line).toBeLessThanOrEqual(80);
  // A finding is one line here, with its commands below it.
  return { ...ended, stdout: ended.stdout.replaceAll(/\n {7}(?!>)/g, ' ') };
}

/** What createSluice leaves on its class of shards. */
function worker(said: string, sinks = '{ names: () => [], find: () => undefined }'): string {
  return `export class Shard { static sluiceSinks = ${sinks}; static sluiceAuthorize = '${said}'; }`;
}

async function withCode<Result>(code: string, work: () => Promise<Result>): Promise<Result> {
  await mkdir(join(cli.folder, 'src'), { recursive: true });
  await writeFile(join(cli.folder, 'src/index.ts'), code);
  try {
    return await work();
  } finally {
    await rm(join(cli.folder, 'src/index.ts'), { force: true });
  }
}

/** A Worker whose monitor knows of nothing. */
async function answering(status: number, body: unknown): Promise<string> {
  const view = { sinks: [], alerts: [], health: { reasons: [] } };
  const server = createServer((request, response) => {
    const answer = request.url === '/monitor/view' ? view : body;
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((closed) => server.close(closed)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('where all is well', () => {
  test('each thing has its line, and the exit code is 0', async () => {
    await migrateDatabase(database.url, { isSluiceOnly: true });
    const url = await answering(200, { status: 'ok' });
    const config = `${GOOD_CONFIG}\n[vars]\nAUTHORIZE = "tokens"\n`;
    const { exitCode, stdout, stderr } = await withCode(worker('asks'), () =>
      doctor(config, { DATABASE_URL: database.url }, [url]),
    );
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      `ok     Node ${process.versions.node}`,
      expect.stringMatching(/^ok {5}sluice \d+\.\d+\.\d+$/),
      expect.stringMatching(/^ok {5}@neondatabase\/serverless \S+$/),
      expect.stringMatching(/^ok {5}drizzle-orm \S+$/),
      expect.stringMatching(/^ok {5}hono \S+$/),
      expect.stringMatching(/^ok {5}pg \S+$/),
      expect.stringMatching(/^ok {5}wrangler \S+$/),
      'ok     wrangler.toml has nodejs_compat, and SHARD bound to Shard',
      expect.stringMatching(/^ok {5}The database \S+ \(tcp\) answers, and has the tables of Sluice$/),
      `ok     The Worker at ${url} answers, and reaches its database`,
      'Nothing is wrong',
      '',
    ]);
  });

  test('a class that is declared by a migration is as good', async () => {
    const config =
      GOOD_CONFIG.replaceAll(/\[exports.\w+\]\n.*\n.*\n/g, '') +
      '\n[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Shard", "Monitor"]\n';
    expect((await doctor(config)).stdout).toMatch(/^ok {5}wrangler\.toml has nodejs_compat/m);
  });
});

describe('what is open to everybody', () => {
  test('is a warning, also of another environment, and nothing is wrong for it', async () => {
    const config = `${GOOD_CONFIG}
[vars]
OPERATORS = "closed"
BENCH = "on"

[env.staging]
vars = { OPERATORS = "open", BENCH = "open" }
`;
    await migrateDatabase(database.url, { isSluiceOnly: true });
    const url = await answering(200, { status: 'ok' });
    const { exitCode, stdout } = await doctor(config, { DATABASE_URL: database.url }, ['--url', url]);
    expect(stdout.split('\n').filter((line) => line.startsWith('WARN'))).toEqual([
      'WARN   wrangler.toml, [env.staging]: OPERATORS=open: everybody may look at this Worker and operate it',
      'WARN   wrangler.toml, [env.staging]: BENCH=open: everybody may start runs of the bench, if the Worker has it',
      // Bindings of an environment are its own.
      expect.stringMatching(/^WARN {3}wrangler\.toml, \[env\.staging\]: MONITOR is not bound/),
    ]);
    expect(exitCode).toBe(0);
  });
});

describe('who may send', () => {
  const lines = async (config: string, code: string | undefined): Promise<string[]> => {
    const { stdout } = await (code === undefined ? doctor(config) : withCode(code, () => doctor(config)));
    return stdout.split('\n').filter((line) => /may send|may connect|AUTHORIZE/.test(line));
  };
  const nothing = (place: string) =>
    `WARN   ${place}: nothing says who may send, so nobody can connect: give createSluice authorize, or set AUTHORIZE`;

  test('has to be said by the code, or by each environment', async () => {
    const both = `${GOOD_CONFIG}\n[env.staging]\nvars = { AUTHORIZE = "jwt" }\n\n[env.production]\n`;
    expect(await lines(both, worker('nothing'))).toEqual([
      nothing('wrangler.toml'),
      nothing('wrangler.toml, [env.production]'),
    ]);
    expect(await lines(both, worker('asks')), 'the control').toEqual([]);
    expect(await lines(`${GOOD_CONFIG}\n[vars]\nAUTHORIZE = "jwt"\n`, worker('nothing'))).toEqual([]);
  });

  test('is warned of where it is everybody, by the configuration or by the code', async () => {
    expect(await lines(`${GOOD_CONFIG}\n[vars]\nAUTHORIZE = "open"\n`, worker('asks'))).toEqual([
      'WARN   wrangler.toml: AUTHORIZE=open: everybody may send messages to this Worker',
    ]);
    expect(await lines(GOOD_CONFIG, worker('open'))).toEqual([
      "WARN   The Worker's code says authorize: 'open': everybody may send messages to it",
    ]);
  });

  test('is not known where the code cannot be loaded, which is no fault', async () => {
    expect(await lines(GOOD_CONFIG, undefined)).toEqual([
      expect.stringMatching(/^- {6}It was not looked at who may send src\/index\.ts cannot be loaded/),
    ]);
  });
});

describe('what is wrong', () => {
  test.each([
    ['no configuration', undefined, /^ok|No wrangler\.toml here/m],
    [
      'no nodejs_compat',
      GOOD_CONFIG.replace('"nodejs_compat"', ''),
      /^WRONG {2}wrangler\.toml: compatibility_flags lacks "nodejs_compat"/m,
    ],
    [
      'no SHARD',
      GOOD_CONFIG.replace('"SHARD"', '"OTHER"'),
      /^WRONG {2}wrangler\.toml: no Durable Object is bound as SHARD/m,
    ],
    [
      'an undeclared class',
      GOOD_CONFIG.replace('exports.Shard', 'exports.Other'),
      /^WRONG {2}wrangler\.toml: the class Shard is not declared/m,
    ],
    ['no TOML', 'name = ', /^WRONG {2}wrangler\.toml: /m],
  ])('the configuration (%s)', async (_, config, says) => {
    const { stdout, exitCode } = await doctor(config);
    expect(stdout).toMatch(says);
    if (config !== undefined) expect(exitCode).toBe(1);
  });

  test('a database that cannot be reached: exit code 2, since nothing is known of it', async () => {
    const { exitCode, stdout } = await doctor(GOOD_CONFIG, { DATABASE_URL: NO_DATABASE });
    expect({ exitCode, stdout }).toEqual({
      exitCode: 2,
      stdout: expect.stringMatching(/^WRONG {2}Cannot reach the database .*\n(.*\n)*1 thing is wrong\n$/m),
    });
  });

  test('a database without the tables', async () => {
    const url = new URL(database.url);
    url.searchParams.set('options', '-csearch_path=empty');
    await database.connection.db.execute('create schema if not exists empty');
    const { exitCode, stdout } = await doctor(GOOD_CONFIG, { DATABASE_URL: url.href });
    expect({ exitCode, stdout }).toEqual({
      exitCode: 1,
      stdout: expect.stringMatching(
        /^WRONG {2}The database .* answers, but lacks sluice_0000_checkpoints, sluice_0001_dead_letters .*\n {7}> npx sluice migrate$/m,
      ),
    });
  });

  test('a Worker that does not reach its database, or that does not answer where it was said to', async () => {
    const url = await answering(503, { code: 'database_unreachable', detail: 'No route' });
    const unwell = await doctor(GOOD_CONFIG, {}, ['--url', url]);
    expect(unwell).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/^WRONG .*No route$/m) });
    const silent = await doctor(GOOD_CONFIG, {}, ['--url', 'http://127.0.0.1:1']);
    expect(silent).toMatchObject({
      exitCode: 2,
      stdout: expect.stringMatching(/^WRONG {2}Nothing answers at http:\/\/127\.0\.0\.1:1$/m),
    });
  });
});

describe('for programs', () => {
  const table = `{ names: () => ['gone'], find: () => ({
    kind: 'table', name: 'gone', quotedTable: '"gone"', columns: [{ name: 'id' }], checkpointTable: 'sluice_checkpoints',
    options: { shards: 1, connections: 1, writer: 'copy', deadLetters: 'shard' },
  }) }`;

  test('--json has every check with what it found, and the tables of the sinks are looked at', async () => {
    await migrateDatabase(database.url, { isSluiceOnly: true });
    const config = `${GOOD_CONFIG}\n[vars]\nAUTHORIZE = "open"\n`;
    const { exitCode, stdout } = await withCode(worker('asks', table), () =>
      doctor(config, { DATABASE_URL: database.url }, ['--json']),
    );
    const { wrong, unwise, checks } = JSON.parse(stdout) as {
      wrong: number;
      unwise: number;
      checks: { name: string; area: string; findings: { state: string; what: string }[] }[];
    };
    expect({ exitCode, wrong, unwise }).toEqual({ exitCode: 1, wrong: 1, unwise: 1 });
    expect(checks.find(({ name }) => name === 'sink-tables')?.findings).toEqual([
      expect.objectContaining({ state: 'wrong', what: expect.stringMatching(/"gone" does not exist/) }),
    ]);
    for (const area of ['installation', 'configuration', 'database'] as const)
      expect(checks.filter((check) => check.area === area).map(({ name }) => name)).toEqual(
        CHECKS[area].map(({ name }) => name),
      );
  });

  test('--strict fails for what is unwise', async () => {
    const config = `${GOOD_CONFIG}\n[vars]\nAUTHORIZE = "open"\n`;
    const all = await Promise.all([doctor(config), doctor(config, {}, ['--strict'])]);
    expect(all.map(({ exitCode }) => exitCode)).toEqual([0, 1]);
    for (const { stdout } of all) expect(stdout).toMatch(/Nothing is wrong; 1 thing is unwise\n$/);
    const sound = `${GOOD_CONFIG}\n[vars]\nAUTHORIZE = "jwt"\n`;
    expect(await doctor(sound, {}, ['--strict'])).toMatchObject({ exitCode: 0 });
  });

  test('an address that cannot be is a wrong option', async () => {
    const { exitCode, stderr } = await doctor(GOOD_CONFIG, {}, ['ftp://x']);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: expect.stringMatching(/Cannot use "ftp:\/\/x" as the address/),
    });
  });
});
