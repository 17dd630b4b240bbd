/** `sluice doctor` in projects of which something is wrong. */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
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

[[durable_objects.bindings]]
name = "SHARD"
class_name = "Shard"
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
  return await cli.run(['doctor', ...args], env);
}

async function answering(status: number, body: unknown): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
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
    const { exitCode, stdout, stderr } = await doctor(config, { DATABASE_URL: database.url }, ['--url', url]);
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
      GOOD_CONFIG.replace(/\[exports.Shard\]\n.*\n.*\n/, '') +
      '\n[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Shard"]\n';
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
    ]);
    expect(exitCode).toBe(0);
  });
});

describe('who may send', () => {
  const lines = async (config: string, code: string | undefined): Promise<string[]> => {
    await mkdir(join(cli.folder, 'src'), { recursive: true });
    const file = join(cli.folder, 'src/index.ts');
    if (code !== undefined) await writeFile(file, code);
    const { stdout } = await doctor(config);
    await rm(file, { force: true });
    return stdout.split('\n').filter((line) => /may send|may connect|AUTHORIZE/.test(line));
  };
  // As createSluice leaves it on its class.
  const worker = (said: string) =>
    `export class Shard { static sluiceSinks = {}; static sluiceAuthorize = '${said}'; }`;
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
      expect.stringMatching(/^- {6}It was not looked at who may send: src\/index\.ts cannot be loaded/),
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

  test('a database that cannot be reached: exit code 4', async () => {
    const { exitCode, stdout } = await doctor(GOOD_CONFIG, { DATABASE_URL: NO_DATABASE });
    expect({ exitCode, stdout }).toEqual({
      exitCode: 4,
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
        /^WRONG {2}The database .* answers, but lacks sluice_0000_checkpoints, sluice_0001_dead_letters: run npx sluice migrate$/m,
      ),
    });
  });

  test('a Worker that does not reach its database, or that does not answer where it was said to', async () => {
    const url = await answering(503, { code: 'database_unreachable', detail: 'No route' });
    const unwell = await doctor(GOOD_CONFIG, {}, ['--url', url]);
    expect(unwell).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/^WRONG .*No route$/m) });
    const silent = await doctor(GOOD_CONFIG, {}, ['--url', 'http://127.0.0.1:1']);
    expect(silent).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(/^WRONG {2}Nothing answers at http:\/\/127\.0\.0\.1:1$/m),
    });
  });
});
