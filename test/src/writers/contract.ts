/** What every writer promises, whatever the driver: the messages of a batch become rows, exactly as they are. */

import { eq, sql } from 'drizzle-orm';
import {
  bigint,
  bit,
  boolean,
  jsonb,
  pgSchema,
  pgTable,
  text,
  timestamp,
  varchar,
} from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type BenchColumn,
  benchSink,
  benchTableName,
  createBenchTable,
} from '../../../lab/suites/ingest/bench-sink.ts';
import { type Connection, sqlState } from '../../../src/database/connection.ts';
import type { Driver } from '../../../src/database/target.ts';
import { checkJson, JSON_ESCAPED, JSON_PLAIN } from '../../../src/protocol/check-json.ts';
import { assertProducerName } from '../../../src/protocol/producer.ts';
import { fromMessage, fromPayload, fromProducer, fromSequence } from '../../../src/sinks/column-sources.ts';
import type { Message, MessageBatch } from '../../../src/sinks/message-batch.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { WRITER_MODES, type WriterMode } from '../../../src/sinks/writer-mode.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { eventually } from '../../support/patience.ts';

/** Messages as a batch; `plain` as the frame decoder says it. */
export function batchOf(messages: readonly Partial<Message>[]): MessageBatch {
  const payloads = messages.map(({ payload = '{}' }) => payload);
  return {
    columns: {
      producers: messages.map(({ producer = 'p' }) => producer),
      sequences: messages.map(({ sequence }, index) => sequence ?? index),
      epochs: messages.map(({ epoch = 0 }) => epoch),
      payloads,
      plain: payloads.map((payload) => {
        const verdict = checkJson(payload);
        if (verdict !== JSON_PLAIN && verdict !== JSON_ESCAPED) throw new Error(`No message: ${payload}`);
        return verdict === JSON_PLAIN;
      }),
      receivedAtMs: messages.map(({ receivedAtMs = 1_700_000_000_000 }) => receivedAtMs),
    },
    from: 0,
    to: messages.length,
    position: 0n,
    bytes: 0,
  };
}

export function write(
  mode: WriterMode,
  sink: TableSink,
  batch: MessageBatch,
  connection: Connection,
): Promise<void> {
  return WRITERS[mode].create(sink)(batch)(connection);
}

/** Texts that some encoding on the way to Postgres could mistake for something else. */
const HARD_PAYLOADS = [
  '{}',
  '""',
  'null',
  '"NULL"',
  '"\\\\N"',
  '"\\\\."',
  '"it\'s \\"quoted\\""',
  '"a\\\\b\\\\\\\\c"',
  '"\\\\n is no newline, \\n is one, and \\t \\r \\b \\f are others"',
  '"{}, {a,b}, (1,2), $1, %s, ?, :name, --, /*, ;"',
  '"$$ $tag$"',
  '{"a"\t:\r1}',
  '[1,\t2]',
  '"ä ö ü é ñ"',
  '"\\u00e4\\u20AC"',
  '"日本語 العربية ไทย"',
  '"😀👩‍👩‍👧‍👦"',
  '"\\ud83d\\ude00"',
  '"\\\\u0000 spelled out"',
  '"\u0001"'.replace('\u0001', '\\u0001'),
  '"\u007f\u0080\u2028\u2029\ufeff\uffff"',
  '9007199254740993',
  '-0',
  '1e400',
  '0.1000000000000000055511151231257827',
  '[[[[[[]]]]]]',
  `"${'long '.repeat(3_000)}"`,
];

const HARD_PRODUCERS = ['NULL', 'null', 'default', 'a.b_c:d@e-f', '-1', '0', '...', '@', 'x'.repeat(128)];

/** Texts for a column that takes anything. */
export const HARD_TEXTS: (string | null)[] = [
  null,
  '',
  ' ',
  'NULL',
  'null',
  '"NULL"',
  '\\N',
  '\\.',
  '\\',
  '\\\\',
  '"',
  '""',
  '{',
  '}',
  '{}',
  '{a,b}',
  ',',
  "'",
  "E'\\n'",
  '\n',
  '\r',
  '\r\n',
  '\t',
  'a\nb\n',
  '\n\\.\n',
  '\b\f\v',
  '\u0001\u001f\u007f',
  '$1',
  '(1,2)',
  '日本語',
  '😀',
  '\u2028',
];

/** Any text but NUL, or null; many with what encodings treat specially. */
export const anyText = fc.option(
  fc
    .string({
      unit: fc.oneof(
        fc.constantFrom(...'"\\{},\n\r\t\'() .$NULnul'),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      ),
    })
    .map((text) => text.replaceAll('\0', '')),
);

export function writerContract(driver: Driver): void {
  const database = testDatabase(driver);
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
  });

  async function benchTable(
    column: BenchColumn,
  ): Promise<{ sink: TableSink; read: () => Promise<unknown[]> }> {
    const table = freshName('contract');
    await rowsOf(connection, createBenchTable(table, column));
    return {
      sink: benchSink({ table, column, options: {} }),
      read: () =>
        rowsOf(
          connection,
          `select producer, epoch::text, sequence::text, payload::text,
             to_char(received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
           from ${benchTableName(table)} order by id`,
        ),
    };
  }

  async function asJsonb(payloads: readonly string[]): Promise<string[]> {
    const rows = await rowsOf<{ payload: string }>(
      connection,
      sql`select payload::jsonb::text as payload from unnest(${sql.param(payloads)}::text[]) with ordinality as given (payload, place) order by place`,
    );
    return rows.map(({ payload }) => payload);
  }

  describe.each(WRITER_MODES)('the writer %s', (mode) => {
    test('keeps every payload of a text column as it came, in the order of the batch', async () => {
      const { sink, read } = await benchTable('text');
      const messages = HARD_PAYLOADS.map((payload, index) => ({ payload, sequence: index }));
      await write(mode, sink, batchOf(messages), connection);
      expect(await read()).toEqual(
        messages.map(({ payload, sequence }) => ({
          producer: 'p',
          epoch: '0',
          sequence: String(sequence),
          payload,
          at: '2023-11-14T22:13:20.000Z',
        })),
      );
    });

    test('keeps every payload of a jsonb column as Postgres itself reads it, 2^53 + 1 included', async () => {
      const { sink, read } = await benchTable('jsonb');
      await write(mode, sink, batchOf(HARD_PAYLOADS.map((payload) => ({ payload }))), connection);
      const found = (await read()).map((row) => (row as { payload: string }).payload);
      expect(found).toEqual(await asJsonb(HARD_PAYLOADS));
      expect(found).toContain('9007199254740993');
    });

    test('keeps the names of producers, whatever they spell, and large epochs, sequences and times', async () => {
      const { sink, read } = await benchTable('text');
      const messages = HARD_PRODUCERS.flatMap((producer) => [
        { producer, epoch: 0, sequence: 0, receivedAtMs: 0 },
        { producer, epoch: 1, sequence: 1_795_266_606_000, receivedAtMs: 1 },
        {
          producer,
          epoch: Number.MAX_SAFE_INTEGER,
          sequence: Number.MAX_SAFE_INTEGER,
          receivedAtMs: 4_102_444_799_999,
        },
      ]);
      for (const { producer } of messages) assertProducerName(producer);
      await write(mode, sink, batchOf(messages), connection);
      expect(await read()).toEqual(
        messages.map(({ producer, epoch, sequence, receivedAtMs }) => ({
          producer,
          epoch: String(epoch),
          sequence: String(sequence),
          payload: '{}',
          at: new Date(receivedAtMs).toISOString(),
        })),
      );
    });

    test('writes the run of rows that the batch names, and no other', async () => {
      const { sink, read } = await benchTable('text');
      const whole = batchOf(Array.from({ length: 1_200 }, (_, sequence) => ({ sequence })));
      await write(mode, sink, { ...whole, from: 100, to: 1_150 }, connection);
      const found = (await read()).map((row) => Number((row as { sequence: string }).sequence));
      expect(found).toEqual(Array.from({ length: 1_050 }, (_, index) => 100 + index));
    });

    test('one prepared batch can be written again, as it must be after a failure', async () => {
      const { sink, read } = await benchTable('text');
      const send = WRITERS[mode].create(sink)(batchOf([{ payload: '1' }, { payload: '2' }]));
      await send(connection);
      await send(connection);
      expect((await read()).map((row) => (row as { payload: string }).payload)).toEqual(['1', '2', '1', '2']);
    });

    test('batches of different sizes follow each other', async () => {
      const { sink, read } = await benchTable('text');
      const prepare = WRITERS[mode].create(sink);
      for (const sequences of [[1, 2, 3], [4], [5, 6, 7], [8, 9]]) {
        await prepare(batchOf(sequences.map((sequence) => ({ sequence }))))(connection);
      }
      expect((await read()).map((row) => (row as { sequence: string }).sequence)).toEqual(
        Array.from({ length: 9 }, (_, index) => String(index + 1)),
      );
    });

    test('a computed column keeps any text, and null is null', async () => {
      const name = freshName('Any "text"');
      const table = pgTable(name, {
        id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
        value: text('the "value"'),
      });
      await rowsOf(
        connection,
        sql`create table ${table} (id bigint primary key generated always as identity, ${sql.identifier('the "value"')} text)`,
      );
      const sink = defineSink('any', {
        table,
        columns: { value: fromMessage(({ sequence }) => HARD_TEXTS[sequence] as string | null) },
      });
      await write(mode, sink, batchOf(HARD_TEXTS.map((_, sequence) => ({ sequence }))), connection);
      const found = await connection.db.select({ value: table.value }).from(table).orderBy(table.id);
      expect(found.map(({ value }) => value)).toEqual(HARD_TEXTS);
    });

    test('columns of other types are read from their texts, in whatever order the sink names them', async () => {
      const name = freshName('typed');
      const table = pgTable(name, {
        at: timestamp({ withTimezone: true, mode: 'string' }),
        big: bigint({ mode: 'bigint' }),
        isOn: boolean('is_on'),
        tags: text().array(),
        extra: jsonb(),
        code: varchar({ length: 3 }),
      });
      await rowsOf(
        connection,
        sql`create table ${table} (at timestamptz, big bigint, is_on boolean, tags text[], extra jsonb, code varchar(3))`,
      );
      const rows = [
        {
          code: 'abc',
          extra: '{"a":"\\n\\\\"}',
          tags: '{a,"b c",NULL}',
          isOn: 'true',
          big: '9223372036854775807',
          at: '2024-02-29 12:00:00.123456+02',
        },
        { code: null, extra: null, tags: null, isOn: null, big: null, at: null },
        { code: '', extra: '[]', tags: '{}', isOn: 'f', big: '-1', at: 'infinity' },
      ];
      const source = (key: keyof (typeof rows)[0]) =>
        fromMessage(({ sequence }) => rows[sequence]?.[key] ?? null);
      const sink = defineSink('typed', {
        table,
        columns: {
          code: source('code'),
          extra: source('extra'),
          tags: source('tags'),
          isOn: source('isOn'),
          big: source('big'),
          at: source('at'),
        },
      });
      await write(mode, sink, batchOf(rows.map((_, sequence) => ({ sequence }))), connection);
      expect(
        await rowsOf(
          connection,
          sql`select code, extra::text, tags::text, is_on::text, big::text, (at at time zone 'UTC')::text as at from ${table}`,
        ),
      ).toEqual([
        {
          code: 'abc',
          extra: '{"a": "\\n\\\\"}',
          tags: '{a,"b c",NULL}',
          is_on: 'true',
          big: '9223372036854775807',
          at: '2024-02-29 10:00:00.123456',
        },
        { code: null, extra: null, tags: null, is_on: null, big: null, at: null },
        { code: '', extra: '[]', tags: '{}', is_on: 'false', big: '-1', at: 'infinity' },
      ]);
    });

    test('a text that is too long for its column is refused and never cut, and one that fits is taken', async () => {
      const table = pgTable(freshName('short'), { code: varchar({ length: 3 }) });
      await rowsOf(connection, sql`create table ${table} (code varchar(3))`);
      const sink = defineSink('short', { table, columns: { code: fromProducer } });
      const failing = write(mode, sink, batchOf([{ producer: 'abcd' }]), connection);
      await expect(failing.catch(sqlState)).resolves.toBe('22001');
      await write(mode, sink, batchOf([{ producer: 'abc' }]), connection);
      expect(await rowsOf(connection, sql`select * from ${table}`)).toEqual([{ code: 'abc' }]);
    });

    test('texts in an array that are too long for their column are refused and never cut', async () => {
      const table = pgTable(freshName('short'), { codes: varchar({ length: 3 }).array() });
      await rowsOf(connection, sql`create table ${table} (codes varchar(3)[])`);
      // By a text of the sink's own: of members, the sink itself says that they are too long.
      const sink = defineSink('short', {
        table,
        columns: { codes: fromMessage(({ producer }) => producer) },
      });
      const failing = write(mode, sink, batchOf([{ producer: '{abcd}' }]), connection);
      await expect(failing.catch(sqlState)).resolves.toBe('22001');
      await write(mode, sink, batchOf([{ producer: '{abc}' }]), connection);
      expect(await rowsOf(connection, sql`select * from ${table}`)).toEqual([{ codes: ['abc'] }]);
    });

    test('bits that do not fit their column are refused and never cut', async () => {
      const table = pgTable(freshName('bits'), { flags: bit({ dimensions: 3 }) });
      await rowsOf(connection, sql`create table ${table} (flags bit(3))`);
      const sink = defineSink('bits', { table, columns: { flags: fromMessage(({ producer }) => producer) } });
      const failing = write(mode, sink, batchOf([{ producer: '10101' }]), connection);
      await expect(failing.catch(sqlState)).resolves.toBe('22026');
      await write(mode, sink, batchOf([{ producer: '101' }]), connection);
      expect(await rowsOf(connection, sql`select flags::text from ${table}`)).toEqual([{ flags: '101' }]);
    });

    test('texts in an array of jsonb are JSON', async () => {
      const table = pgTable(freshName('parts'), { parts: jsonb().array() });
      await rowsOf(connection, sql`create table ${table} (parts jsonb[])`);
      const payload = '{"parts":["a",["b"],1.10,null]}';
      await write(mode, defineSink('parts', { table }), batchOf([{ payload }]), connection);
      expect(await rowsOf(connection, sql`select to_jsonb(parts)::text as parts from ${table}`)).toEqual([
        { parts: '["a", ["b"], 1.10, null]' },
      ]);
    });

    test('a column that the sink leaves out gets its default from Postgres, in a table of any schema', async () => {
      const schema = pgSchema(freshName('My schema'));
      const table = schema.table('rows', {
        note: text().$defaultFn(() => 'from the client'),
        payload: text(),
        producer: text(),
      });
      await rowsOf(connection, sql`create schema ${schema}`);
      await rowsOf(
        connection,
        sql`create table ${table} (note text default 'from Postgres', payload text, producer text)`,
      );
      const sink = defineSink('left out', {
        table,
        columns: { producer: fromProducer, payload: fromPayload, note: 'default' },
      });
      await write(mode, sink, batchOf([{ producer: 'me', payload: '1' }]), connection);
      expect(await rowsOf(connection, sql`select * from ${table}`)).toEqual([
        { note: 'from Postgres', payload: '1', producer: 'me' },
      ]);
    });

    test('a failure rejects with its SQLSTATE, and the connection stays usable', async () => {
      const { sink, read } = await benchTable('jsonb');
      const missing = benchSink({ table: freshName('missing'), column: 'jsonb', options: {} });
      await expect(write(mode, missing, batchOf([{}]), connection).catch(sqlState)).resolves.toBe('42P01');
      expect(connection.isOpen).toBe(true);
      await write(mode, sink, batchOf([{}]), connection);
      expect(await read()).toHaveLength(1);
    });

    test('a connection that the server ends on its way rejects, and is no longer open', async () => {
      const { sink, read } = await benchTable('jsonb');
      const victim = await database.open();
      const [row] = await rowsOf<{ pid: number }>(victim, 'select pg_backend_pid() as pid');
      await rowsOf(connection, 'begin');
      await rowsOf(connection, sql`lock table ${sink.table}`);
      const writing = write(mode, sink, batchOf([{}]), victim);
      writing.catch(() => {});
      await eventually(async () => {
        const waiting = sql`select 1 as waits from pg_locks where pid = ${row?.pid} and not granted`;
        expect(await rowsOf(connection, waiting)).toEqual([{ waits: 1 }]);
      });
      await rowsOf(connection, sql`select pg_terminate_backend(${row?.pid})`);
      await expect(writing).rejects.toThrow();
      await eventually(() => expect(victim.isOpen).toBe(false));
      await rowsOf(connection, 'commit');
      expect(await read()).toEqual([]);
    });
  });

  describe.each(['bulk', 'unnest', 'copy'] as const)('the batch writer %s', (mode) => {
    test('writes all of a batch or nothing of it', async () => {
      const table = pgTable(freshName('all_or_nothing'), { number: bigint({ mode: 'bigint' }) });
      await rowsOf(connection, sql`create table ${table} (number bigint check (number <> 7))`);
      const sink = defineSink('checked', { table, columns: { number: fromSequence } });
      const rows = (count: number) => batchOf(Array.from({ length: count }, (_, sequence) => ({ sequence })));
      await expect(write(mode, sink, rows(2_000), connection).catch(sqlState)).resolves.toBe('23514');
      expect(await connection.db.select().from(table)).toEqual([]);
      await write(mode, sink, rows(7), connection);
      expect(await connection.db.select().from(table).where(eq(table.number, 6n))).toEqual([{ number: 6n }]);
    });
  });
}
