import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/database/connection.ts';
import { serverErrorOf } from '../../../src/database/server-error.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import { fromMessage, fromProducer } from '../../../src/sinks/column-sources.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { findRefusedRows } from '../../../src/writers/row-look.ts';
import { tryWrite } from '../../../src/writers/trial.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';
import { startTransactionPooler } from '../../support/transaction-pooler.ts';
import { anyText, batchOf, HARD_TEXTS } from './contract.ts';

type Value = string | null | undefined;

/** A sink whose rows have a number and a text, both as texts that a message names. Undefined: the sink's own code throws. */
function sinkOf(table: string, given: readonly { n: Value; t?: Value }[]): TableSink {
  const rows = pgTable(table, { n: integer(), t: text(), producer: text() });
  const value = (key: 'n' | 't') =>
    fromMessage(({ sequence }) => {
      const found = given[sequence]?.[key];
      if (found === undefined && key === 'n') throw new Error(`no number in ${sequence}`);
      return found ?? null;
    });
  return defineSink(table, {
    table: rows,
    columns: { n: value('n'), t: value('t'), producer: fromProducer },
  });
}

const columns = 'n integer not null check (n < 1000), t text, producer text';

describe.each(DRIVERS)('a look by the driver %s', (driver) => {
  const database = testDatabase(driver);
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
  });

  async function created(definition = columns): Promise<string> {
    const table = freshName('look');
    await rowsOf(connection, `create table ${table} (${definition})`);
    return table;
  }

  async function look(table: string, given: readonly { n: Value; t?: Value }[], on = connection) {
    const found = await findRefusedRows(on, sinkOf(table, given), batchOf(given.map(() => ({}))));
    return found.map(({ row, error }) => ({ row, error }));
  }

  test('names each refused row with what the server says of it, and writes nothing', async () => {
    const table = await created();
    const given = Array.from({ length: 40 }, (_, index) => ({ n: String(index) as Value }));
    given[3] = { n: 'x' };
    given[17] = { n: null };
    given[39] = { n: '1000' };
    const found = await look(table, given);
    expect(found.map(({ row, error }) => ({ row, ...serverErrorOf(error) }))).toEqual([
      {
        row: 3,
        sqlState: '22P02',
        message: 'invalid input syntax for type integer: "x"',
        where: expect.stringContaining('PL/pgSQL'),
      },
      expect.objectContaining({ row: 17, sqlState: '23502', column: 'n', table }),
      expect.objectContaining({ row: 39, sqlState: '23514', constraint: `${table}_n_check`, table }),
    ]);
    expect(await rowsOf(connection, `select * from ${table}`)).toEqual([]);
    // The connection is as good as before.
    expect(await rowsOf(connection, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('finds nothing where nothing is refused', async () => {
    const table = await created();
    expect(await look(table, [{ n: '1' }, { n: '2' }])).toEqual([]);
  });

  test("what the sink's own code throws is about its row, and the others are looked at", async () => {
    const table = await created();
    const found = await look(table, [{ n: '1' }, { n: undefined }, { n: 'x' }, { n: undefined }]);
    expect(found.map(({ row, error }) => [row, (error as { code: string }).code])).toEqual([
      [1, 'sink_failed'],
      [2, '22P02'],
      [3, 'sink_failed'],
    ]);
    expect(await look(table, [{ n: undefined }])).toHaveLength(1);
  });

  test('of two rows with one key, the later one is refused', async () => {
    const table = await created(`${columns}, unique (n)`);
    const numbers = Array.from({ length: 40 }, (_, index) => ({ n: String(index === 30 ? 2 : index) }));
    expect((await look(table, numbers)).map(({ row }) => row)).toEqual([30]);
  });

  test('any texts arrive as they are, with standard_conforming_strings off as well', async () => {
    const table = await created(`${columns}, check (length(t) <> 1)`);
    const texts = [...HARD_TEXTS, ...fc.sample(anyText, { numRuns: 200, seed: 1 })];
    const given = texts.map((t) => ({ n: '1', t }));
    // What Postgres counts as one character.
    const single = given.flatMap(({ t }, row) => (t !== null && [...t].length === 1 ? [row] : []));
    expect(single.length).toBeGreaterThan(5);
    expect((await look(table, given)).map(({ row }) => row)).toEqual(single);
    await rowsOf(connection, 'set standard_conforming_strings = off');
    expect((await look(table, given)).map(({ row }) => row)).toEqual(single);
    await rowsOf(connection, 'reset standard_conforming_strings');
  });

  test.each(['bulk', 'unnest', 'copy'] as const)(
    'refuses the rows that %s refuses alone, and no other',
    async (mode) => {
      const table = await created();
      const number = fc.constantFrom<Value>(
        '1',
        '999',
        '1000',
        'x',
        null,
        '',
        ' 7 ',
        '2147483648',
        '-1',
        '1e2',
      );
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ n: number }), { minLength: 1, maxLength: 40 }),
          async (given) => {
            const prepare = WRITERS[mode].create(sinkOf(table, given));
            const batch = batchOf(given.map(() => ({})));
            const alone: [number, string | undefined][] = [];
            for (let row = 0; row < given.length; row += 1) {
              await tryWrite(connection, prepare({ ...batch, from: row, to: row + 1 })).catch((error) => {
                alone.push([row, serverErrorOf(error)?.sqlState]);
              });
            }
            const found = await look(table, given);
            expect(found.map(({ row, error }) => [row, serverErrorOf(error)?.sqlState])).toEqual(alone);
          },
        ),
        { numRuns: 10 },
      );
    },
  );

  test('fails as a whole where constraints are only broken at COMMIT', async () => {
    const parent = await created('n integer primary key');
    const table = await created(
      `n integer references ${parent} deferrable initially deferred, t text, producer text`,
    );
    await expect(look(table, [{ n: '1' }])).rejects.toMatchObject({ cause: { code: '23503' } });
    await rowsOf(connection, `insert into ${parent} values (1)`);
    expect(await look(table, [{ n: '1' }])).toEqual([]);
  });
});

describe('a look needs nothing that may be missing:', () => {
  const database = testDatabase('tcp');
  const role = freshName('looker');
  const table = freshName('look');
  let admin: Connection;

  beforeAll(async () => {
    admin = await database.open();
    await rowsOf(admin, `create table ${table} (${columns})`);
    await rowsOf(admin, `create role ${role} login password 'right'`);
    await rowsOf(admin, `grant insert on ${table} to ${role}`);
  });
  afterAll(async () => {
    await rowsOf(admin, `drop owned by ${role}`);
    await rowsOf(admin, `drop role ${role}`);
  });

  const given = [{ n: '1' }, { n: 'x' }];
  const find = (on: Connection) =>
    findRefusedRows(on, sinkOf(table, given), batchOf(given.map(() => ({})))).then((found) =>
      found.map(({ row }) => row),
    );

  test('no right but that to insert', async () => {
    const url = Object.assign(new URL(database.target.url), { username: role, password: 'right' }).href;
    const connection = await openConnection({ url, driver: 'tcp' });
    await expect(
      rowsOf(connection, 'create function f() returns int language sql as $$ select 1 $$'),
    ).rejects.toThrow();
    expect(await find(connection)).toEqual([1]);
    connection.close();
  });

  test('no session: each transaction may have another connection', async () => {
    const { hostname, port } = new URL(database.target.url);
    const pooler = await startTransactionPooler({ host: hostname, port: Number(port) });
    const url = Object.assign(new URL(database.target.url), { port: String(pooler.port) }).href;
    const one = await openConnection({ url, driver: 'tcp' });
    const other = await openConnection({ url, driver: 'tcp' });
    const backend = (on: Connection) => rowsOf<{ pid: number }>(on, 'select pg_backend_pid() as pid');
    // The control: they change places.
    const pids = [await backend(one), await backend(other), await backend(one)].map(([row]) => row?.pid);
    expect(new Set(pids).size).toBe(2);
    for (let time = 0; time < 3; time += 1) {
      expect(await Promise.all([find(one), find(other)])).toEqual([[1], [1]]);
    }
    // And nothing of it is left in the sessions.
    for (const on of [one, other]) {
      expect(await rowsOf(on, "select coalesce(current_setting('sluice.rows', true), '') as rows")).toEqual([
        { rows: '' },
      ]);
    }
    one.close();
    other.close();
    await pooler.close();
  });
});
