/** The Worker, and the processes of the suite stress, write to the database that an address means, by both drivers. */

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { localStressPorts } from '../../lab/local/stress-ports.ts';
import { Cleanup } from '../../local/cli/cleanup.ts';
import { openLocalDatabase } from '../../local/local-database.ts';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { formatAddress, parseAddress } from '../../src/database/address.ts';
import { ConnectionSlot } from '../../src/database/connection-slot.ts';
import { DRIVERS } from '../../src/database/target.ts';
import { awkwardDatabase } from '../support/awkward-database.ts';
import { rowsOf } from '../support/connect.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { openConnection } from '../support/open-connection.ts';

const awkward = awkwardDatabase();

async function schemasOf(url: string): Promise<string[]> {
  const connection = await openConnection({ url, driver: 'tcp' });
  const rows = await rowsOf<{ name: string }>(
    connection,
    "select nspname as name from pg_namespace where nspname like '%written_by%' order by 1",
  );
  connection.close();
  return rows.map(({ name }) => name);
}

describe.each(DRIVERS)('the Worker by the driver %s', (driver) => {
  const cleanup = new Cleanup();
  const logs: string[] = [];
  let worker: LocalWorker;
  beforeAll(async () => {
    const { bindings } = await openLocalDatabase({
      driver,
      cleanup,
      onLog: (line) => logs.push(line),
      databaseUrl: awkward.url,
    });
    worker = await startWorker({
      bindings: { ...bindings, OPERATORS: 'open' },
      onLog: (line) => logs.push(line),
    });
  });
  afterAll(async () => {
    await worker.stop();
    await cleanup.run();
  });

  test('writes there', async () => {
    const health = await (await fetch(new URL('/health?deep=1', worker.url))).text();
    expect(health).toContain('"status":"ok"');
    const response = await fetch(new URL('/rpc', worker.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(['ns.create', `written_by_${driver}`, { engine: 'postgres' }]),
    });
    expect(await response.text()).toContain('token');
    expect((await schemasOf(awkward.url)).some((name) => name.includes(`written_by_${driver}`))).toBe(true);
    const server = parseAddress(inject('databaseUrl'));
    for (const database of [awkward.shortName, server.database])
      expect(await schemasOf(formatAddress({ ...server, database }))).toEqual([]);
    expect(health + logs.join('\n')).not.toContain(awkward.password);
  });
});

describe('the processes of the suite stress', () => {
  test('write there', async () => {
    const target = { url: awkward.url, driver: 'tcp' } as const;
    const connection = await openConnection(target);
    await rowsOf(
      connection,
      'create table sales.stress_rows (id bigserial primary key, payload jsonb not null)',
    );
    const slot = new ConnectionSlot({ open: () => openConnection(target), timers: new FakeTimers() });
    const ports = localStressPorts({ target, slot });
    const [outcome] = await ports.run([
      {
        phase: 'write',
        mode: 'sync',
        format: 'jsonb',
        table: 'stress_rows',
        epochs: 10,
        seed: 1,
        concurrency: 1,
        statementTimeoutMs: 0,
        ids: [],
      },
    ]);
    expect(outcome).toHaveProperty('answer');
    const [row] = await rowsOf<{ rows: number }>(
      connection,
      'select count(*)::integer as rows from sales.stress_rows',
    );
    expect(row?.rows).toBeGreaterThan(0);
    await ports.close();
    slot.close();
    connection.close();
  });
});

describe('an address with TLS', () => {
  test('is refused for the driver neon of a plain Postgres, whose tunnel has none, and nothing is started', async () => {
    const cleanup = new Cleanup();
    const opening = openLocalDatabase({
      driver: 'neon',
      cleanup,
      onLog: () => {},
      databaseUrl: `${inject('databaseUrl')}?sslmode=require`,
    });
    await expect(opening).rejects.toMatchObject({
      code: 'invalid_options',
      message: expect.stringMatching(/with TLS: .*the driver neon goes through a tunnel.*Use DRIVER=tcp/),
    });
    await cleanup.run();
  });
});
