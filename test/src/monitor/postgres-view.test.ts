import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { quoteName } from '../../../src/core/sql-text.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { StatementMemory } from '../../../src/monitor/own-statements.ts';
import { type PostgresViewOptions, readPostgresView } from '../../../src/monitor/postgres-view.ts';
import type { DatabaseReport } from '../../../src/monitor/shard-report.ts';
import { watchedTables } from '../../../src/monitor/watched-tables.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { copyStatement } from '../../../src/writers/copy.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { eventually } from '../../support/patience.ts';
import { startTransactionPooler, type TransactionPooler } from '../../support/transaction-pooler.ts';

const database = ownDatabase();
const TABLE = '"seen"';
const connections: Connection[] = [];

beforeAll(async () => {
  await run('create extension pg_stat_statements');
  await run('create table seen (id int primary key, text text)');
  await run('create table other (id int primary key)');
});
afterEach(() => {
  for (const connection of connections.splice(0)) connection.close();
});

async function run(statement: string, on: Connection = database.connection): Promise<void> {
  await rowsOf(on, statement);
}

async function connect(url = database.url): Promise<Connection> {
  const connection = await openConnection({ url, driver: 'tcp' });
  connections.push(connection);
  return connection;
}

function untilRows(query: string, count: number): Promise<void> {
  return eventually(async () => expect(await rowsOf(database.connection, query)).toHaveLength(count));
}

function view(connection: Connection, options: Partial<PostgresViewOptions> = {}): Promise<DatabaseReport> {
  return readPostgresView(connection, {
    address: '127.0.0.1:1/own',
    tables: [TABLE],
    now: Date.now,
    // A busy machine may need longer than the default; where a limit is what is tested, the test sets it.
    statementTimeoutMs: 60_000,
    totalTimeLimitMs: 600_000,
    ...options,
  });
}

/** The values of a metric by its label. */
function values({ samples }: DatabaseReport, metric: string): Record<string, number> {
  return Object.fromEntries(
    samples.flatMap(([name, label, value]) => (name === metric ? [[label, value]] : [])),
  );
}

function value(report: DatabaseReport, metric: string): number | undefined {
  return values(report, metric)[''];
}

async function asRole(
  statement: (role: string) => string[],
  ask: (url: string) => Promise<void>,
): Promise<void> {
  const role = freshName('plain');
  await run(`create role ${role} login password 'plain'`);
  try {
    for (const one of statement(role)) await run(one);
    await ask(Object.assign(new URL(database.url), { username: role, password: 'plain' }).href);
  } finally {
    await run(`drop owned by ${role}`);
    await run(`drop role ${role}`);
  }
}

/** A connection for which things of the server's catalog are others, as another server or another role has them. */
async function withFakes(
  statements: readonly string[],
  ask: (fake: Connection) => Promise<void>,
): Promise<void> {
  const schema = freshName('fake');
  await run(`create schema ${schema}`);
  try {
    for (const statement of statements) await run(statement.replaceAll('fake.', `${schema}.`));
    const path = encodeURIComponent(`-c search_path=${schema},pg_catalog,public`);
    await ask(await connect(`${database.url}?options=${path}`));
  } finally {
    await run(`drop schema ${schema} cascade`);
  }
}

describe('a role that may see all', () => {
  test('has every figure, and nothing is hidden', async () => {
    const report = await view(await connect());
    expect(report).toMatchObject({ address: '127.0.0.1:1/own', hidden: [] });
    expect(report.serverVersion).toMatch(/^\d+\.\d+/);
    expect(value(report, 'postgres_connections_limit')).toBe(200);
    expect(values(report, 'postgres_connections_reserved')).toEqual({ superuser: 3, role: 0 });
    expect(values(report, 'postgres_connections').active).toBeGreaterThanOrEqual(1);
    expect(values(report, 'postgres_connections').hidden).toBeUndefined();
    expect(value(report, 'postgres_longest_transaction_seconds')).toBeGreaterThanOrEqual(0);
    expect(value(report, 'postgres_wal_bytes_total')).toBeGreaterThan(0);
    expect(values(report, 'postgres_table_bytes')).toEqual({ seen: expect.any(Number) });
    expect(values(report, 'postgres_index_bytes')).toEqual({ seen: expect.any(Number) });
    expect(values(report, 'postgres_dead_tuples')).toEqual({ seen: expect.any(Number) });
    expect(Math.abs(report.atMs - Date.now())).toBeLessThan(600_000);
  });

  test('and they are the figures of what happened', async () => {
    const connection = await connect();
    const before = await view(connection);
    const writer = await connect();
    // Or what is committed is not written yet.
    await run('set synchronous_commit = on', writer);
    await run(`insert into seen select n, repeat('x', 1000) from generate_series(1, 1000) as n`, writer);
    await run('delete from seen where id <= 300', writer);
    await run('select pg_stat_force_next_flush()', writer);
    await run('begin', writer);
    await run('select 1', writer);
    const [{ age } = { age: 0 }] = await rowsOf<{ age: number }>(
      writer,
      'select extract(epoch from clock_timestamp() - now())::float8 as age',
    );
    const after = await view(connection);
    const grown = (metric: string, label: string) =>
      (values(after, metric)[label] as number) - (values(before, metric)[label] as number);
    expect(grown('postgres_table_bytes', 'seen')).toBeGreaterThan(1_000_000);
    expect(grown('postgres_table_bytes', 'seen')).toBeLessThan(1_500_000);
    expect(grown('postgres_index_bytes', 'seen')).toBeGreaterThan(8_000);
    expect(grown('postgres_dead_tuples', 'seen')).toBe(300);
    expect(grown('postgres_wal_bytes_total', '')).toBeGreaterThan(1_000_000);
    expect(values(after, 'postgres_connections')['idle in transaction']).toBeGreaterThanOrEqual(1);
    expect(age).toBeGreaterThan(0);
    expect(value(after, 'postgres_longest_transaction_seconds')).toBeGreaterThan(age);
  });

  test('partitions count for their table', async () => {
    await run('create table parted (id int, text text) partition by range (id)');
    await run('create table parted_1 partition of parted for values from (0) to (1000)');
    await run('create table parted_2 partition of parted for values from (1000) to (2000)');
    await run(`insert into parted select n, repeat('x', 1000) from generate_series(0, 1999) as n`);
    const report = await view(database.connection, { tables: ['"public"."parted"', '"parted_1"'] });
    const sizes = values(report, 'postgres_table_bytes');
    expect(sizes.parted_1).toBeGreaterThan(1_000_000);
    expect(sizes['public.parted']).toBeGreaterThan(1.9 * (sizes.parted_1 as number));
    await run('drop table parted');
  });

  test('a standby that lags, which is a real receiver that has confirmed less than there is', async () => {
    const standby = freshName('standby');
    const end = await receive(standby);
    try {
      const writer = await connect();
      await run('set synchronous_commit = on', writer);
      await run('insert into other select n from generate_series(1, 1000) as n', writer);
      const lag = values(await view(database.connection), 'postgres_replication_lag_bytes')[standby];
      expect(lag).toBeGreaterThan(10_000);
    } finally {
      await end();
    }
    expect(
      values(await view(database.connection), 'postgres_replication_lag_bytes')[standby],
    ).toBeUndefined();
  });

  /** Receives WAL as a standby does, and says once what it has replayed: what there is now. */
  async function receive(name: string): Promise<() => Promise<void>> {
    const url = new URL(database.url);
    const client = new pg.Client({
      connectionString: url.href,
      application_name: name,
      replication: 'true',
    } as pg.ClientConfig);
    client.on('error', () => {});
    await client.connect();
    const [{ lsn } = { lsn: '' }] = await rowsOf<{ lsn: string }>(
      database.connection,
      'select pg_current_wal_lsn()::text as lsn',
    );
    client.query(`START_REPLICATION PHYSICAL ${lsn}`).catch(() => {});
    const [high, low] = lsn.split('/').map((part) => Number.parseInt(part, 16)) as [number, number];
    const status = Buffer.alloc(34);
    status.write('r');
    for (const at of [1, 9, 17]) {
      status.writeUInt32BE(high, at);
      status.writeUInt32BE(low, at + 4);
    }
    // biome-ignore lint/suspicious/noExplicitAny: node-postgres has no type for its own wire
    const wire = (client as any).connection;
    await new Promise((started) => wire.once('replicationStart', started));
    wire.sendCopyFromChunk(status);
    await untilRows(
      `select 1 from pg_stat_replication where application_name = '${name}' and replay_lsn is not null`,
      1,
    );
    return async () => {
      wire.stream.destroy();
      await untilRows(`select 1 from pg_stat_replication where application_name = '${name}'`, 0);
    };
  }
});

describe('both drivers', () => {
  const neon = testDatabase('neon');
  test('the WebSocket of Neon has them too', async () => {
    const report = await view(await neon.open(), { tables: [] });
    expect(value(report, 'postgres_wal_bytes_total')).toBeGreaterThan(0);
    expect(value(report, 'postgres_connections_limit')).toBe(200);
  });
});

describe('our statements', () => {
  const written = pgTable('written', { id: integer().primaryKey(), text: text() });
  const sink = defineSink('written', { table: written });

  test('are those that write to the tables of sinks, and no others', async () => {
    await run('create table written (id int primary key, text text)');
    const connection = await connect();
    await connection.copy(copyStatement(sink), [Buffer.from('1\ta\n2\tb\n')]);
    for (const rows of ['(3)', '(4), (5)', '(6), (7), (8)'])
      await run(`insert into "written" (id) values ${rows} on conflict do nothing`);
    await run('select count(*) from "written"');
    await run('insert into other values (-7) on conflict do nothing');
    const { tables, statementNames } = watchedTables([sink]);
    const report = await view(connection, { tables, statementNames });
    const calls = values(report, 'postgres_statement_calls_total');
    expect(calls['copy "written" ("id", "text") from stdin']).toBe(1);
    expect(
      calls['insert into "written" (id) values ($1), … on conflict do nothing'],
      'rows in bulk are one statement, whatever their number',
    ).toBe(2);
    expect(Object.keys(calls).join('\n')).not.toMatch(/select count|other|sluice monitor/);
    const seconds = values(report, 'postgres_statement_seconds_total');
    expect(Object.keys(seconds)).toEqual(Object.keys(calls));
    expect(Math.min(...Object.values(seconds))).toBeGreaterThan(0);
  });

  test('their texts are read every ten minutes, their figures each time', async () => {
    const connection = await connect();
    const memory = new StatementMemory();
    let nowMs = Date.now();
    const ask = async () =>
      values(
        await view(connection, { tables: ['"remembered"'], memory, now: () => nowMs }),
        'postgres_statement_calls_total',
      );
    await run('create table remembered (id int)');
    expect(await ask(), 'nothing is remembered of nothing').toEqual({});
    await run('insert into "remembered" values (1)');
    const first = { 'insert into "remembered" values ($1)': 1 };
    expect(await ask()).toEqual(first);
    await run('insert into "remembered" values (2)');
    await run('update "remembered" set id = 3');
    expect(await ask()).toEqual({ 'insert into "remembered" values ($1)': 2 });
    nowMs += 600_000;
    expect(await ask()).toEqual({
      'insert into "remembered" values ($1)': 2,
      'update "remembered" set id = $1': 1,
    });
  });
});

describe('what the role may not see is named, and the rest is there', () => {
  test('a plain role', async () => {
    const holder = await connect();
    await run('begin', holder);
    await run('select 1', holder);
    await asRole(
      () => [],
      async (url) => {
        const report = await view(await connect(url));
        expect(report.hidden).toEqual([
          'States and transactions of other roles: hidden from this role; grant it pg_read_all_stats.',
        ]);
        expect(values(report, 'postgres_connections').hidden).toBeGreaterThanOrEqual(1);
        expect(values(report, 'postgres_connections').active).toBeGreaterThanOrEqual(1);
        expect(values(report, 'postgres_table_bytes').seen).toBeGreaterThan(0);
        expect(value(report, 'postgres_wal_bytes_total')).toBeGreaterThan(0);
      },
    );
    await asRole(
      (role) => [`grant pg_read_all_stats to ${role}`],
      async (url) => {
        expect((await view(await connect(url))).hidden, 'the control').toEqual([]);
      },
    );
  });

  test('a role that may not call a function, nor enter the schema of a table or of pg_stat_statements', async () => {
    await run('revoke all on function pg_current_wal_lsn() from public');
    await run('create schema closed');
    await run('create table closed.kept (id int)');
    await run('alter extension pg_stat_statements set schema closed');
    try {
      await asRole(
        (role) => [`grant pg_read_all_stats to ${role}`],
        async (url) => {
          const report = await view(await connect(url), { tables: ['"closed"."kept"', TABLE] });
          expect(report.hidden).toEqual([
            'WAL: permission denied for function pg_current_wal_lsn; grant this role pg_monitor.',
            'Standbys: permission denied for function pg_current_wal_lsn; grant this role pg_monitor.',
            'Figures of closed.kept: permission denied for schema closed; grant this role usage on its schema.',
            'Statements: permission denied for schema closed; grant this role usage on its schema.',
          ]);
          expect(value(report, 'postgres_wal_bytes_total')).toBeUndefined();
          expect(values(report, 'postgres_table_bytes')).toEqual({ seen: expect.any(Number) });
        },
      );
      const mayAll = await view(database.connection, { tables: ['"closed"."kept"', TABLE] });
      expect(mayAll.hidden, 'the control').toEqual([]);
    } finally {
      await run('grant execute on function pg_current_wal_lsn() to public');
      await run('alter extension pg_stat_statements set schema public');
      await run('drop schema closed cascade');
    }
  });

  test('a server without pg_stat_statements', async () => {
    await run('drop extension pg_stat_statements');
    try {
      const report = await view(database.connection);
      expect(report.hidden).toEqual([
        'Statements: pg_stat_statements is not installed; add it to shared_preload_libraries, restart the server, and run: create extension pg_stat_statements.',
      ]);
      expect(value(report, 'postgres_wal_bytes_total')).toBeGreaterThan(0);
    } finally {
      await run('create extension pg_stat_statements');
    }
  });

  test('a table that is not there, and more tables than are looked at', async () => {
    const tables = [TABLE, '"gone"', ...Array.from({ length: 19 }, (_, n) => quoteName(`Gone ${n}`))];
    const { hidden, ...report } = await view(database.connection, { tables });
    expect(hidden).toContain('The table gone: it is not in this database.');
    expect(hidden).toContain('The table "Gone 18": only 20 tables are looked at.');
    expect(hidden).toHaveLength(20);
    expect(values({ ...report, hidden }, 'postgres_table_bytes')).toEqual({ seen: expect.any(Number) });
  });

  test('hosted: a server that has none of it', async () => {
    const refuse = (name: string, type: string) =>
      `create function fake.${name}() returns ${type} language plpgsql as $$ begin raise 'not here' using errcode = '0A000'; end $$`;
    await withFakes(
      [
        refuse('pg_current_wal_lsn', 'pg_lsn'),
        'create view fake.pg_stat_replication as select 1 as no_state',
      ],
      async (fake) => {
        const report = await view(fake);
        expect(report.hidden).toEqual([
          'WAL: not here.',
          expect.stringMatching(/^Standbys: column "\w+" does not exist\.$/),
        ]);
        expect(values(report, 'postgres_dead_tuples')).toEqual({ seen: expect.any(Number) });
        expect(fake.isOpen).toBe(true);
      },
    );
  });

  test('a standby tells what it has received', async () => {
    await withFakes(
      [
        'create function fake.pg_is_in_recovery() returns boolean language sql as $$ select true $$',
        `create function fake.pg_last_wal_receive_lsn() returns pg_lsn language sql as $$ select '0/100'::pg_lsn $$`,
        `create view fake.pg_stat_replication as select 'next' as application_name, 'streaming' as state, '0/10'::pg_lsn as replay_lsn`,
      ],
      async (fake) => {
        const report = await view(fake);
        expect(value(report, 'postgres_wal_bytes_total')).toBe(0x100);
        expect(values(report, 'postgres_replication_lag_bytes')).toEqual({ next: 0xf0 });
      },
    );
    await withFakes(
      [
        'create function fake.pg_is_in_recovery() returns boolean language sql as $$ select true $$',
        'create function fake.pg_last_wal_receive_lsn() returns pg_lsn language sql as $$ select null::pg_lsn $$',
        'create function fake.pg_last_wal_replay_lsn() returns pg_lsn language sql as $$ select null::pg_lsn $$',
      ],
      async (fake) => {
        expect((await view(fake)).hidden).toEqual(['WAL: this standby has received none.']);
      },
    );
  });
});

describe('limits', () => {
  test('a locked table hides its size, and nothing else', async () => {
    const holder = await connect();
    await run('begin', holder);
    await run('lock table seen in access exclusive mode', holder);
    const asked = { tables: [TABLE, '"other"'], lockTimeoutMs: 20 };
    const connection = await connect();
    const locked = await view(connection, asked);
    expect(locked.hidden).toEqual(['Size of seen: the table is locked, as by an ALTER TABLE.']);
    expect(Object.keys(values(locked, 'postgres_table_bytes'))).toEqual(['other']);
    expect(Object.keys(values(locked, 'postgres_dead_tuples'))).toEqual(['seen', 'other']);
    await run('rollback', holder);
    const free = await view(connection, asked);
    expect(free.hidden, 'the control').toEqual([]);
    expect(Object.keys(values(free, 'postgres_table_bytes'))).toEqual(['seen', 'other']);
  });

  test('an ALTER TABLE that waits is not kept waiting, and the view waits after it for its own limit only', async () => {
    const [reader, changer, connection] = [await connect(), await connect(), await connect()];
    await run('begin', reader);
    await run('select count(*) from seen', reader);
    const altered = run('alter table seen add column more int', changer);
    await untilRows(`select 1 from pg_locks where not granted and relation = 'seen'::regclass`, 1);
    const report = await view(connection, { lockTimeoutMs: 20 });
    expect(report.hidden).toEqual(['Size of seen: the table is locked, as by an ALTER TABLE.']);
    await run('rollback', reader);
    await altered;
    expect((await view(connection)).hidden, 'the control').toEqual([]);
    await run('alter table seen drop column more');
  });

  test('a question that takes too long is ended by the server, and the next ones are asked', async () => {
    await withFakes(
      [
        `create view fake.pg_stat_replication as select 'slow' as application_name, 'streaming' as state, '0/0'::pg_lsn as replay_lsn from pg_sleep(600)`,
      ],
      async (fake) => {
        const report = await view(fake, { statementTimeoutMs: 500 });
        expect(report.hidden).toContain('Standbys: canceling statement due to statement timeout.');
        expect(value(report, 'postgres_wal_bytes_total')).toBeGreaterThan(0);
      },
    );
  });

  test('after the time for all of them no further question is asked', async () => {
    let asked = 0;
    const connection = await connect();
    const report = await view(connection, { now: () => 1_000 * asked++, totalTimeLimitMs: 4_500 });
    expect(report.hidden).toContain('WAL: not asked, since the questions before took 4500 ms.');
    expect(values(report, 'postgres_connections').active, 'the control').toBeGreaterThanOrEqual(1);
    expect(connection.isOpen).toBe(true);
  });

  test('a connection that is lost is closed, and what was read is told', async () => {
    await withFakes(
      [
        `create view fake.pg_stat_replication as select 'gone' as application_name, 'streaming' as state, '0/0'::pg_lsn as replay_lsn
          from pg_terminate_backend(pg_backend_pid())`,
      ],
      async (fake) => {
        const report = await view(fake);
        expect(fake.isOpen).toBe(false);
        expect(value(report, 'postgres_wal_bytes_total'), 'the control').toBeGreaterThan(0);
        expect(report.hidden).toEqual([
          expect.stringMatching(/^Standbys: /),
          'Figures of seen: not asked, since the connection was lost.',
          'Statements: not asked, since the connection was lost.',
        ]);
      },
    );
  });

  test('the report is bounded', async () => {
    const tables = Array.from({ length: 500 }, (_, n) => quoteName(`${'x'.repeat(500)} ${n}`));
    const report = await view(database.connection, { tables });
    expect(report.hidden).toHaveLength(41);
    expect(report.hidden.at(-1)).toBe('And 460 more.');
    expect(JSON.stringify(report).length).toBeLessThan(32 * 1024);
  });
});

describe('the session that is lent', () => {
  test('is as it was: its settings, its names of statements, and no transaction', async () => {
    const connection = await connect();
    await run(`set statement_timeout = '77s'`, connection);
    await run(`set lock_timeout = '33s'`, connection);
    await run('prepare kept as select 1', connection);
    const state = async () =>
      await rowsOf(
        connection,
        `select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
          current_setting('transaction_read_only') as read_only,
          (select array_agg(name) from pg_prepared_statements where from_sql) as names,
          (select count(*)::int from pg_locks where pid = pg_backend_pid() and relation = 'seen'::regclass) as locks,
          (select count(*)::int from pg_prepared_statements) as prepared`,
      );
    const before = await state();
    await view(connection);
    expect(await state()).toEqual(before);
    expect(before).toMatchObject([
      { statement: '77s', lock: '33s', read_only: 'off', names: ['kept'], locks: 0 },
    ]);
  });

  describe('behind a transaction pooler', () => {
    let pooler: TransactionPooler;
    beforeAll(async () => {
      const { hostname, port } = new URL(database.url);
      pooler = await startTransactionPooler({ host: hostname, port: Number(port) });
    });
    afterAll(() => pooler.close());

    test('has every figure, and leaves no setting at any of its servers', async () => {
      const url = Object.assign(new URL(database.url), { port: String(pooler.port) }).href;
      const clients = [await connect(url), await connect(url), await connect(url)];
      const settings = async () => {
        const found = new Map<number, string>();
        for (let n = 0; n < 9; n += 1)
          for (const row of await rowsOf<{ pid: number; limits: string }>(
            clients[n % 3] as Connection,
            `select pg_backend_pid() as pid, current_setting('statement_timeout') || current_setting('lock_timeout') as limits`,
          ))
            found.set(row.pid, row.limits);
        return found;
      };
      const before = await settings();
      expect(before.size, 'three servers take turns').toBe(3);
      const reports = await Promise.all(clients.map((client) => view(client)));
      for (const report of reports) {
        expect(report.hidden).toEqual([]);
        expect(values(report, 'postgres_table_bytes').seen).toBeGreaterThan(0);
      }
      expect(await settings()).toEqual(before);
      await run('set statement_timeout = 12345', clients[0]);
      expect(await settings(), 'the control: what is set for a session stays at a server').not.toEqual(
        before,
      );
    });
  });
});
