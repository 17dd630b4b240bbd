/** `npm run dev`: the database that it migrates and reports is the one that its Worker writes to. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { REPOSITORY } from '../../../local/repository.ts';
import { formatAddress, parseAddress } from '../../../src/database/address.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { awkwardDatabase } from '../../support/awkward-database.ts';
import { commandLine, type RunningCommand } from '../../support/command-line.ts';
import { rowsOf } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { eventually } from '../../support/patience.ts';

const cli = commandLine();

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  await new Promise((closed) => server.close(closed));
  return port;
}

interface Dev {
  command: RunningCommand;
  ask(path: string, init?: RequestInit): Promise<Response>;
}

/** Starts dev with its own folder for configuration and state, and waits until the Worker answers. */
async function startDev(
  name: string,
  {
    files,
    toml = '',
    env = {},
  }: { files: Record<string, string>; toml?: string; env?: Record<string, string> },
): Promise<Dev> {
  const folder = join(cli.folder, name);
  await mkdir(folder);
  const config = (await readFile(join(REPOSITORY, 'wrangler.toml'), 'utf8')).replace(
    'main = "workers/index.ts"',
    `main = ${JSON.stringify(join(REPOSITORY, 'workers/index.ts'))}`,
  );
  await writeFile(join(folder, 'wrangler.toml'), config + toml);
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
  const port = await freePort();
  const command = cli.start(
    [
      'dev',
      ...['--port', String(port)],
      ...['--config', join(folder, 'wrangler.toml')],
      ...['--persist-to', join(folder, 'state')],
    ],
    env,
  );
  await command.saidOnStderr(/are up to date/);
  const ask: Dev['ask'] = (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init);
  await eventually(async () => expect((await ask('/')).ok).toBe(true));
  return { command, ask };
}

async function stopDev({ command }: Dev): Promise<string> {
  command.child.kill('SIGTERM');
  return (await command.ended).stderr;
}

/** Makes a namespace in Postgres, so that the Worker writes there. */
async function writeBy({ ask }: Dev, headers: Record<string, string>): Promise<void> {
  const response = await ask('/rpc', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(['ns.create', 'written_by_dev', { engine: 'postgres' }]),
  });
  expect(await response.text()).not.toContain('error');
  expect(response.status).toBe(200);
}

async function wasWrittenTo(connection: Connection): Promise<boolean> {
  const rows = await rowsOf(connection, "select 1 from pg_namespace where nspname like '%written_by_dev%'");
  return rows.length > 0;
}

describe('npm run dev', () => {
  const awkward = awkwardDatabase();
  const own = ownDatabase();

  test('goes where the environment says, $ and all, and keeps the other values of .dev.vars', async () => {
    // As people write it: the marks that need no escape stand there as they are.
    const url = formatAddress({ ...parseAddress(awkward.url), options: undefined })
      .replaceAll('%24', '$')
      .replaceAll('%27', "'");
    const dev = await startDev('environment', {
      files: { '.dev.vars': `DATABASE_URL=${own.url}\nOPERATE_TOKENS="a$b#c'd"\n` },
      env: { DATABASE_URL: url },
    });
    const authorization = "Bearer a$b#c'd";
    const response = await dev.ask('/health?deep=1', { headers: { authorization } });
    const health = (await response.json()) as { database: { address: string } };
    expect(health.database.address).toContain(
      `/${encodeURIComponent(awkward.name).replace("'", '%27')} (tcp)`,
    );
    expect((await dev.ask('/admin/messages/dead-letters')).status).toBe(401);
    expect((await dev.ask('/admin/messages/dead-letters', { headers: { authorization } })).status).toBe(200);
    await writeBy(dev, { authorization });
    const stderr = await stopDev(dev);
    expect(stderr).toContain('Ignored: DATABASE_URL of .dev.vars or .env, since the environment sets it');
    expect(stderr).not.toContain(awkward.password);

    const connection = await openConnection({ url: awkward.url, driver: 'tcp' });
    expect(await wasWrittenTo(connection)).toBe(true);
    connection.close();
    const shortName = formatAddress({ ...parseAddress(inject('databaseUrl')), database: awkward.shortName });
    const short = await openConnection({ url: shortName, driver: 'tcp' });
    expect(await wasWrittenTo(short)).toBe(false);
    short.close();
    expect(await wasWrittenTo(own.connection)).toBe(false);
  });

  test('migrates and reports the database of a Hyperdrive binding, which its Worker writes to', async () => {
    const dev = await startDev('hyperdrive', {
      files: { '.env': 'OPERATE_TOKENS=word\n' },
      toml: `\n[[hyperdrive]]\nbinding = "HYPERDRIVE"\nid = "none"\nlocalConnectionString = ${JSON.stringify(own.url)}\n`,
      env: { DATABASE_URL: inject('databaseUrl') },
    });
    expect((await dev.ask('/health?deep=1')).status).toBe(200);
    await writeBy(dev, { authorization: 'Bearer word' });
    const stderr = await stopDev(dev);
    const { database } = parseAddress(own.url);
    expect(stderr).toMatch(
      new RegExp(
        `The tables of .*/${database} \\(tcp\\) are up to date; the Worker reaches it through the binding HYPERDRIVE`,
      ),
    );
    expect(stderr).toContain('Ignored: DATABASE_URL, since the binding HYPERDRIVE names another database');
    expect(await own.tables()).toContain('messages');
    expect(await wasWrittenTo(own.connection)).toBe(true);
  });

  test('says at once that its Worker does not reach a database that Node reaches', async () => {
    const { user, password, port, database } = parseAddress(own.url);
    // A proxy of the Neon driver that is not there: Node migrates without it.
    const dev = await startDev('unreachable', {
      files: { '.dev.vars': 'DRIVER=neon\nNEON_PROXY=127.0.0.1:1/v1\n' },
      env: { DATABASE_URL: `postgres://${user}:${password}@127.0.0.1:${port}/${database}` },
    });
    await dev.command.saidOnStderr(/The Worker cannot use its database: Cannot reach the database/);
    await stopDev(dev);
  });
});
