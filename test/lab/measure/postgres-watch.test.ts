import { isDeepStrictEqual } from 'node:util';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PostgresWatch } from '../../../lab/measure/postgres-watch.ts';
import type { ServerFigures } from '../../../lab/result.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { freshName, rowsOf } from '../../support/connect.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { openConnection } from '../../support/open-connection.ts';
import { ownDatabase } from '../../support/own-database.ts';

const database = ownDatabase();
const watches: PostgresWatch[] = [];
const connections: Connection[] = [];
const TABLE = '"watched"';

beforeAll(async () => {
  await run('create extension pg_stat_statements');
  await run('create table watched (id bigint primary key, text text not null)');
});

afterEach(() => {
  for (const watch of watches.splice(0)) watch.close();
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

interface Watched {
  watch: PostgresWatch;
  timers: FakeTimers;
  /** Looks once at the waits, and comes back when the look is over. */
  look(): Promise<void>;
}

function watching(url: string = database.url): Watched {
  const timers = new FakeTimers();
  let uses = 0;
  let ended = (): void => {};
  const watch = new PostgresWatch({
    timers,
    async open() {
      const connection = await connect(url);
      const db = new Proxy(connection.db, {
        get(target, name) {
          if (name !== 'execute') return Reflect.get(target, name);
          return async (query: never) => {
            try {
              return await target.execute(query);
            } finally {
              uses += 1;
              ended();
            }
          };
        },
      });
      return { ...connection, db, isOpen: true, close: () => connection.close() };
    },
  });
  watches.push(watch);
  return {
    watch,
    timers,
    async look() {
      const over = new Promise<void>((resolve) => {
        const before = uses;
        ended = () => void (uses > before && resolve());
      });
      timers.advance(200);
      await over;
      // The look sets the next timer once its answer is counted.
      while (timers.pending < 2) await new Promise(setImmediate);
    },
  };
}

async function checkpointsCounted(): Promise<string | undefined> {
  const [row] = await rowsOf<{ requested: string }>(
    database.connection,
    'select num_requested::text as requested from pg_stat_checkpointer',
  );
  return row?.requested;
}

async function insert(rows: number, from = 0): Promise<void> {
  await run(
    `insert into watched select n, repeat('x', 1000) from generate_series(${from}, ${from + rows - 1}) as n`,
  );
}

describe('what a repetition cost the server', () => {
  test('WAL, table, indexes, full-page images and checkpoints', async () => {
    const { watch } = watching();
    await run('truncate watched');
    await watch.begin();
    await insert(2_000);
    const figures = await watch.end(2_000, [TABLE]);
    // Each row has 1,000 bytes of text, once in the WAL and once in the table. Others write to the same WAL.
    expect(figures.walBytesPerRow).toBeGreaterThan(1_000);
    expect(figures.tableBytesPerRow).toBeGreaterThan(1_000);
    expect(figures.tableBytesPerRow).toBeLessThan(1_400);
    expect(figures.indexBytesPerRow).toBeGreaterThan(8);
    expect(figures.indexBytesPerRow).toBeLessThan(100);
    expect(figures.walFullPageImages).toBeGreaterThanOrEqual(0);
    expect(figures.checkpoints).toBeGreaterThanOrEqual(0);
    expect(figures.missing).toEqual([]);
  });

  test('a checkpoint in the middle is counted', async () => {
    const { watch } = watching();
    await watch.begin();
    await insert(10, 100_000);
    const before = await checkpointsCounted();
    await run('checkpoint');
    // The server answers first, and counts then.
    while ((await checkpointsCounted()) === before);
    const figures = await watch.end(10, [TABLE]);
    expect(figures.checkpoints).toBeGreaterThanOrEqual(1);
  });

  test('the statements that took its time, without its own and without literals', async () => {
    const { watch } = watching();
    const role = freshName('secret');
    await run('truncate watched');
    await watch.begin();
    await insert(500);
    for (let n = 0; n < 3; n += 1) await run(`select count(*) from watched where text = 'literal ${n}'`);
    await run(`create role ${role} password 'do not show'`);
    const figures = await watch.end(500, [TABLE]);
    await run(`drop role ${role}`);
    const statements = figures.statements ?? [];
    expect(statements.length).toBeGreaterThanOrEqual(3);
    expect(statements.length).toBeLessThanOrEqual(10);
    expect(statements.find(({ text }) => text.startsWith('insert into watched'))).toMatchObject({
      calls: 1,
      rows: 500,
    });
    expect(statements.find(({ text }) => text.startsWith('select count(*)'))).toMatchObject({
      text: 'select count(*) from watched where text = $1',
      calls: 3,
      rows: 3,
    });
    const [slowest, next] = statements;
    expect(slowest?.totalMs).toBeGreaterThanOrEqual(next?.totalMs ?? 0);
    expect(slowest?.totalMs).toBeCloseTo((slowest?.meanMs ?? 0) * (slowest?.calls ?? 0), 5);
    const texts = statements.map(({ text }) => text).join('\n');
    expect(texts).not.toMatch(/literal|do not show|pg_stat_|pg_current_wal/);
  });

  test('only what happened meanwhile', async () => {
    const { watch } = watching();
    await run('select max(id) from watched');
    await watch.begin();
    await run('select min(id) from watched');
    const texts = ((await watch.end(1, [])).statements ?? []).map(({ text }) => text);
    expect(texts).toContain('select min(id) from watched');
    expect(texts).not.toContain('select max(id) from watched');
  });

  test('reads and writes of files', async () => {
    const { watch } = watching();
    await watch.begin();
    // Enough rows that the table grows, from a connection whose counters are handed over when it ends.
    const writer = await connect();
    await run(
      `create table grown as select n, repeat('x', 500) as text from generate_series(1, 20000) as n`,
      writer,
    );
    await run('select pg_stat_force_next_flush()', writer);
    await run('drop table grown', writer);
    const { io } = await watch.end(20_000, []);
    expect(io?.some((row) => row.extends > 0 || row.writes > 0)).toBe(true);
    for (const row of io ?? []) expect(Object.values(row)).not.toContain(null);
  });

  test('no rows are no division by zero', async () => {
    const { watch } = watching();
    await watch.begin();
    expect(await watch.end(0, [TABLE])).toMatchObject({ walBytesPerRow: null, tableBytesPerRow: null });
  });
});

describe('waits', () => {
  test('a backend that waits for a lock is seen, the watch itself is not', async () => {
    const { watch, look } = watching();
    await watch.begin();
    const holder = await connect();
    const waiter = await connect();
    await run('begin', holder);
    await run('lock table watched', holder);
    const waiting = run('insert into watched values (-1, $$late$$)', waiter);
    // Also for the end of connections that earlier tests have closed.
    await untilThere({ waiting: 1, backends: 4 });
    for (let n = 0; n < 3; n += 1) await look();
    await run('rollback', holder);
    await waiting;
    await run('delete from watched where id = -1');
    const figures = await watch.end(1, [TABLE]);
    expect(figures.waitSamples).toBe(3);
    expect(figures.waits?.['Lock:relation']).toBe(3);
    // The holder is idle in its transaction, as is the connection of the test. Both may need a moment to be so.
    const { ClientRead: idle = 0, running = 0 } = figures.waits ?? {};
    expect(idle + running).toBe(6);
    expect(idle).toBeGreaterThan(0);
  });

  test('without a look there are none', async () => {
    const { watch } = watching();
    await watch.begin();
    expect(await watch.end(1, [])).toMatchObject({ waits: null, waitSamples: 0 });
  });

  test('end and close stop the looking', async () => {
    const { watch, timers } = watching();
    await watch.begin();
    await watch.end(1, []);
    watch.close();
    expect(timers.pending).toBe(0);
  });

  test('close also stops what is only beginning, and nothing begins after it', async () => {
    const { watch, timers } = watching();
    await watch.begin();
    expect(timers.pending, 'the control: the next look, and the idle connection').toBe(2);
    const beginning = watch.begin();
    watch.close();
    await beginning;
    // A connection that was being opened meanwhile is closed once it is idle.
    expect(timers.pending, 'no further look').toBeLessThan(2);
    timers.advance(5_000);
    await watch.begin();
    expect(timers.pending).toBe(0);
    expect(await watch.end(1, [TABLE])).toMatchObject({ walBytesPerRow: null, waitSamples: 0 });
    expect(timers.pending).toBe(0);
  });

  /** Resolves once so many backends are there, this connection's own too, and so many of them wait for a lock. */
  async function untilThere(wanted: { waiting: number; backends: number }): Promise<void> {
    for (;;) {
      const [found] = await rowsOf(
        database.connection,
        `select count(*)::int as backends, count(*) filter (where wait_event_type = 'Lock')::int as waiting
          from pg_stat_activity where datname = current_database() and backend_type = 'client backend'`,
      );
      if (isDeepStrictEqual(found, wanted)) return;
    }
  }
});

describe('what may not be asked', () => {
  test('a role without rights: null, named, and no failure', async () => {
    const role = freshName('weak');
    await run(`create role ${role} login password 'weak'`);
    await run('revoke all on function pg_current_wal_insert_lsn() from public');
    await run('revoke all on pg_stat_io, pg_stat_wal from public');
    try {
      const url = Object.assign(new URL(database.url), { username: role, password: 'weak' }).href;
      const { watch, look } = watching(url);
      await watch.begin();
      await insert(10, 200_000);
      await look();
      const figures = await watch.end(10, [TABLE]);
      expect(figures).toMatchObject({ walBytesPerRow: null, walFullPageImages: null, io: null });
      // Sizes need no right but the way to the table's schema.
      expect(figures.tableBytesPerRow).toBeGreaterThan(0);
      expect(figures.statements).toEqual([]);
      expect(figures.waits).toEqual({});
      expect(figures.missing).toEqual(
        expect.arrayContaining([
          expect.stringMatching(/^WAL: permission denied .*pg_monitor\.$/),
          expect.stringMatching(/^Full-page images: permission denied/),
          expect.stringMatching(/^Reads and writes of files \(pg_stat_io\): permission denied/),
          'Statements of other roles: hidden from this role; grant it pg_read_all_stats.',
          'Waits of other roles: hidden from this role; grant it pg_read_all_stats.',
        ]),
      );
    } finally {
      await run('grant execute on function pg_current_wal_insert_lsn() to public');
      await run('grant select on pg_stat_io, pg_stat_wal to public');
      await run(`drop role ${role}`);
    }
  });

  test('pg_stat_statements that is not installed: what to do about it', async () => {
    await run('drop extension pg_stat_statements');
    try {
      const { watch } = watching();
      await watch.begin();
      const figures = await watch.end(1, [TABLE]);
      expect(figures.statements).toBeNull();
      expect(figures.missing).toEqual([
        'Statements: pg_stat_statements is not installed; add it to shared_preload_libraries, restart the server, and run: create extension pg_stat_statements.',
      ]);
      expect(figures.walBytesPerRow).not.toBeNull();
    } finally {
      await run('create extension pg_stat_statements');
    }
  });

  test('an older version: its own view of checkpoints, and no pg_stat_io or pg_stat_wal', async () => {
    // The names that version 13 has, in a schema that is searched before the server's own.
    await run('create schema old');
    await run(`create function old.current_setting(name text) returns text language sql as
      $$ select case when name = 'server_version_num' then '130012' else pg_catalog.current_setting(name) end $$`);
    await run(
      'create table old.pg_stat_bgwriter as select 7::bigint as checkpoints_timed, 3::bigint as checkpoints_req',
    );
    try {
      const { watch } = watching(
        `${database.url}?options=${encodeURIComponent('-c search_path=old,pg_catalog,public')}`,
      );
      await watch.begin();
      await run('update old.pg_stat_bgwriter set checkpoints_req = checkpoints_req + 2');
      const figures: ServerFigures = await watch.end(1, [TABLE]);
      expect(figures).toMatchObject({ checkpoints: 2, io: null, walFullPageImages: null });
      expect(figures.missing).toEqual([
        'Full-page images: there from PostgreSQL 14 on, this is 13.',
        'Reads and writes of files (pg_stat_io): there from PostgreSQL 16 on, this is 13.',
      ]);
      expect(figures.statements).not.toBeNull();
    } finally {
      await run('drop schema old cascade');
    }
  });

  test('a table that is not there leaves the other figures', async () => {
    const { watch } = watching();
    await watch.begin();
    await insert(1, 300_000);
    const figures = await watch.end(1, ['"not there"']);
    expect(figures.tableBytesPerRow).toBeNull();
    expect(figures.missing).toEqual([
      expect.stringMatching(/^Sizes of tables: relation "not there" does not exist\.$/),
    ]);
    expect(figures.walBytesPerRow).toBeGreaterThan(0);
  });

  test('a server that cannot be reached: everything is null', async () => {
    const watch = new PostgresWatch({
      timers: new FakeTimers(),
      open: () => openConnection({ url: 'postgres://nobody@127.0.0.1:1/none', driver: 'tcp' }),
    });
    await watch.begin();
    const { missing, waitSamples, ...figures } = await watch.end(1, [TABLE]);
    expect(Object.values(figures).filter((figure) => figure !== null)).toEqual([]);
    expect(waitSamples).toBe(0);
    expect(missing).toEqual([expect.stringMatching(/^The server: Cannot reach the database .*\.$/)]);
  });

  test('a connection lost in the middle fails nothing', async () => {
    const { watch } = watching();
    await watch.begin();
    await run(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    const figures = await watch.end(1, [TABLE]);
    expect(figures.tableBytesPerRow === null || figures.tableBytesPerRow > 0).toBe(true);
  });
});
