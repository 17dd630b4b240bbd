import { createServer } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { type ErrorCode, SluiceError } from '../../../src/core/errors.ts';
import { withTimeLimit } from '../../../src/core/time-limit.ts';
import { type Connection, sqlState } from '../../../src/database/connection.ts';
import { FAULT_CLASSES, type FaultClass, faultClassOf } from '../../../src/database/fault-class.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';

/** An error as the server's, by node-postgres and by Neon's client. */
function serverError(code: string, routine?: string): Error {
  return Object.assign(new Error('refused'), { code, ...(routine === undefined ? {} : { routine }) });
}

/** The policy, written a second time and by hand: code, routine where it matters, class. */
const POLICY: readonly (readonly [code: string, fault: FaultClass, routine?: string])[] = [
  ['08000', 'retry'],
  ['08006', 'retry'],
  ['08P01', 'retry'],
  ['25000', 'retry'],
  ['25006', 'retry'],
  ['25P02', 'retry'],
  ['25P03', 'retry'],
  ['25P04', 'retry'],
  ['26000', 'retry'],
  ['40001', 'retry'],
  ['40P01', 'retry'],
  ['42P05', 'retry'],
  ['53100', 'retry'],
  ['53200', 'retry'],
  ['53300', 'retry'],
  ['53400', 'retry'],
  ['55006', 'retry'],
  ['55P03', 'retry'],
  ['55000', 'retry', 'CheckMyDatabase'],
  ['57014', 'retry'],
  ['57P01', 'retry'],
  ['57P02', 'retry'],
  ['57P03', 'retry'],
  ['57P05', 'retry'],
  ['58000', 'retry'],
  ['58030', 'retry'],
  ['0A000', 'retry', 'RevalidateCachedQuery'],
  ['HV00N', 'retry'],
  ['XX000', 'retry'],

  ['21000', 'isolate'],
  ['22001', 'isolate'],
  ['22003', 'isolate'],
  ['22021', 'isolate'],
  ['22P02', 'isolate'],
  ['22P05', 'isolate'],
  ['23502', 'isolate'],
  ['23503', 'isolate'],
  ['23505', 'isolate'],
  ['23514', 'isolate'],
  ['23P01', 'isolate'],
  ['44000', 'isolate'],
  ['54000', 'isolate'],
  ['54001', 'isolate'],
  ['P0001', 'isolate'],
  ['P0004', 'isolate'],

  ['0A000', 'pause'],
  ['0A000', 'pause', 'BeginCopyFrom'],
  ['2200H', 'pause'],
  ['28000', 'pause'],
  ['28P01', 'pause'],
  ['34000', 'pause'],
  ['3D000', 'pause'],
  ['3F000', 'pause'],
  ['42501', 'pause'],
  ['42501', 'pause', 'ExecWithCheckOptions'],
  ['42703', 'pause'],
  ['42804', 'pause'],
  ['42P01', 'pause'],
  ['54011', 'pause'],
  ['54023', 'pause'],
  ['55000', 'pause'],
  ['55P02', 'pause'],
  ['57P04', 'pause'],
  ['F0000', 'pause'],
  ['XX001', 'pause'],
  ['XX002', 'pause'],
  // Known to nobody: a code that a trigger or an extension made up.
  ['ZZ999', 'pause'],
  ['99999', 'pause'],
];

describe('the table of fault classes', () => {
  test.each(POLICY.map(([code, fault, routine]) => ({ code, fault, routine })))(
    '$code of $routine is $fault',
    ({ code, fault, routine }) => {
      const error = serverError(code, routine);
      expect(faultClassOf(error)).toBe(fault);
      expect(faultClassOf(Object.assign(new Error('Failed query', { cause: error }), { query: '' }))).toBe(
        fault,
      );
    },
  );

  test('each entry is what decides about some code above', () => {
    const used = POLICY.map(([code, , routine]) =>
      [`${code}:${routine}`, code, code.slice(0, 2)].find((key) => Object.hasOwn(FAULT_CLASSES, key)),
    );
    expect(Object.keys(FAULT_CLASSES).filter((key) => !used.includes(key))).toEqual([]);
    expect(used.filter((key) => key === undefined)).toHaveLength(4);
  });

  test('each key is one of the three forms, and each entry has one line that says why', () => {
    for (const [key, { why }] of Object.entries(FAULT_CLASSES)) {
      expect(key).toMatch(/^[0-9A-Z]{2}([0-9A-Z]{3}(:[A-Za-z_]+)?)?$/);
      expect(why).toMatch(/^\S.{9,139}$/);
    }
  });
});

describe('an error without a SQLSTATE', () => {
  test.each([
    ['a lost socket', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })],
    ['a socket that ended', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })],
    ['a failed WebSocket', { type: 'error' }],
    ['a time limit', new SluiceError('time_limit', 'Gave up writing after 1 ms')],
    ['an unreachable database', new SluiceError('database_unreachable', 'Cannot reach it')],
    ['nothing at all', undefined],
  ])('is retried: %s', (_, error) => {
    expect(faultClassOf(error)).toBe('retry');
  });

  test.each<[ErrorCode, FaultClass]>([
    ['sink_failed', 'isolate'],
    ['checkpoint_ahead', 'pause'],
    ['checkpoint_behind', 'pause'],
    ['checkpoint_missing', 'pause'],
    ['dead_letters_full', 'pause'],
    ['invalid_configuration', 'pause'],
    ['invalid_options', 'pause'],
    ['internal', 'retry'],
  ])("that is Sluice's own: %s is %s", (code, fault) => {
    expect(faultClassOf(new SluiceError(code, 'It failed'))).toBe(fault);
  });

  test("the code of a sink's failure wins over what its own code threw", () => {
    const cause = serverError('42P01');
    expect(faultClassOf(new SluiceError('sink_failed', 'It failed', { cause }))).toBe('isolate');
    expect(faultClassOf(cause)).toBe('pause');
  });

  test('condemns no row while the connection is being opened', () => {
    const opening = (cause: Error) => new SluiceError('database_unreachable', 'Cannot reach it', { cause });
    expect(faultClassOf(opening(serverError('22023')))).toBe('pause');
    expect(faultClassOf(serverError('22023'))).toBe('isolate');
    expect(faultClassOf(opening(serverError('53300')))).toBe('retry');
    expect(faultClassOf(opening(serverError('28P01')))).toBe('pause');
  });
});

describe.each(DRIVERS)('a real Postgres by the driver %s', (driver) => {
  const database = testDatabase(driver);
  const cleanUp: string[] = [];
  afterAll(async () => {
    const connection = await openConnection(database.target);
    for (const statement of cleanUp.reverse()) await rowsOf(connection, statement);
    connection.close();
  });

  /** The verdict on what is rejected, with its SQLSTATE, so that a test cannot pass by another error. */
  async function verdict(work: PromiseLike<unknown>): Promise<string> {
    try {
      await work;
    } catch (error) {
      return `${sqlState(error)} ${faultClassOf(error)}`;
    }
    return 'no error';
  }

  /** A connection, and a new table with these columns. */
  async function tableOf(columns: string): Promise<{ connection: Connection; table: string }> {
    const connection = await database.open();
    const table = freshName('fault');
    await rowsOf(connection, `create table ${table} (${columns})`);
    cleanUp.push(`drop table ${table} cascade`);
    return { connection, table };
  }

  async function roleWith(attributes: string): Promise<{ name: string; url: string }> {
    const name = freshName('role');
    await rowsOf(await database.open(), `create role ${name} login password 'right' ${attributes}`);
    cleanUp.push(`drop role ${name}`);
    const url = Object.assign(new URL(database.target.url), { username: name, password: 'right' }).href;
    return { name, url };
  }

  async function open(url: string): Promise<Connection> {
    return await openConnection({ ...database.target, url });
  }

  describe('the row is to blame', () => {
    test.each([
      ['22P02', 'text that is not a number', 'n integer', "select 'x'::text::integer"],
      ['22003', 'a number out of range', 'n smallint', 'select 40000'],
      ['22001', 'a text too long', 'n varchar(2)', "select 'abc'"],
      ['22P05', 'a NUL in jsonb', 'n jsonb', `select '"\\u0000"'::text::jsonb`],
      ['22021', 'bytes that are not UTF-8', 'n text', "select convert_from('\\xff', 'UTF8')"],
      ['23502', 'a null', 'n integer not null', 'select null::integer'],
      ['23514', 'a check', 'n integer check (n > 0)', 'select 0'],
      ['23505', 'a key twice', 'n integer primary key', 'select 1 from generate_series(1, 2)'],
      [
        '54000',
        'a value too large for an index',
        'n text primary key',
        'select string_agg(md5(i::text), null) from generate_series(1, 500) i',
      ],
      ['54001', 'brackets too deep', 'n jsonb', "select repeat('[', 1000000)::jsonb"],
    ])('%s: %s', async (state, _, columns, values) => {
      const { connection, table } = await tableOf(columns);
      expect(await verdict(rowsOf(connection, `insert into ${table} ${values}`))).toBe(`${state} isolate`);
    });

    test('22P02 by COPY, as the writers send it', async () => {
      const { connection, table } = await tableOf('n integer');
      const data = [new TextEncoder().encode('1\nx\n')];
      expect(await verdict(connection.copy(`copy ${table} from stdin`, data))).toBe('22P02 isolate');
    });

    test('23503: a key that the other table has not', async () => {
      const { table: parent } = await tableOf('n integer primary key');
      const { connection, table } = await tableOf(`n integer references ${parent}`);
      expect(await verdict(rowsOf(connection, `insert into ${table} values (1)`))).toBe('23503 isolate');
    });

    test('21000: two rows of one key under ON CONFLICT DO UPDATE', async () => {
      const { connection, table } = await tableOf('n integer primary key');
      const upsert = `insert into ${table} values (1), (1) on conflict (n) do update set n = excluded.n`;
      expect(await verdict(rowsOf(connection, upsert))).toBe('21000 isolate');
    });

    test('44000: a view that would not show the row', async () => {
      const { connection, table } = await tableOf('n integer');
      const view = freshName('view');
      await rowsOf(connection, `create view ${view} as select * from ${table} where n > 0 with check option`);
      expect(await verdict(rowsOf(connection, `insert into ${view} values (0)`))).toBe('44000 isolate');
    });

    test.each([
      ['P0001', 'isolate', "raise exception 'not this one'"],
      ['SLU01', 'pause', "raise exception 'not this one' using errcode = 'SLU01'"],
    ])('%s of a trigger is %s', async (state, fault, body) => {
      const { connection, table } = await tableOf('n integer');
      const trigger = freshName('trigger');
      await rowsOf(
        connection,
        `create function ${trigger}() returns trigger language plpgsql as $$ begin ${body}; end $$`,
      );
      cleanUp.splice(-1, 0, `drop function ${trigger}()`);
      await rowsOf(
        connection,
        `create trigger refuse before insert on ${table} for each row execute function ${trigger}()`,
      );
      expect(await verdict(rowsOf(connection, `insert into ${table} values (1)`))).toBe(`${state} ${fault}`);
    });
  });

  describe('it passes by itself', () => {
    test('40P01: two transactions that wait for each other', async () => {
      const { connection: one, table } = await tableOf('n integer primary key');
      await rowsOf(one, `insert into ${table} values (1), (2)`);
      const other = await database.open();
      const lock = (n: number) => `select n from ${table} where n = ${n} for update`;
      for (const connection of [one, other]) {
        await rowsOf(connection, "set deadlock_timeout = '10ms'");
        await rowsOf(connection, 'begin');
      }
      await rowsOf(one, lock(1));
      await rowsOf(other, lock(2));
      const crossed = [
        [one, lock(2)],
        [other, lock(1)],
      ] as const;
      // The loser gives way at once, and the winner goes on.
      const verdicts = await Promise.all(
        crossed.map(async ([connection, statement]) => {
          const result = await verdict(rowsOf(connection, statement));
          await rowsOf(connection, 'rollback');
          return result;
        }),
      );
      expect(verdicts.sort()).toEqual(['40P01 retry', 'no error']);
    });

    test('40001: a row that another transaction has changed', async () => {
      const { connection, table } = await tableOf('n integer');
      await rowsOf(connection, `insert into ${table} values (1)`);
      await rowsOf(connection, 'begin isolation level repeatable read');
      await rowsOf(connection, `select * from ${table}`);
      await rowsOf(await database.open(), `update ${table} set n = 2`);
      expect(await verdict(rowsOf(connection, `update ${table} set n = 3`))).toBe('40001 retry');
      await rowsOf(connection, 'rollback');
    });

    test('25006: a server that only reads', async () => {
      const { connection, table } = await tableOf('n integer');
      await rowsOf(connection, 'set default_transaction_read_only = on');
      expect(await verdict(rowsOf(connection, `insert into ${table} values (1)`))).toBe('25006 retry');
      await rowsOf(connection, 'set default_transaction_read_only = off');
      expect(await verdict(rowsOf(connection, `insert into ${table} values (1)`))).toBe('no error');
    });

    test('25P02: a statement after one that failed', async () => {
      const connection = await database.open();
      await rowsOf(connection, 'begin');
      expect(await verdict(rowsOf(connection, 'select 1 / 0'))).toBe('22012 isolate');
      expect(await verdict(rowsOf(connection, 'select 1'))).toBe('25P02 retry');
      await rowsOf(connection, 'rollback');
    });

    test('53300: too many connections of a role', async () => {
      const { url } = await roleWith('connection limit 1');
      const only = await open(url);
      expect(await verdict(open(url))).toBe('53300 retry');
      only.close();
    });

    test('55P03: a lock_timeout', async () => {
      const { connection, table } = await tableOf('n integer');
      const holder = await database.open();
      await rowsOf(holder, 'begin');
      await rowsOf(holder, `lock table ${table}`);
      await rowsOf(connection, "set lock_timeout = '10ms'");
      expect(await verdict(rowsOf(connection, `insert into ${table} values (1)`))).toBe('55P03 retry');
      await rowsOf(holder, 'rollback');
      expect(await verdict(rowsOf(connection, `insert into ${table} values (1)`))).toBe('no error');
    });

    test('57014: a statement_timeout', async () => {
      const connection = await database.open();
      await rowsOf(connection, "set statement_timeout = '10ms'");
      expect(await verdict(rowsOf(connection, 'select pg_sleep(600)'))).toBe('57014 retry');
    });

    test('57P01: a backend that is terminated at its work', async () => {
      const connection = await database.open();
      const [row] = await rowsOf<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
      const running = verdict(rowsOf(connection, 'select pg_sleep(600)'));
      await rowsOf(await database.open(), `select pg_terminate_backend(${row?.pid})`);
      expect(await running).toBe('57P01 retry');
    });

    test('55000 of a database that takes no connections', async () => {
      const admin = await database.open();
      const name = freshName('closed');
      await rowsOf(admin, `create database ${name} allow_connections false`);
      cleanUp.push(`drop database ${name}`);
      const url = Object.assign(new URL(database.target.url), { pathname: `/${name}` }).href;
      expect(await verdict(open(url))).toBe('55000 retry');
    });

    test('26000, 42P05 and the 0A000 of prepared statements, as behind a pooler', async () => {
      const { connection, table } = await tableOf('n integer');
      expect(await verdict(rowsOf(connection, 'execute missing'))).toBe('26000 retry');
      await rowsOf(connection, `prepare there as select * from ${table}`);
      expect(await verdict(rowsOf(connection, `prepare there as select 1`))).toBe('42P05 retry');
      await rowsOf(connection, `alter table ${table} add column more integer`);
      expect(await verdict(rowsOf(connection, 'execute there'))).toBe('0A000 retry');
    });

    test('no SQLSTATE: a connection that was closed', async () => {
      const connection = await database.open();
      connection.close();
      expect(await verdict(rowsOf(connection, 'select 1'))).toBe('undefined retry');
    });

    test('no SQLSTATE: nobody listens', async () => {
      const server = createServer();
      const port = await new Promise<number>((resolve) => {
        server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
      });
      await new Promise((resolve) => server.close(resolve));
      const opening =
        driver === 'neon'
          ? openConnection({ ...database.target, neonProxy: `127.0.0.1:${port}/v1` })
          : open(Object.assign(new URL(database.target.url), { port: String(port) }).href);
      expect(await verdict(opening)).toBe('undefined retry');
    });

    test('no SQLSTATE: a time limit', async () => {
      const connection = await database.open();
      const limited = withTimeLimit(rowsOf(connection, 'select pg_sleep(5)'), 10, 'writing');
      expect(await verdict(limited)).toBe('undefined retry');
      connection.close();
    });
  });

  describe('somebody has to change something', () => {
    test.each([
      ['42P01', 'a table that is missing', 'insert into no_such_table values (1)'],
      ['42703', 'a column that is missing', 'insert into pg_class (no_such_column) values (1)'],
      ['3F000', 'a schema that is missing', 'create table no_such_schema.t (n integer)'],
      ['42804', 'a column of another type', 'insert into pg_namespace (oid) select now()'],
      ['54011', 'too many columns', `select ${Array.from({ length: 1665 }, () => '1').join()}`],
      ['0A000', 'what this Postgres cannot do', 'select * from another_database.public.t'],
      ['55000', 'a view that takes no rows', 'insert into pg_tables values (null)'],
    ])('%s: %s', async (state, _, statement) => {
      expect(await verdict(rowsOf(await database.open(), statement))).toBe(`${state} pause`);
    });

    test('42501: a role that may not write, and one that row-level security keeps from it', async () => {
      const { connection, table } = await tableOf('n integer');
      const role = await roleWith('');
      const limited = await open(role.url);
      const insert = () => verdict(rowsOf(limited, `insert into ${table} values (0)`));
      expect(await insert()).toBe('42501 pause');
      await rowsOf(connection, `grant insert on ${table} to ${role.name}`);
      cleanUp.push(`revoke all on ${table} from ${role.name}`);
      expect(await insert()).toBe('no error');
      await rowsOf(connection, `alter table ${table} enable row level security`);
      expect(await insert()).toBe('42501 pause');
      limited.close();
    });

    test('23514 in the table of checkpoints, which no row of the sink is to blame for', async () => {
      const connection = await database.open();
      const schema = freshName('schema');
      await rowsOf(connection, `create schema ${schema}`);
      cleanUp.push(`drop schema ${schema} cascade`);
      for (const name of ['sluice_checkpoints', 'messages']) {
        await rowsOf(connection, `create table ${schema}.${name} (n integer check (n > 0))`);
      }
      const insert = (table: string) =>
        verdict(rowsOf(connection, `insert into ${schema}.${table} values (0)`));
      expect(await insert('sluice_checkpoints')).toBe('23514 pause');
      expect(await insert('messages')).toBe('23514 isolate');
    });

    test('2200H: a sequence that has reached its end', async () => {
      const { connection, table } = await tableOf(
        'n integer, id integer generated always as identity (maxvalue 2)',
      );
      expect(await verdict(rowsOf(connection, `insert into ${table} values (1), (2)`))).toBe('no error');
      expect(await verdict(rowsOf(connection, `insert into ${table} values (3)`))).toBe('2200H pause');
    });

    test('28P01: a wrong password, and no error with the right one', async () => {
      const { url } = await roleWith('');
      const wrong = Object.assign(new URL(url), { password: 'wrong' }).href;
      expect(await verdict(open(wrong))).toBe('28P01 pause');
      (await open(url)).close();
    });

    test('3D000: a database that is missing', async () => {
      const missing = Object.assign(new URL(database.target.url), { pathname: '/no_such_database' }).href;
      expect(await verdict(open(missing))).toBe('3D000 pause');
    });

    test('22023 of a setting in the connection string, which says nothing about rows', async () => {
      const wrong = `${database.target.url}?options=-c%20timezone%3Dnowhere`;
      expect(await verdict(open(wrong))).toBe('22023 pause');
    });
  });
});
