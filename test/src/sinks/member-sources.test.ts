import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgTable,
  serial,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromProducer } from '../../../src/sinks/column-sources.ts';
import type { MessageColumns } from '../../../src/sinks/message-batch.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';

const RECEIVED_AT = '2026-12-01T00:00:00.000Z';

function columnsOf(...payloads: string[]): MessageColumns {
  return {
    producers: payloads.map(() => 'sensor-1'),
    sequences: payloads.map((_, index) => index),
    epochs: payloads.map(() => 0),
    payloads,
    plain: payloads.map(() => false),
    receivedAtMs: payloads.map(() => Date.parse(RECEIVED_AT)),
  };
}

/** The texts of a row by the keys of the table. */
function rowOf(
  table: Parameters<typeof defineSink>[1]['table'],
  payload: string,
): Record<string, string | null> {
  const { columns } = defineSink('readings', { table });
  const messages = columnsOf(payload);
  return Object.fromEntries(columns.map(({ key, text }) => [key, text(messages, 0)]));
}

const readings = pgTable('readings', {
  id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  deviceId: text('device_id'),
  celsius: doublePrecision(),
  tags: text().array(),
  raw: jsonb(),
});

describe('members of a message', () => {
  test('go to the columns of the same name: the key in Drizzle or the name in Postgres', () => {
    expect(rowOf(readings, '{"deviceId":"a","celsius":21.5,"raw":{"b":[1]}}')).toEqual({
      deviceId: 'a',
      celsius: '21.5',
      tags: null,
      raw: '{"b":[1]}',
    });
    expect(rowOf(readings, '{"device_id":"a"}').deviceId).toBe('a');
  });

  test('keep all their digits', () => {
    const exact = pgTable('exact', { big: bigint({ mode: 'bigint' }), money: numeric() });
    expect(
      rowOf(exact, '{"big":9223372036854775807,"money":123456789012345678901234567890.123456789}'),
    ).toEqual({ big: '9223372036854775807', money: '123456789012345678901234567890.123456789' });
  });

  test.each([
    ['"a \\"quoted\\" text\\n"', 'a "quoted" text\n'],
    ['"\\u00e9"', 'é'],
    ['true', 'true'],
    ['null', null],
    ['{"a":1}', '{"a":1}'],
    ['""', ''],
  ])('%s as text is %j', (json, expected) => {
    expect(rowOf(readings, `{"deviceId":${json}}`).deviceId).toBe(expected);
  });

  test.each([
    ['[]', '{}'],
    ['["a","b c",null]', '{"a","b c",NULL}'],
    ['["quote \\" and \\\\"]', '{"quote \\" and \\\\"}'],
    ['["NULL"]', '{"NULL"}'],
    ['[["a"],["b"]]', '{{"a"},{"b"}}'],
    ['"{a,b}"', '{a,b}'],
  ])('the array %s is %s', (json, expected) => {
    expect(rowOf(readings, `{"tags":${json}}`).tags).toBe(expected);
  });

  test('an array of jsonb has JSON for its elements: texts keep their quotes, and arrays in it stay JSON', () => {
    const documents = pgTable('documents', { parts: jsonb().array(), rows: jsonb().array().array() });
    expect(rowOf(documents, '{"parts":["a",{"b":"c"},[1,"d"],null,1.10]}').parts).toBe(
      '{"\\"a\\"","{\\"b\\":\\"c\\"}","[1,\\"d\\"]",NULL,"1.10"}',
    );
    expect(rowOf(documents, '{"rows":[["a"],[[1]]]}').rows).toBe('{{"\\"a\\""},{"[1]"}}');
  });

  test('of several with one name the last counts, as JSON.parse has it', () => {
    expect(rowOf(readings, '{"celsius":1,"celsius":2}').celsius).toBe('2');
  });

  test('in a jsonb column keep their quotes, and null is NULL', () => {
    expect(rowOf(readings, '{"raw":"text"}').raw).toBe('"text"');
    expect(rowOf(readings, '{"raw":null}').raw).toBeNull();
  });

  test('that no column takes are left out', () => {
    expect(Object.keys(rowOf(readings, '{"other":1,"__proto__":2,"id":3}'))).toEqual([
      'deviceId',
      'celsius',
      'tags',
      'raw',
    ]);
  });

  test.each(['1', '"text"', '[{"deviceId":"a"}]', 'null'])(
    'a message that is not an object is refused, with its sink: %s',
    (payload) => {
      expect(() => rowOf(readings, payload)).toThrow(/not a JSON object: the sink readings/);
    },
  );
});

test('a message that is not an object has no members where the sink takes more than members', () => {
  const { columns } = defineSink('readings', { table: readings, columns: { deviceId: fromProducer } });
  const messages = columnsOf('[1]');
  expect(columns.map(({ key, text }) => [key, text(messages, 0)])).toEqual([
    ['deviceId', 'sensor-1'],
    ['celsius', null],
    ['tags', null],
    ['raw', null],
  ]);
});

describe('a column that the message lacks', () => {
  const defaults = pgTable('defaults', {
    id: serial().primaryKey(),
    token: uuid().defaultRandom(),
    at: timestamp({ withTimezone: true }).notNull().defaultNow(),
    unit: text().notNull().default('°C'),
    count: integer().notNull().default(0),
    isNew: boolean('is_new').notNull().default(true),
    big: bigint({ mode: 'bigint' }).default(12345678901234567n),
    settings: jsonb().default({ a: 1 }),
    made: text().$defaultFn(() => 'made'),
    updated: timestamp({ withTimezone: true }).$onUpdateFn(() => new Date(RECEIVED_AT)),
    doubled: integer().generatedAlwaysAs(sql`count * 2`),
    random: integer().default(sql`floor(random() * 10)`),
  });

  test('gets its default, the time of arrival for now(), and NULL without a default', () => {
    expect(rowOf(defaults, '{}')).toEqual({
      at: RECEIVED_AT,
      unit: '°C',
      count: '0',
      isNew: 'true',
      big: '12345678901234567',
      settings: '{"a":1}',
      made: 'made',
      updated: RECEIVED_AT,
    });
  });

  test('is refused where a function makes its default as SQL: the text of that is no value', () => {
    const random = pgTable('random', { token: text().$defaultFn(() => sql`gen_random_uuid()`) });
    expect(rowOf(random, '{"token":"sent"}')).toEqual({ token: 'sent' });
    expect(() => rowOf(random, '{}')).toThrow(/default of the column token/);
  });

  test('and the message wins where it has one', () => {
    expect(
      rowOf(defaults, '{"at":"2020-01-01T00:00:00+02:00","is_new":false,"settings":null}'),
    ).toMatchObject({
      at: '2020-01-01T00:00:00+02:00',
      isNew: 'false',
      settings: null,
    });
  });

  test('a column that only Postgres can fill is written where it is named', () => {
    const { columns } = defineSink('d', { table: defaults, columns: { token: fromProducer } });
    expect(columns.map(({ key }) => key)).toContain('token');
  });
});

test('rows are read alike in any order, and whatever was read before', () => {
  const { columns } = defineSink('readings', { table: readings });
  const [device, celsius] = columns as [(typeof columns)[0], (typeof columns)[0]];
  fc.assert(
    fc.property(
      fc.array(fc.integer(), { minLength: 1, maxLength: 20 }),
      fc.array(fc.nat(19), { maxLength: 60 }),
      fc.integer({ min: 0, max: 200_000 }),
      (numbers, order, padding) => {
        const pad = 'x'.repeat(padding);
        const messages = columnsOf(...numbers.map((n) => `{"deviceId":"d${n}${pad}","celsius":${n}}`));
        for (const place of order) {
          const row = place % numbers.length;
          expect(celsius.text(messages, row)).toBe(String(numbers[row]));
          expect(device.text(messages, row)).toBe(`d${numbers[row]}${pad}`);
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('messages that were read are not kept in memory for longer than a batch is prepared', async () => {
  const { columns } = defineSink('readings', { table: readings });
  const read = (): WeakRef<MessageColumns> => {
    const messages = columnsOf('{"deviceId":"a"}');
    expect(columns[0]?.text(messages, 0)).toBe('a');
    return new WeakRef(messages);
  };
  const reference = read();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let round = 0; round < 10 && reference.deref() !== undefined; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  expect(reference.deref()).toBeUndefined();
});
