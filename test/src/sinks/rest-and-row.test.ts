import {
  bigint,
  boolean,
  customType,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  type PgTable,
  pgTable,
  serial,
  text,
  timestamp,
  varchar,
} from 'drizzle-orm/pg-core';
import { describe, expect, test, vi } from 'vitest';
import { isSluiceError, type SluiceError } from '../../../src/core/errors.ts';
import { fromMessage, fromPayload, fromProducer } from '../../../src/sinks/column-sources.ts';
import type { MessageBatch } from '../../../src/sinks/message-batch.ts';
import { RefusedRows } from '../../../src/sinks/refused-rows.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { WRITER_MODES, type WriterMode } from '../../../src/sinks/writer-mode.ts';
import { writingOf } from '../../../src/writers/writers.ts';

function batchOf(...payloads: string[]): MessageBatch {
  return {
    columns: {
      producers: payloads.map(() => 'sensor-1'),
      sequences: payloads.map((_, index) => index + 1),
      epochs: payloads.map(() => 0),
      payloads,
      plain: payloads.map(() => false),
      receivedAtMs: payloads.map(() => 0),
    },
    from: 0,
    to: payloads.length,
    position: 0n,
    bytes: 0,
  };
}

function rowOf(sink: TableSink, payload: string): Record<string, string | null> {
  const { columns } = batchOf(payload);
  return Object.fromEntries(sink.columns.map((column) => [column.key, column.text(columns, 0)]));
}

function thrownBy(work: () => unknown): SluiceError {
  try {
    work();
  } catch (error) {
    if (isSluiceError(error)) return error;
    throw error;
  }
  throw new Error('Nothing was thrown');
}

const readings = pgTable('readings', {
  device: text(),
  celsius: doublePrecision(),
  extra: jsonb(),
});

describe('members that no column takes', () => {
  test('are left out by default, as with rest: ignore', () => {
    for (const rest of [undefined, 'ignore'] as const)
      expect(
        rowOf(defineSink('r', { table: readings, ...(rest && { rest }) }), '{"device":"a","x":1,"extra":2}'),
      ).toEqual({ device: 'a', celsius: null, extra: '2' });
  });

  test('are kept as a JSON object in the column that rest names, with their digits', () => {
    const sink = defineSink('r', { table: readings, rest: 'extra' });
    expect(
      rowOf(sink, '{"device":"a","x":1.10,"n":12345678901234567890,"o":{"b":[ 1 ]},"extra":null}'),
    ).toEqual({
      device: 'a',
      celsius: null,
      extra: '{"x":1.10,"n":12345678901234567890,"o":{"b":[ 1 ]},"extra":null}',
    });
    expect(rowOf(sink, '{"device":"a"}').extra).toBe('{}');
    expect(rowOf(sink, '{"a\\"b\\u00e9":1,"x":1,"x":2,"__proto__":3}').extra).toBe(
      '{"a\\"bé":1,"x":2,"__proto__":3}',
    );
  });

  test('are kept though a column takes its value from elsewhere, unless a function of the sink reads them', () => {
    const columns = { device: fromProducer, celsius: fromMessage(({ json }) => String(json.celsius)) };
    expect(
      rowOf(defineSink('r', { table: readings, columns, rest: 'extra' }), '{"device":"a","celsius":2}'),
    ).toEqual({
      device: 'sensor-1',
      celsius: '2',
      extra: '{"device":"a"}',
    });
  });

  test('are refused by their name where rest says so, and a message without any is taken', () => {
    const sink = defineSink('r', { table: readings, rest: 'refuse' });
    expect(rowOf(sink, '{"device":"a","extra":1}').device).toBe('a');
    const error = thrownBy(() => rowOf(sink, '{"device":"a","humidity":40}'));
    expect(error).toMatchObject({ code: 'invalid_message', details: { row: 0 } });
    expect(error.message).toContain('"humidity"');
  });

  test.each(['refuse', 'extra'] as const)('a message that is no object is refused with rest: %s', (rest) => {
    const sink = defineSink('r', { table: readings, columns: { device: fromProducer }, rest });
    expect(thrownBy(() => rowOf(sink, '[1]')).code).toBe('invalid_message');
    expect(rowOf(sink, '{}').device).toBe('sensor-1');
  });

  test.each([
    ['nothing', /no column "nothing"/],
    ['celsius', /is double precision, and rest needs/],
    ['id', /generated always/],
  ])('rest: %s is refused', (rest, sentence) => {
    const table = pgTable('r', {
      id: bigint({ mode: 'bigint' }).generatedAlwaysAsIdentity(),
      celsius: doublePrecision(),
    });
    expect(() => defineSink('r', { table, rest: rest as never })).toThrow(sentence);
  });

  test('a column in rest and in columns is refused', () => {
    expect(() =>
      defineSink('r', { table: readings, rest: 'extra', columns: { extra: fromPayload } }),
    ).toThrow(/in columns and in rest/);
  });
});

const bytea = customType<{ data: string }>({ dataType: () => 'bytea' });
const everything = pgTable('everything', {
  id: serial(),
  big: bigint({ mode: 'bigint' }),
  money: numeric(),
  isOn: boolean('is_on').notNull().default(true),
  at: timestamp({ withTimezone: true }),
  bytes: bytea(),
  tags: text().array(),
  doc: jsonb(),
  name: varchar({ length: 5 }),
  ratio: doublePrecision(),
});

describe('a function for the whole row', () => {
  test('gives values, which become the texts of their types; a missing one is the default', () => {
    const sink = defineSink('e', {
      table: everything,
      columns: { name: fromProducer },
      row: ({ json, sequence }) => ({
        big: json.id,
        money: json.money,
        at: new Date(0),
        bytes: new Uint8Array([0, 255]),
        tags: ['a', null, 'b"c'],
        doc: { n: json.id, list: [new Date(0)] },
        ratio: sequence / 4,
      }),
    });
    expect(
      rowOf(sink, '{"id":9223372036854775807,"money":12345678901234567890.123456789012345678901}'),
    ).toEqual({
      name: 'sensor-1',
      big: '9223372036854775807',
      money: '12345678901234567890.123456789012345678901',
      isOn: 'true',
      at: '1970-01-01T00:00:00.000Z',
      bytes: '\\x00ff',
      tags: '{"a",NULL,"b\\"c"}',
      doc: '{"n":9223372036854775807,"list":["1970-01-01T00:00:00.000Z"]}',
      ratio: '0.25',
    });
  });

  test.each([
    [{ doc: 'text' }, 'doc', '"text"'],
    [{ doc: null }, 'doc', null],
    [{ ratio: Number.NaN }, 'ratio', 'NaN'],
    [{ ratio: Number.NEGATIVE_INFINITY }, 'ratio', '-Infinity'],
    [{ ratio: 1e21 }, 'ratio', '1e+21'],
    [{ at: 1_700_000_000_000 }, 'at', '2023-11-14T22:13:20.000Z'],
    [{ at: '2024-01-01T00:00:00+02:00' }, 'at', '2024-01-01T00:00:00+02:00'],
    [{ bytes: 'AP8=' }, 'bytes', '\\x00ff'],
    [{ name: 'a\\b\n' }, 'name', 'a\\b\n'],
    [{ isOn: undefined }, 'isOn', 'true'],
    [{ isOn: false }, 'isOn', 'false'],
    [{ tags: '{a,b}' }, 'tags', '{a,b}'],
  ])('%o gives %s: %j', (row, key, expected) => {
    expect(rowOf(defineSink('e', { table: everything, row: () => row }), '{}')[key]).toBe(expected);
  });

  test.each([
    [{ big: 2n ** 63n }, /column big \(bigint\) cannot take 9223372036854775808: it is not from/],
    [{ big: 1.5 }, /column big \(bigint\) cannot take 1.5/],
    [{ isOn: null }, /column is_on \(boolean\) must not be NULL/],
    [{ name: 'too long' }, /column name \(varchar\(5\)\) cannot take "too long": it has 8 characters/],
    [{ name: 'a\0' }, /NUL character/],
    [{ doc: { a: ['\0'] } }, /NUL character/],
    [{ doc: { a: Number.NaN } }, /NaN is no JSON number/],
    [{ at: new Date(Number.NaN) }, /Date is not valid/],
    [{ at: { a: 1 } }, /an object is not a time/],
  ])('%o is refused with the column and the reason', (row, sentence) => {
    const error = thrownBy(() =>
      rowOf(defineSink('e', { table: everything, row: () => row as never }), '{}'),
    );
    expect(error.code).toBe('invalid_message');
    expect(error.message).toMatch(sentence);
  });

  test('a NUL that is only spelled out is taken', () => {
    const sink = defineSink('e', { table: everything, row: () => ({ doc: { a: '\\u0000' } }) });
    expect(rowOf(sink, '{}').doc).toBe('{"a":"\\\\u0000"}');
  });

  test.each([
    ['no object', () => 'a', /returned a string: it has to return an object/],
    ['an array', () => [], /returned an array/],
    [
      'an unknown key',
      () => ({ bigg: 1 }),
      /returned the key "bigg", and the columns that it fills are big, /,
    ],
    ['a key that Postgres fills', () => ({ id: 1 }), /returned the key "id"/],
  ])('that returns %s is the fault of the sink', (_name, row, sentence) => {
    const error = thrownBy(() => rowOf(defineSink('e', { table: everything, row: row as never }), '{}'));
    expect(error.code).toBe('sink_failed');
    expect(error.message).toMatch(sentence);
  });

  test('cannot be joined with rest', () => {
    expect(() => defineSink('r', { table: readings, row: () => ({}), rest: 'refuse' })).toThrow(
      /leave rest out/,
    );
  });
});

describe('40 columns × 5,000 rows (or 100)', () => {
  const keys = Array.from({ length: 40 }, (_, index) => `c${index}`);
  const table = pgTable('wide', Object.fromEntries(keys.map((key) => [key, integer()])));
  const payload = JSON.stringify(Object.fromEntries(keys.map((key, index) => [key, index])));

  function parsesOf(
    mode: WriterMode,
    batch: MessageBatch,
    definition: Partial<Parameters<typeof defineSink>[1]>,
  ): number {
    const sink = defineSink('wide', { table, ...definition, options: { writer: mode } });
    const prepare = writingOf(sink).create();
    const parse = vi.spyOn(JSON, 'parse');
    try {
      prepare(batch);
      return parse.mock.calls.length;
    } finally {
      parse.mockRestore();
    }
  }

  test.each(WRITER_MODES)(
    '%s parses each message once by row, and 40 times with a parse for each column',
    (mode) => {
      const byColumn = Object.fromEntries(
        keys.map((key) => [key, fromMessage((message) => String(JSON.parse(message.payload)[key]))]),
      );
      const byShared = Object.fromEntries(
        keys.map((key) => [key, fromMessage(({ json }) => String(json[key]))]),
      );
      // One writer has the whole batch: the spy remembers each call, which takes seconds for all of them.
      const rows = mode === 'copy' ? 5_000 : 100;
      const batch = batchOf(...Array.from({ length: rows }, () => payload));
      expect(parsesOf(mode, batch, { columns: byColumn })).toBe(40 * rows);
      expect(parsesOf(mode, batch, { row: ({ json }) => json })).toBe(rows);
      expect(parsesOf(mode, batch, { columns: byShared })).toBe(rows);
      expect(parsesOf(mode, batch, {})).toBe(0);
    },
  );
});

describe('messages that the mapping refuses', () => {
  const sinkOf = (mode: WriterMode) => defineSink('r', { table: readings, options: { writer: mode } });

  test.each(WRITER_MODES)('%s finds all of a batch at once, with their rows', (mode) => {
    const prepare = writingOf(sinkOf(mode)).create();
    const error = thrownBy(() =>
      prepare(batchOf('{"celsius":1}', '{"celsius":"warm"}', '{"celsius":2}', '[]', '{"celsius":3}')),
    );
    expect(error).toBeInstanceOf(RefusedRows);
    expect(error.message).toMatch(/^2 of 5 messages are refused\. The first: The column celsius/);
    expect([...(error as RefusedRows).rows].map(([row, { code, message }]) => [row, code, message])).toEqual([
      [1, 'invalid_message', 'The column celsius (double precision) cannot take "warm": it is not a number'],
      [3, 'invalid_message', expect.stringContaining('not a JSON object')],
    ]);
    expect(thrownBy(() => prepare(batchOf('{"celsius":"warm"}'))).message).toMatch(/^The column celsius/);
    expect(prepare(batchOf('{"celsius":1}'))).toBeTypeOf('function');
  });
});

describe('a source that gives no text', () => {
  const sinkOf = (mode: WriterMode, value: unknown, table: PgTable = readings) =>
    defineSink('r', {
      table: table as typeof readings,
      columns: { celsius: fromMessage(() => value as string) },
      options: { writer: mode },
    });

  test.each(
    WRITER_MODES.flatMap((mode) => [
      [mode, undefined, 'undefined'] as const,
      [mode, 21.5, 'the number 21.5'] as const,
      [mode, { a: 1 }, 'a value of type object'] as const,
      [mode, ['1'], 'an array'] as const,
    ]),
  )('%s: %o names the column', (mode, value, shown) => {
    const error = thrownBy(() => writingOf(sinkOf(mode, value)).create()(batchOf('{}')));
    expect(error.code).toBe('sink_failed');
    expect(error.message).toBe(
      `The source of the column celsius of the sink r returned ${shown}: it has to return the text that Postgres reads, or null for NULL`,
    );
  });

  test.each(WRITER_MODES)(
    '%s: a text and null are taken, and what is thrown is the sink’s own fault',
    (mode) => {
      for (const value of ['1', null])
        expect(writingOf(sinkOf(mode, value)).create()(batchOf('{}'))).toBeTypeOf('function');
      const sink = defineSink('r', {
        table: readings,
        columns: {
          celsius: fromMessage(() => {
            throw new Error('broken');
          }),
        },
        options: { writer: mode },
      });
      const error = thrownBy(() => writingOf(sink).create()(batchOf('{}')));
      expect(error).toMatchObject({ code: 'sink_failed', message: "The sink's own code failed: broken" });
    },
  );
});

test('a sink knows what its mapping is made of', () => {
  const one = defineSink('r', { table: readings, columns: { device: fromProducer }, rest: 'extra' });
  expect(one.mapping).toEqual({
    device: 'text from producer',
    celsius: 'double precision from the member',
    extra: 'jsonb from the rest',
  });
  const made = (compute: () => string) =>
    defineSink('r', { table: readings, columns: { device: fromMessage(compute) } }).mapping.device;
  expect(made(() => 'a')).toMatch(/^text from function [\da-f]{8}$/);
  expect(made(() => 'a')).toBe(made(() => 'a'));
  expect(made(() => 'a')).not.toBe(made(() => 'b'));
});
