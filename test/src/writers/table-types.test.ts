/** What writers find out about a table, and what they do without: rights, and a table that changes under them. */

import { integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { quoteName } from '../../../src/core/sql-text.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { serverErrorOf, sqlState } from '../../../src/database/server-error.ts';
import { fromMessage, fromPayload } from '../../../src/sinks/column-sources.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { WRITER_MODES, type WriterMode } from '../../../src/sinks/writer-mode.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { batchOf, write } from './contract.ts';
import { createTypeTable, refusalOf, type TypeTable } from './type-tables.ts';
import { CREATE_TYPES, TYPES } from './types.ts';

const own = ownDatabase();
const role = freshName('role');
const restricted = testDatabase(
  'tcp',
  Object.assign(new URL(own.url), { username: role, password: 'word' }).href,
);
let connection: Connection;

beforeAll(async () => {
  connection = own.connection;
  for (const statement of CREATE_TYPES) await rowsOf(connection, statement);
  await rowsOf(connection, `create role ${role} login password 'word'`);
});

afterAll(async () => {
  await rowsOf(own.connection, `drop owned by ${role}`);
  await rowsOf(own.connection, `drop role ${role}`);
});

/** A sink whose only column gets these texts, one a row. */
function valueSink(name: string, texts: readonly unknown[]): TableSink {
  const table = pgTable(name, { value: text() });
  return defineSink('values', {
    table,
    columns: { value: fromMessage(({ sequence }) => texts[sequence] as string | null) },
  });
}

async function valueTable(type: string): Promise<string> {
  const name = freshName('value');
  await rowsOf(connection, `create table ${name} (value ${type})`);
  return name;
}

const rowsOfTexts = (texts: readonly unknown[]) => batchOf(texts.map((_, sequence) => ({ sequence })));

/** What a table has, as texts; it is empty afterwards. */
async function taken(name: string): Promise<(string | null)[]> {
  const rows = await rowsOf<{ value: string | null }>(
    connection,
    `select value::text from ${name} order by ctid`,
  );
  await rowsOf(connection, `truncate ${name}`);
  return rows.map(({ value }) => value);
}

describe.each(WRITER_MODES)('the writer %s', (mode) => {
  test.each([
    ['interval hour', ['5', '1:30', '-7', null], ['05:00:00', '01:00:00', '-07:00:00', null]],
    ['interval hour[]', ['{5,NULL}', '[0:0]={1:30}'], ['{05:00:00,NULL}', '[0:0]={01:00:00}']],
    ['interval', ['5'], ['00:00:05']],
    ['numeric(5,2)', ['1e-20000', '7.005', null], ['0.00', '7.01', null]],
    ['numeric(5,2)[]', ['{1e-20000,7.005}'], ['{0.00,7.01}']],
    ['box', ['(1,1),(0,0)', null, '2,2,0,0'], ['(1,1),(0,0)', null, '(2,2),(0,0)']],
    ['"Else ""where"""."geo"(5)', ['a:b', 'c,d'], ['a:b', 'c,d']],
    ['"Else ""where"""."select"[]', ['{a,"B \\"x\\""}'], ['{a,"B \\"x\\""}']],
    ['"Else ""where"""."Pair"', ['(a,{a})', null], ['(a,{a})', null]],
  ])('reads %s by its modifier, its delimiter and its schema', async (type, texts, values) => {
    const name = await valueTable(type);
    await write(mode, valueSink(name, texts), rowsOfTexts(texts), connection);
    expect(await taken(name)).toEqual(values);
  });

  test('takes a role that may insert and nothing else, and types of a schema that it may not use', async () => {
    const table = freshName('hidden');
    const types = ['select', 'select"[]', 'Code', 'Code"[]', 'hstore', 'hstore"[]', 'Pair', 'codes'];
    const columns = types.map((type, index) => ({
      name: `c${index}`,
      type: `"Else ""where"""."${type}${type.endsWith(']') ? '' : '"'}`,
    }));
    const texts = ['a', '{a,NULL}', 'abc', '{abc}', 'a=>1', '{"a=>NULL"}', '(a,{a})', '{a}'];
    await rowsOf(
      connection,
      `create table ${table} (${columns.map(({ name, type }) => `${name} ${type}`).join(', ')})`,
    );
    await rowsOf(connection, `grant insert on ${table} to ${role}`);
    const drizzle = pgTable(table, Object.fromEntries(columns.map(({ name }) => [name, text()])));
    const sink = defineSink('hidden', {
      table: drizzle,
      columns: Object.fromEntries(
        columns.map(({ name }, index) => [name, fromMessage(() => texts[index] as string)]),
      ),
    });
    const other = await restricted.open();
    // The controls: it may neither read the table nor name the type.
    await expect(rowsOf(other, `select * from ${table}`).catch(sqlState)).resolves.toBe('42501');
    await expect(rowsOf(other, `select 'a'::"Else ""where"""."select"`).catch(sqlState)).resolves.toBe(
      '42501',
    );
    await write(mode, sink, batchOf([{}, {}]), other);
    const rows = await rowsOf(connection, `select format('%s', t) as row from ${table} t`);
    expect(rows).toHaveLength(2);
    expect(rows[0]).toEqual({
      row: '(a,"{a,NULL}",abc,{abc},"""a""=>""1""","{""\\\\""a\\\\""=>NULL""}","(a,{a})",{a})',
    });
  });

  test.each([
    ['integer', 'bigint', '5000000000', '5000000000'],
    ['integer', 'text', '007', '007'],
    ['integer[]', 'bigint[]', '{5000000000}', '{5000000000}'],
    ['integer[]', 'text[]', '{007}', '{007}'],
    ['timestamptz', 'timestamp', '2024-01-01 00:00:00+05', '2024-01-01 00:00:00'],
    ['timestamptz[]', 'timestamp[]', '{2024-01-01 00:00:00+05}', '{"2024-01-01 00:00:00"}'],
    ['jsonb', 'text', '{"b":1, "a":1}', '{"b":1, "a":1}'],
  ])(
    'reads texts by the type that a column has now: %s, and %s since',
    async (before, since, given, value) => {
      const name = await valueTable(before);
      const prepare = WRITERS[mode].create(valueSink(name, [null, given, given]));
      await prepare(batchOf([{ sequence: 0 }]))(connection);
      await taken(name);
      await rowsOf(connection, `alter table ${name} alter column value type ${since} using null`);
      const batch = batchOf([{ sequence: 1 }, { sequence: 2 }]);
      await prepare(batch)(connection);
      expect(await taken(name)).toEqual([value, value]);
      await prepare({ ...batch, to: 1 })(connection);
      expect(await taken(name)).toEqual([value]);
    },
  );

  test('a payload is written as it came once its column is a text', async () => {
    const name = await valueTable('jsonb');
    const table = pgTable(name, { value: jsonb() });
    const prepare = WRITERS[mode].create(defineSink('payload', { table, columns: { value: fromPayload } }));
    const batch = batchOf([{ payload: '{"b":1,  "a":2}' }]);
    await prepare(batch)(connection);
    expect(await taken(name)).toEqual(['{"a": 2, "b": 1}']);
    await rowsOf(connection, `alter table ${name} alter column value type text using null`);
    await prepare(batch)(connection);
    expect(await taken(name)).toEqual(['{"b":1,  "a":2}']);
  });

  test('rows that a trigger takes away are not written in another way', async () => {
    const name = await valueTable('integer[]');
    await rowsOf(
      connection,
      `create function ${name}() returns trigger language plpgsql as 'begin return null; end'`,
    );
    await rowsOf(
      connection,
      `create trigger taker before insert on ${name} for each row execute function ${name}()`,
    );
    await write(mode, valueSink(name, ['{1}', '{2}']), rowsOfTexts(['{1}', '{2}']), connection);
    expect(await taken(name)).toEqual([]);
  });

  test('a column that is taken away is missed in the words of Postgres, and what is there again is written', async () => {
    const name = await valueTable('integer[]');
    const prepare = WRITERS[mode].create(valueSink(name, ['{1}']));
    const send = prepare(rowsOfTexts(['{1}']));
    await send(connection);
    await rowsOf(connection, `alter table ${name} rename column value to other`);
    await expect(send(connection).catch(sqlState)).resolves.toBe('42703');
    await rowsOf(connection, `alter table ${name} rename column other to value`);
    await rowsOf(connection, `alter table ${name} alter column value type text[] using null`);
    await send(connection);
    expect(await taken(name)).toEqual([null, '{1}']);
  });

  test('keeps to it where rows meet under a key, in a temporary table', async () => {
    const name = freshName('merged');
    await rowsOf(
      connection,
      `create table ${name} (key integer primary key, value interval hour[], box box[])`,
    );
    const table = pgTable(name, { key: integer().primaryKey(), value: text(), box: text() });
    const sink = defineSink('merged', {
      table,
      columns: {
        key: fromMessage(() => '1'),
        value: fromMessage(({ sequence }) => `{${sequence},NULL}`),
        box: fromMessage(() => '{1,1,0,0;NULL}'),
      },
      onConflict: { action: 'update', columns: ['key'] },
    });
    await write(mode, sink, batchOf([{ sequence: 1 }, { sequence: 2 }]), connection);
    await write(mode, sink, batchOf([{ sequence: 3 }, { sequence: 5 }]), connection);
    expect(await rowsOf(connection, `select key, value::text, box::text from ${name}`)).toEqual([
      { key: 1, value: '{05:00:00,NULL}', box: '{(1,1),(0,0);NULL}' },
    ]);
  });

  test('names the column that is NULL and must not be, and the domain that refuses NULL', async () => {
    const named = async (type: string) => {
      const name = await valueTable(type);
      const error = await write(mode, valueSink(name, [null]), rowsOfTexts([null]), connection).catch(
        serverErrorOf,
      );
      const { sqlState: state, column, dataType } = error ?? {};
      return { state, column, dataType };
    };
    expect(await named('integer not null')).toEqual({ state: '23502', column: 'value', dataType: undefined });
    expect(await named('"Else ""where""".amount')).toEqual({
      state: '23502',
      column: undefined,
      dataType: 'amount',
    });
  });

  test('what is no text is refused before anything is sent, with the name of the column', async () => {
    for (const value of [undefined, 5, 5n, true, { a: 1 }, Promise.resolve('a')]) {
      const prepare = WRITERS[mode].create(valueSink('nowhere', ['a', value]));
      expect(() => prepare(rowsOfTexts(['a', value]))).toThrow(
        expect.objectContaining({ code: 'sink_failed', message: expect.stringContaining('column value') }),
      );
    }
  });
});

test('any text is taken or refused by all writers alike, whatever the type', async () => {
  const table: TypeTable = await createTypeTable(connection, 'random', TYPES);
  const sinkOutcome = async (mode: WriterMode, index: number, value: string | null): Promise<unknown> => {
    const column = table.columns[index] as TypeTable['columns'][number];
    const refusal = await refusalOf(mode, table, column, value, connection);
    if (refusal !== undefined) return refusal;
    const rows = await rowsOf(
      connection,
      `select format('%L', ${quoteName(column.name)}) as value from random`,
    );
    await rowsOf(connection, 'truncate random');
    return rows;
  };
  await fc.assert(
    fc.asyncProperty(
      fc.nat(TYPES.length - 1).chain((index) => fc.tuple(fc.constant(index), textFor(index))),
      async ([index, value]) => {
        const outcomes: Record<string, unknown> = {};
        for (const mode of WRITER_MODES) outcomes[mode] = await sinkOutcome(mode, index, value);
        for (const mode of WRITER_MODES) expect(outcomes[mode], mode).toEqual(outcomes.copy);
      },
    ),
    { numRuns: 60 },
  );
});

/** Texts that look like a type's: its own, cut, doubled, or with something in between. */
function textFor(index: number): fc.Arbitrary<string | null> {
  const { good, bad } = TYPES[index] as (typeof TYPES)[number];
  const known = fc.constantFrom(...good, ...bad.map(([text]) => text), 'NULL', '');
  const odd = fc.constantFrom(
    '',
    ' ',
    '"',
    '\\',
    ',',
    '-',
    '.',
    '0',
    '9',
    'e',
    ':',
    '{',
    '}',
    '(',
    ')',
    '\n',
    '\t',
    "'",
    'ö',
  );
  return fc.option(
    fc
      .tuple(known, fc.nat(60), fc.nat(3), odd)
      .map(([text, at, cut, between]) => text.slice(0, at) + between + text.slice(at + cut)),
    { freq: 20 },
  );
}
