/**
 * What is refused before anything is sent, Postgres refuses too, in every writer; what is taken arrives with the value that was
 * sent. Values are made at random near the borders of each type, and a real Postgres judges them.
 */

import { type SQL, sql } from 'drizzle-orm';
import {
  bigint,
  bit,
  boolean,
  char,
  customType,
  date,
  doublePrecision,
  inet,
  integer,
  interval,
  jsonb,
  numeric,
  type PgColumnBuilderBase,
  pgEnum,
  pgTable,
  real,
  smallint,
  text,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { isSluiceError } from '../../../src/core/errors.ts';
import { type Connection, sqlState } from '../../../src/database/connection.ts';
import { fromMessage } from '../../../src/sinks/column-sources.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { WRITER_MODES } from '../../../src/sinks/writer-mode.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { batchOf, write } from './contract.ts';

const bytea = customType<{ data: string }>({ dataType: () => 'bytea' });
const mood = pgEnum('mapping_mood', ['happy', 'so so', 'true', '1']);

/** Characters that spellings of values are made of, besides the usual ones. */
const near = (characters: string, maxLength = 12) =>
  fc.string({ unit: fc.constantFrom(...characters), maxLength });
const jsonText = (texts: fc.Arbitrary<string>) => texts.map((made) => JSON.stringify(made));
const digits = (from: number, to: number) =>
  fc
    .tuple(
      fc.boolean(),
      fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: from, maxLength: to }),
    )
    .map(([isNegative, made]) => `${isNegative ? '-' : ''}${made.replace(/^0+(?=\d)/, '')}`);
const numbers = fc.oneof(
  digits(1, 20),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.tuple(digits(1, 6), fc.stringMatching(/^\d{1,6}$/)).map(([whole, fraction]) => `${whole}.${fraction}`),
  fc.tuple(digits(1, 3), fc.integer({ min: -420, max: 420 })).map(([whole, power]) => `${whole}e${power}`),
);
const odd = fc.constantFrom(
  'true',
  'false',
  '{}',
  '{"a":1}',
  '[]',
  '[1]',
  '""',
  '" "',
  '"NaN"',
  '"true"',
  '"1"',
);

interface Type {
  column: () => PgColumnBuilderBase;
  values: fc.Arbitrary<string>;
  /** True where the row's `value` is what the JSON says; without it, that Postgres itself reads the text. */
  arrives?: (json: string) => SQL;
  /** What the JSON means to Sluice alone, so that Postgres cannot judge its own reading of the text. */
  isOurs?: (json: string) => boolean;
}

const equalsNumber = (type: string) => (json: string) =>
  sql.raw(
    `value = '${json.startsWith('"') ? (JSON.parse(json) as string).replaceAll("'", "''") : json}'::${type}`,
  );

const TYPES: Record<string, Type> = {
  smallint: {
    column: () => smallint(),
    values: fc.oneof(digits(3, 6), numbers, jsonText(near('0123456789+- _xeE.', 7)), odd),
    arrives: equalsNumber('int2'),
  },
  integer: {
    column: () => integer(),
    values: fc.oneof(
      digits(8, 12),
      fc.integer({ min: -10, max: 10 }).map((n) => String(2_147_483_647 + n)),
      fc.integer({ min: -10, max: 10 }).map((n) => String(-2_147_483_648 + n)),
      numbers,
      jsonText(near('0123456789+- _xbo\taf', 11)),
      odd,
    ),
    arrives: equalsNumber('int4'),
  },
  bigint: {
    column: () => bigint({ mode: 'bigint' }),
    values: fc.oneof(
      digits(17, 21),
      fc.integer({ min: -10, max: 10 }).map((n) => String(9_223_372_036_854_775_807n + BigInt(n))),
      fc.integer({ min: -10, max: 10 }).map((n) => String(-9_223_372_036_854_775_808n + BigInt(n))),
      numbers,
      jsonText(digits(17, 21)),
      odd,
    ),
    arrives: equalsNumber('int8'),
  },
  numeric: {
    column: () => numeric(),
    values: fc.oneof(numbers, digits(25, 40), jsonText(near('0123456789+-.eEnaNif ', 8)), odd),
    arrives: equalsNumber('numeric'),
  },
  'numeric(6, 2)': {
    column: () => numeric({ precision: 6, scale: 2 }),
    values: fc.oneof(
      numbers,
      fc.constantFrom(
        '9999.99',
        '9999.994',
        '9999.995',
        '10000',
        '-9999.999',
        '0.0001',
        '99.9999e2',
        '1e4',
        '0e9',
      ),
      odd,
    ),
    arrives: (json) => sql.raw(`value = round('${json.replaceAll('"', '')}'::numeric, 2)`),
  },
  real: {
    column: () => real(),
    values: fc.oneof(
      numbers,
      fc.integer({ min: -50, max: 45 }).map((power) => `1.2345e${power}`),
      jsonText(near('0123456789+-.eEinf ', 6)),
      odd,
    ),
    arrives: equalsNumber('float4'),
  },
  'double precision': {
    column: () => doublePrecision(),
    values: fc.oneof(
      numbers,
      fc.integer({ min: -330, max: 312 }).map((power) => `1.7976e${power}`),
      jsonText(near('0123456789+-.eEinf ', 6)),
      odd,
    ),
    arrives: equalsNumber('float8'),
  },
  boolean: {
    column: () => boolean(),
    values: fc.oneof(
      numbers,
      jsonText(near('truefalsyno10 TF', 6)),
      odd,
      jsonText(fc.constantFrom('on', 'OFF', ' t ', 'yes', 'o')),
    ),
  },
  uuid: {
    column: () => uuid(),
    values: fc.oneof(
      jsonText(fc.uuid()),
      jsonText(fc.uuid().map((made) => made.replaceAll('-', '').toUpperCase())),
      jsonText(fc.uuid().map((made) => `{${made}}`)),
      jsonText(
        fc
          .tuple(fc.uuid(), fc.nat(40), fc.constantFrom('', '-', 'g', ' '))
          .map(([made, at, other]) => made.slice(0, at) + other + made.slice(at + 1)),
      ),
      digits(31, 33),
      odd,
    ),
  },
  'varchar(4)': {
    column: () => varchar({ length: 4 }),
    values: fc.oneof(jsonText(near('a é😀\\"', 7)), jsonText(near('ab  ', 9)), numbers, odd),
    arrives: (json) => sql`value = rtrim(left(${textOf(json)}, 4)) or value = left(${textOf(json)}, 4)`,
  },
  'char(3)': {
    column: () => char({ length: 3 }),
    values: fc.oneof(jsonText(near('a é😀\\"', 6)), numbers, odd),
    arrives: (json) => sql`value = left(${textOf(json)}, 3)::char(3)`,
  },
  text: {
    column: () => text(),
    values: fc.oneof(jsonText(near('a\\\n\t"{}é😀,', 9)), numbers, odd),
    arrives: (json) => sql`value = ${textOf(json)}`,
  },
  'bit(3)': {
    column: () => bit({ dimensions: 3 }),
    values: fc.oneof(jsonText(near('0011bxBXf2', 5)), digits(2, 4), odd),
  },
  mood: {
    column: () => mood(),
    values: fc.oneof(jsonText(fc.constantFrom('happy', 'Happy', 'so so', ' happy', 'sad', '')), numbers, odd),
  },
  'timestamp with time zone': {
    column: () => timestamp({ withTimezone: true }),
    values: fc.oneof(
      digits(1, 18),
      fc.date({ noInvalidDate: true }).map((made) => String(made.getTime())),
      fc
        .date({ noInvalidDate: true, min: new Date(0), max: new Date('2100-01-01') })
        .map((made) => JSON.stringify(made)),
      fc
        .tuple(fc.integer({ min: 0, max: 4_102_444_800_000 }), fc.nat(999))
        .map(([ms, micros]) => `${ms}.${String(micros).padStart(3, '0')}`),
      fc.constantFrom(
        '"2024-02-29T12:00:00.123456+02:00"',
        '"infinity"',
        '"today"',
        '"nonsense"',
        '"2024-13-01"',
        '-210866803200001',
        '-210866803200000',
        '8640000000000000',
        '-62198755200000',
        '-62167219200000',
        '253402300800000',
      ),
      odd,
    ),
    isOurs: (json) => /^[-\d[{]/.test(json),
    arrives: (json) =>
      /^[-\d]/.test(json)
        ? sql.raw(`value = to_timestamp(0) + (round('${json}'::numeric * 1000) || ' microseconds')::interval`)
        : sql`value = ${textOf(json)}::timestamptz`,
  },
  date: {
    column: () => date(),
    values: fc.oneof(
      fc.date({ noInvalidDate: true }).map((made) => String(made.getTime())),
      jsonText(
        fc
          .date({ noInvalidDate: true, min: new Date(0), max: new Date('2100-01-01') })
          .map((made) => made.toISOString()),
      ),
      odd,
    ),
    isOurs: (json) => /^[-\d[{]/.test(json),
    arrives: (json) =>
      /^[-\d]/.test(json)
        ? sql.raw(`value = '1970-01-01'::date + floor('${json}'::numeric / 86400000)::int`)
        : sql`value = ${textOf(json)}::date`,
  },
  bytea: {
    column: () => bytea(),
    values: fc.oneof(
      jsonText(fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('base64'))),
      jsonText(fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('base64url'))),
      jsonText(fc.uint8Array({ maxLength: 6 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)),
      jsonText(near('0123456789abcdefg ', 7).map((made) => `\\x${made}`)),
    ),
    arrives: (json) => {
      const given = JSON.parse(json) as string;
      const bytes = given.startsWith('\\x')
        ? Buffer.from(given.slice(2).replaceAll(' ', ''), 'hex')
        : Buffer.from(given, 'base64');
      return sql.raw(`value = '\\x${bytes.toString('hex')}'::bytea`);
    },
  },
  inet: {
    column: () => inet(),
    values: fc.oneof(
      jsonText(fc.ipV4()),
      jsonText(fc.ipV6()),
      jsonText(near('0123456789./:', 9)),
      digits(1, 4),
      odd,
    ),
  },
  interval: {
    column: () => interval(),
    values: fc.oneof(
      jsonText(fc.constantFrom('1 day', 'PT5M', '-3 hours', '1', 'nonsense')),
      digits(1, 4),
      odd,
    ),
    // Postgres overlooks brackets in a time: "[1]" is a second to it.
    isOurs: (json) => /^[[{]/.test(json),
  },
  jsonb: {
    column: () => jsonb(),
    values: fc.oneof(
      fc.json().filter((made) => made !== 'null' && !made.includes('\\u0000') && !/\\ud[89a-f]/i.test(made)),
      numbers,
      odd,
    ),
    arrives: (json) => sql`value = ${json}::jsonb`,
  },
  'integer[]': {
    column: () => integer().array(),
    values: fc.oneof(
      fc
        .array(fc.oneof(digits(1, 11), fc.constantFrom('null', '"5"', '"x"', 'true')), { maxLength: 4 })
        .map((all) => `[${all.join(',')}]`),
      fc.constantFrom('"{1,2}"', '"nonsense"', '5', '[[1,2],[3,4]]', '[[1],[2,3]]', '{ }'),
      odd,
    ),
  },
  'varchar(2)[]': {
    column: () => varchar({ length: 2 }).array(),
    values: fc.oneof(
      fc.array(jsonText(near('a,{"\\ N', 4)), { maxLength: 3 }).map((all) => `[${all.join(',')}]`),
      odd,
    ),
  },
  'jsonb[]': {
    column: () => jsonb().array(),
    values: fc
      .array(fc.oneof(odd, numbers, fc.constant('null')), { maxLength: 3 })
      .map((all) => `[${all.join(',')}]`),
    arrives: (json) => sql`to_jsonb(value) = ${json}::jsonb`,
  },
};

/** What Postgres gets where nothing is known of the type. */
function textOf(json: string): string {
  return json.startsWith('"') ? (JSON.parse(json) as string) : json;
}

describe('every type', () => {
  const database = testDatabase('tcp');
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
    await rowsOf(
      connection,
      `drop type if exists mapping_mood; create type mapping_mood as enum ('happy', 'so so', 'true', '1')`,
    );
  });

  test.each(Object.entries(TYPES))('%s', async (name, { column, values, arrives, isOurs = () => false }) => {
    const table = pgTable(freshName('types'), { id: integer(), value: column() as never });
    const sqlType = name === 'mood' ? 'mapping_mood' : name;
    await rowsOf(connection, sql`create table ${table} (id int, value ${sql.raw(sqlType)})`);
    const sink = defineSink('types', { table });
    const raw = defineSink('raw', {
      table,
      columns: {
        id: fromMessage(({ sequence }) => String(sequence)),
        value: fromMessage(({ json }) => json as string),
      } as never,
    });
    const sample = [...new Set(fc.sample(values, { numRuns: 120, seed: 14 }))];
    const taken: string[] = [];
    const refused: string[] = [];
    for (const json of sample) (refusalOf(sink, json) === undefined ? taken : refused).push(json);

    // What was refused: Postgres refuses it in every writer.
    const wrongly: string[] = [];
    for (const json of refused.filter((value) => !isOurs(value))) {
      for (const mode of WRITER_MODES) {
        const state = await failureOf(
          write(mode, raw, batchOf([{ payload: JSON.stringify(textOf(json)) }]), connection),
        );
        if (state === undefined) wrongly.push(`${mode}: ${json}`);
      }
    }
    expect(wrongly).toEqual([]);
    await rowsOf(connection, sql`truncate ${table}`);

    // What was taken: Postgres may know better; the rest arrives alike by every writer.
    const good: string[] = [];
    for (const json of taken) {
      if ((await failureOf(write('copy', sink, rowsBatch([json]), connection))) === undefined)
        good.push(json);
    }
    expect(good.length).toBeGreaterThan(0);
    for (const mode of WRITER_MODES) {
      await rowsOf(connection, sql`truncate ${table}`);
      await write(mode, sink, rowsBatch(good), connection);
      const rows = await rowsOf(
        connection,
        sql`select count(*)::int as rows, count(value)::int as values from ${table}`,
      );
      expect(rows).toEqual([{ rows: good.length, values: good.length }]);
      if (arrives === undefined) continue;
      const checks = good.map(
        (json, id) =>
          sql`select ${id}::int as id, (select ${arrives(json)} from ${table} where id = ${id}) as arrived`,
      );
      const arrived = await rowsOf<{ id: number; arrived: boolean }>(
        connection,
        sql.join(checks, sql` union all `),
      );
      expect(arrived.filter((row) => !row.arrived).map(({ id }) => good[id])).toEqual([]);
    }
  });

  function rowsBatch(values: readonly string[]) {
    return batchOf(values.map((json, id) => ({ payload: `{"id":${id},"value":${json}}` })));
  }
});

function refusalOf(sink: TableSink, json: string): string | undefined {
  const { columns } = batchOf([{ payload: `{"id":0,"value":${json}}` }]);
  try {
    for (const column of sink.columns) column.text(columns, 0);
    return undefined;
  } catch (error) {
    if (isSluiceError(error) && error.code === 'invalid_message') return error.message;
    throw error;
  }
}

/** The SQLSTATE of a write that fails; undefined where it does not. */
async function failureOf(writing: Promise<void>): Promise<string | undefined> {
  return writing.then(
    () => undefined,
    (error: unknown) => sqlState(error) ?? expect.fail(`No error of Postgres: ${String(error)}`),
  );
}
