import { sql } from 'drizzle-orm';
import { describe, expect, test } from 'vitest';
import { type Connection, openConnection, sqlState } from '../../../src/database/connection.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { eventually } from '../../support/patience.ts';

const encoder = new TextEncoder();

function chunksOf(...texts: string[]): Uint8Array[] {
  return texts.map((text) => encoder.encode(text));
}

/** A way to COPY, by either method of a connection. */
const COPIES = [
  [
    'copy',
    (connection: Connection, statement: string, data: Uint8Array[]) => connection.copy(statement, data),
  ],
  [
    'copyStream',
    (connection: Connection, statement: string, data: Uint8Array[]) => connection.copyStream(statement, data),
  ],
] as const;

describe.each(DRIVERS)('a connection by the driver %s', (driver) => {
  const database = testDatabase(driver);

  async function withTable(connection: Connection): Promise<string> {
    const table = freshName('connection');
    await rowsOf(connection, `create table ${table} (number integer primary key)`);
    return table;
  }

  async function kill(connection: Connection): Promise<void> {
    const [row] = await rowsOf<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
    const killer = await database.open();
    await rowsOf(killer, sql`select pg_terminate_backend(${row?.pid})`);
  }

  test('answers queries and is open', async () => {
    const connection = await database.open();
    expect(await rowsOf(connection, 'select 6 * 7 as answer')).toEqual([{ answer: 42 }]);
    expect(connection.isOpen).toBe(true);
  });

  test('is no longer open once it is closed, and refuses work instead of waiting for ever', async () => {
    const connection = await database.open();
    connection.close();
    expect(connection.isOpen).toBe(false);
    await expect(rowsOf(connection, 'select 1')).rejects.toThrow();
    await expect(connection.copy('copy nothing from stdin', [])).rejects.toThrow();
  });

  test('is no longer open once the server ended it while it was idle', async () => {
    const connection = await database.open();
    await kill(connection);
    await eventually(() => expect(connection.isOpen).toBe(false));
    await expect(rowsOf(connection, 'select 1')).rejects.toThrow();
  });

  test('that the server ends while a query runs rejects the query, and is no longer open', async () => {
    const connection = await database.open();
    const [row] = await rowsOf<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
    const running = rowsOf(connection, 'select pg_sleep(600)');
    running.catch(() => {});
    await rowsOf(await database.open(), sql`select pg_terminate_backend(${row?.pid})`);
    await expect(running).rejects.toThrow();
    await eventually(() => expect(connection.isOpen).toBe(false));
  });

  test('nobody there is told as database_unreachable, without the password', async () => {
    const url = new URL(database.target.url);
    url.password = 'hunter2';
    url.username = 'nobody_by_that_name';
    const opening = openConnection({ ...database.target, url: url.href });
    await expect(opening).rejects.toMatchObject({ code: 'database_unreachable' });
    await expect(opening).rejects.not.toThrow(/hunter2/);
    await expect(opening).rejects.toThrow(/nobody_by_that_name@/);
  });

  describe.each(COPIES)('%s', (_, copy) => {
    test('puts all chunks into the table', async () => {
      const connection = await database.open();
      const table = await withTable(connection);
      await copy(connection, `copy ${table} from stdin`, chunksOf('1\n2', '2\n', '', '3\n'));
      expect(await rowsOf(connection, `select number from ${table} order by 1`)).toEqual([
        { number: 1 },
        { number: 3 },
        { number: 22 },
      ]);
    });

    test('of nothing puts nothing into the table', async () => {
      const connection = await database.open();
      const table = await withTable(connection);
      await copy(connection, `copy ${table} from stdin`, []);
      expect(await rowsOf(connection, `select * from ${table}`)).toEqual([]);
    });

    test('into a table that is missing rejects with its SQLSTATE, and the connection stays usable', async () => {
      const connection = await database.open();
      const failing = copy(connection, 'copy no_such_table from stdin', chunksOf('1\n'));
      await expect(failing.catch((error) => sqlState(error))).resolves.toBe('42P01');
      expect(connection.isOpen).toBe(true);
      const table = await withTable(connection);
      await copy(connection, `copy ${table} from stdin`, chunksOf('1\n'));
      expect(await rowsOf(connection, `select * from ${table}`)).toEqual([{ number: 1 }]);
    });

    test('of a row that the table refuses is nothing at all, and the connection stays usable', async () => {
      const connection = await database.open();
      const table = await withTable(connection);
      const failing = copy(connection, `copy ${table} from stdin`, chunksOf('1\n', 'x\n', '3\n'));
      await expect(failing.catch((error) => sqlState(error))).resolves.toBe('22P02');
      expect(await rowsOf(connection, `select * from ${table}`)).toEqual([]);
      await copy(connection, `copy ${table} from stdin`, chunksOf('1\n'));
      const doubled = copy(connection, `copy ${table} from stdin`, chunksOf('1\n'));
      await expect(doubled.catch((error) => sqlState(error))).resolves.toBe('23505');
      expect(await rowsOf(connection, `select * from ${table}`)).toEqual([{ number: 1 }]);
    });

    test('that the server ends on its way rejects, and the connection is no longer open', async () => {
      const connection = await database.open();
      const table = await withTable(connection);
      // The COPY waits for the lock, so that it is surely under way when its backend ends.
      const holder = await database.open();
      await rowsOf(holder, 'begin');
      await rowsOf(holder, `lock table ${table}`);
      const [row] = await rowsOf<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
      const running = copy(connection, `copy ${table} from stdin`, chunksOf('1\n'));
      running.catch(() => {});
      await eventually(async () =>
        expect(
          await rowsOf(holder, sql`select 1 as waits from pg_locks where pid = ${row?.pid} and not granted`),
        ).toEqual([{ waits: 1 }]),
      );
      await rowsOf(holder, sql`select pg_terminate_backend(${row?.pid})`);
      await expect(running).rejects.toThrow();
      await eventually(() => expect(connection.isOpen).toBe(false));
      await rowsOf(holder, 'commit');
      expect(await rowsOf(holder, `select * from ${table}`)).toEqual([]);
    });
  });

  test('several statements of a transaction are all or nothing', async () => {
    const connection = await database.open();
    const table = await withTable(connection);
    const failing = connection.db.transaction(async (transaction) => {
      await transaction.execute(sql.raw(`insert into ${table} values (1)`));
      await transaction.execute(sql.raw(`insert into ${table} values (1)`));
    });
    await expect(failing.catch((error) => sqlState(error))).resolves.toBe('23505');
    expect(await rowsOf(connection, `select * from ${table}`)).toEqual([]);
  });
});

describe('cancel', () => {
  const database = testDatabase('tcp');

  test('stops the statement on the server, which gives its locks back', async () => {
    const [connection, other] = [await database.open(), await database.open()];
    const table = freshName('cancelled');
    await rowsOf(other, `create table ${table} (number integer)`);
    const slow = connection.db.transaction(async (transaction) => {
      await transaction.execute(sql.raw(`lock table ${table}`));
      await transaction.execute(sql.raw('select pg_sleep(3600)'));
    });
    const failed = slow.catch((error: unknown) => sqlState(error));
    const holders = `select 1 from pg_locks where relation = '${table}'::regclass and granted`;
    await eventually(async () => {
      const asleep = `select 1 from pg_stat_activity where wait_event = 'PgSleep' and pid in (select pid from pg_locks where relation = '${table}'::regclass)`;
      expect(await rowsOf(other, asleep)).toHaveLength(1);
    });
    expect(await rowsOf(other, holders)).toHaveLength(1);
    connection.cancel();
    expect(await failed).toBe('57014');
    expect(await rowsOf(other, holders)).toEqual([]);
    // The connection is as good as before.
    expect(await rowsOf(connection, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('of a connection that is closed does nothing', async () => {
    const connection = await database.open();
    connection.close();
    connection.cancel();
    expect(connection.isOpen).toBe(false);
  });
});

describe('a connection that cannot even be made', () => {
  test('is database_unreachable, with the address and without the password', async () => {
    const opening = openConnection(
      { url: 'postgres://me:TOPSECRET@127.0.0.1:1/app', driver: 'tcp' },
      {
        socket: () => {
          throw new TypeError('Specified address could not be parsed.');
        },
      },
    );
    await expect(opening).rejects.toMatchObject({
      code: 'database_unreachable',
      message: 'Cannot reach the database me@127.0.0.1:1/app (tcp): Specified address could not be parsed.',
    });
  });

  test('because of its address is invalid_options, as everywhere', async () => {
    const opening = openConnection({ url: 'postgres://me:TOP%SECRET@127.0.0.1:1/app', driver: 'tcp' });
    await expect(opening).rejects.toMatchObject({ code: 'invalid_options' });
    await expect(opening).rejects.not.toThrow(/SECRET/);
  });
});

describe('sqlState', () => {
  const withCode = (code: string, cause?: unknown) => Object.assign(new Error('failed', { cause }), { code });

  test.each(['22P02', '42P01', '57P01', '08006', 'XX000', 'P0001', '40001'])('finds %s', (code) => {
    expect(sqlState(withCode(code))).toBe(code);
    expect(sqlState(new Error('query failed', { cause: withCode(code) }))).toBe(code);
  });

  test.each(['EPIPE', 'EBUSY', 'EPERM', 'ECONNRESET', 'time_limit', ''])(
    'takes %j for no SQLSTATE: it is no error of the server',
    (code) => {
      expect(sqlState(withCode(code))).toBeUndefined();
      expect(sqlState(withCode(code, withCode('57P01')))).toBe('57P01');
    },
  );

  test.each([[undefined], [null], ['23505'], [new Error('no code')], [{ code: 23505 }]])(
    'finds none in %j',
    (value) => {
      expect(sqlState(value)).toBeUndefined();
    },
  );
});
