/** Rows that meet under a unique key: the same rows from every writer, whatever the driver and however messages are cut. */

import { sql } from 'drizzle-orm';
import {
  bigint,
  char,
  integer,
  numeric,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/database/connection.ts';
import { faultClassOf } from '../../../src/database/fault-class.ts';
import { serverErrorOf, sqlState } from '../../../src/database/server-error.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import type { OnConflict } from '../../../src/sinks/on-conflict.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { WRITER_MODES } from '../../../src/sinks/writer-mode.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { batchOf, write } from './contract.ts';

/** Devices whose name may be missing, with a version, a value, and who was first. */
function devices(name: string) {
  return pgTable(
    name,
    {
      id: bigint({ mode: 'bigint' }).generatedAlwaysAsIdentity(),
      device: text(),
      port: integer().notNull(),
      version: integer(),
      value: text(),
      first: text(),
      note: text().default(sql`'from Postgres'`),
    },
    (table) => [unique().on(table.device, table.port)],
  );
}

const COLUMNS = `id bigint generated always as identity, device text, port integer not null check (port > 0), version integer, value text,
  first text, note text default 'from Postgres', unique (device, port)`;

interface Message {
  device: string | null;
  port: number;
  version: number | null;
  value: string;
  first?: string;
}

type Row = Omit<Message, 'first'> & { first: string | null };

/** What the rule means, one message after the other. */
function expected(
  messages: readonly Message[],
  action: 'ignore' | 'update',
  { newerBy = false, set = ['version', 'value', 'first'] as readonly (keyof Row)[] } = {},
): Row[] {
  const rows: Row[] = [];
  for (const message of messages) {
    const given: Row = { ...message, first: message.first ?? null };
    const there = rows.find(
      ({ device, port }) => device !== null && device === given.device && port === given.port,
    );
    if (there === undefined) rows.push(given);
    else if (action === 'update') {
      const isNewer = given.version !== null && (there.version === null || given.version > there.version);
      if (newerBy && !isNewer) continue;
      for (const key of set) Object.assign(there, { [key]: given[key] });
    }
  }
  return rows;
}

const ORDER = 'order by device nulls last, port, version nulls first, value, first';

const sorted = (rows: readonly Row[]): string[] => rows.map((row) => JSON.stringify(row)).sort();

const payloads = (messages: readonly object[]) =>
  batchOf(messages.map((message) => ({ payload: JSON.stringify(message) })));

const anyMessages = fc.array(
  fc.record({
    device: fc.constantFrom(null, 'a', 'b', 'c'),
    port: fc.constantFrom(1, 2),
    version: fc.constantFrom(null, 1, 2, 3),
    value: fc.string({ maxLength: 3 }).map((value) => value.replaceAll(/[\0\ud800-\udfff]/g, '')),
    first: fc.constantFrom('one', 'two', 'three'),
  }),
  { minLength: 1, maxLength: 24 },
);

describe.each(DRIVERS)('over the driver %s', (driver) => {
  const database = testDatabase(driver);
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
  });

  describe.each(WRITER_MODES)('the writer %s', (mode) => {
    type Devices = ReturnType<typeof devices>;
    async function devicesSink(
      onConflict: OnConflict<keyof Devices['_']['columns'] & string>,
    ): Promise<{ sink: TableSink; read: () => Promise<Row[]>; clear: () => Promise<void> }> {
      const table = devices(freshName('devices'));
      await rowsOf(connection, sql`create table ${table} (${sql.raw(COLUMNS)})`);
      return {
        sink: defineSink('devices', { table, onConflict }),
        read: () =>
          rowsOf<Row & Record<string, unknown>>(
            connection,
            sql`select device, port, version, value, first from ${table} ${sql.raw(ORDER)}`,
          ),
        clear: async () => void (await rowsOf(connection, sql`truncate ${table}`)),
      };
    }

    test.each<[string, OnConflict<keyof Devices['_']['columns'] & string>, Parameters<typeof expected>[2]]>([
      ['ignore', 'ignore', {}],
      ['ignore of one key', { action: 'ignore', columns: ['device', 'port'] }, {}],
      ['update', { action: 'update', columns: ['device', 'port'] }, {}],
      [
        'update of what is newer',
        { action: 'update', columns: ['port', 'device'], newerBy: 'version' },
        { newerBy: true },
      ],
      [
        'update of some columns',
        { action: 'update', columns: ['device', 'port'], set: ['value'] },
        { set: ['value'] },
      ],
      [
        'update of some columns of what is newer',
        { action: 'update', columns: ['device', 'port'], set: ['value', 'version'], newerBy: 'version' },
        { newerBy: true, set: ['value', 'version'] },
      ],
    ])('%s: the same rows as one message after the other, however they are cut', async (_, rule, options) => {
      const { sink, read, clear } = await devicesSink(rule);
      const action = rule === 'ignore' ? rule : (rule as { action: 'ignore' | 'update' }).action;
      await fc.assert(
        fc.asyncProperty(anyMessages, fc.nat(24), async (messages, cut) => {
          await clear();
          const batch = payloads(messages);
          const at = Math.min(cut, messages.length);
          for (const [from, to] of [
            [0, at],
            [at, messages.length],
          ] as const)
            if (to > from) await write(mode, sink, { ...batch, from, to }, connection);
          expect(sorted(await read())).toEqual(sorted(expected(messages, action, options)));
        }),
        { numRuns: 12 },
      );
    });

    test('what the sink does not write stays as it is in the table, unless the rule sets it', async () => {
      const table = devices(freshName('devices'));
      await rowsOf(connection, sql`create table ${table} (${sql.raw(COLUMNS)})`);
      const sinkOf = (set?: ('value' | 'note')[]) =>
        defineSink('devices', {
          table,
          onConflict: {
            action: 'update',
            columns: ['device', 'port'],
            ...(set === undefined ? {} : { set }),
          },
        });
      const one = { device: 'a', port: 1, value: 'one' };
      await write(mode, sinkOf(), payloads([one]), connection);
      await rowsOf(connection, sql`update ${table} set note = 'by hand'`);
      await write(mode, sinkOf(), payloads([{ ...one, value: 'two' }]), connection);
      const read = sql`select value, note from ${table}`;
      expect(await rowsOf(connection, read)).toEqual([{ value: 'two', note: 'by hand' }]);
      await write(mode, sinkOf(['value', 'note']), payloads([{ ...one, value: 'three' }]), connection);
      expect(await rowsOf(connection, read)).toEqual([{ value: 'three', note: 'from Postgres' }]);
    });

    test('keys are compared by their types, and are spelt as the first message spells them', async () => {
      const table = pgTable(
        freshName('typed'),
        {
          price: numeric(),
          at: timestamp({ withTimezone: true, mode: 'string' }),
          code: char({ length: 4 }),
          value: text(),
        },
        (columns) => [primaryKey({ columns: [columns.price, columns.at, columns.code] })],
      );
      await rowsOf(
        connection,
        sql`create table ${table} (price numeric, at timestamptz, code char(4), value text, primary key (price, at, code))`,
      );
      const sink = defineSink('typed', {
        table,
        onConflict: { action: 'update', columns: ['price', 'at', 'code'] },
      });
      const rows = ['{"price":1.0,"at":"2024-01-01T12:00:00Z","code":"a","value":"one"}'];
      rows.push('{"price":1.00,"at":"2024-01-01T14:00:00+02:00","code":"a  ","value":"two"}');
      rows.push('{"price":10,"at":"2024-01-01T12:00:00Z","code":"a","value":"other"}');
      await write(mode, sink, batchOf(rows.map((payload) => ({ payload }))), connection);
      expect(await rowsOf(connection, sql`select price::text, value from ${table} order by price`)).toEqual([
        { price: '1.0', value: 'two' },
        { price: '10', value: 'other' },
      ]);
    });

    test('NULLs are alike where the index says so, and where only Drizzle does, no row is dropped', async () => {
      const [major] = await rowsOf<{ version: number }>(
        connection,
        `select current_setting('server_version_num')::int / 10000 as version`,
      );
      expect(major?.version).toBeGreaterThanOrEqual(15);
      for (const [nulls, values] of [
        ['nulls not distinct', ['two']],
        ['', ['one', 'two']],
      ] as const) {
        const table = pgTable(freshName('nulls'), { device: text(), value: text() }, (columns) => [
          unique().on(columns.device).nullsNotDistinct(),
        ]);
        await rowsOf(
          connection,
          sql`create table ${table} (device text, value text, unique ${sql.raw(nulls)} (device))`,
        );
        const sink = defineSink('nulls', { table, onConflict: { action: 'update', columns: ['device'] } });
        await write(mode, sink, payloads([{ value: 'one' }, { value: 'two' }]), connection);
        const rows = await rowsOf<{ value: string }>(
          connection,
          sql`select value from ${table} order by value`,
        );
        expect(rows.map(({ value }) => value)).toEqual(values);
      }
    });

    test('ignore takes partial and expression indexes', async () => {
      const table = pgTable(freshName('partial'), { email: text(), state: text() }, (columns) => [
        uniqueIndex().on(sql`lower(${columns.email})`).where(sql`${columns.state} = 'active'`),
      ]);
      await rowsOf(connection, sql`create table ${table} (email text, state text)`);
      await rowsOf(connection, sql`create unique index on ${table} (lower(email)) where state = 'active'`);
      const sink = defineSink('partial', { table, onConflict: 'ignore' });
      const messages = ['A active', 'a active', 'a gone', 'b active', 'A gone'].map((spelt) => {
        const [email, state] = spelt.split(' ');
        return { email, state };
      });
      await write(mode, sink, payloads(messages), connection);
      const rows = await rowsOf<{ spelt: string }>(
        connection,
        sql`select email || ' ' || state as spelt from ${table} order by email collate "C", state`,
      );
      expect(rows.map(({ spelt }) => spelt)).toEqual(['A active', 'A gone', 'a gone', 'b active']);
    });

    test('another unique key than that of the rule refuses its row, and nothing of the batch is there', async () => {
      const table = pgTable(freshName('two'), {
        id: integer().primaryKey(),
        name: text().unique(),
      });
      await rowsOf(connection, sql`create table ${table} (id integer primary key, name text unique)`);
      const sink = defineSink('two', { table, onConflict: { action: 'update', columns: ['id'] } });
      await write(mode, sink, payloads([{ id: 1, name: 'a' }]), connection);
      const failing = write(mode, sink, payloads([{ id: 2, name: 'a' }]), connection);
      await expect(failing.catch(sqlState)).resolves.toBe('23505');
      await write(mode, sink, payloads([{ id: 1, name: 'b' }]), connection);
      expect(await rowsOf(connection, sql`select * from ${table}`)).toEqual([{ id: 1, name: 'b' }]);
    });

    test('a key that the database does not have pauses the sink, with a sentence', async () => {
      const table = pgTable(freshName('keyless'), { id: integer().primaryKey(), name: text() });
      await rowsOf(connection, sql`create table ${table} (id integer, name text)`);
      const sink = defineSink('keyless', { table, onConflict: { action: 'update', columns: ['id'] } });
      const error: unknown = await write(mode, sink, payloads([{ id: 1 }]), connection).catch((e) => e);
      expect(error).toMatchObject({
        code: 'invalid_configuration',
        message: expect.stringMatching(/has no unique index on exactly \(id\).*the sink keyless needs/),
      });
      expect(sqlState(error)).toBe('42P10');
      expect(faultClassOf(error)).toBe('pause');
      await rowsOf(connection, sql`create unique index on ${table} (id)`);
      await write(mode, sink, payloads([{ id: 1 }, { id: 1 }]), connection);
      expect(await rowsOf(connection, sql`select * from ${table}`)).toEqual([{ id: 1, name: null }]);
    });

    test('nothing of a refused batch is there, and the connection stays usable', async () => {
      const { sink, read } = await devicesSink('ignore');
      const failing = write(
        mode,
        sink,
        payloads([
          { device: 'a', port: 0 },
          { device: 'b', port: 1 },
        ]),
        connection,
      );
      await expect(failing.catch(sqlState)).resolves.toBe('23514');
      expect(await read()).toEqual([]);
      await write(mode, sink, payloads([{ device: 'b', port: 1 }]), connection);
      expect(await read()).toHaveLength(1);
    });
  });
});

const server = testDatabase('tcp');

test('copy writes to a table with row security by a rule, which Postgres refuses it without one', async () => {
  const connection = await server.open();
  const role = freshName('role');
  const table = pgTable(freshName('guarded'), { id: integer().primaryKey(), text: text() }).enableRLS();
  const { quotedTable } = defineSink('guarded', { table, onConflict: 'ignore' });
  for (const statement of [
    `create table ${quotedTable} (id integer primary key, text text)`,
    `alter table ${quotedTable} enable row level security`,
    `create policy taken on ${quotedTable} for insert with check (text <> 'secret')`,
    `create role ${role}`,
    `grant insert on ${quotedTable} to ${role}`,
    `set role ${role}`,
  ])
    await rowsOf(connection, statement);
  const sink = defineSink('guarded', { table, onConflict: 'ignore' });
  await write(
    'copy',
    sink,
    payloads([
      { id: 1, text: 'a' },
      { id: 1, text: 'b' },
    ]),
    connection,
  );
  const plain = defineSink('guarded', { table, options: { writer: 'copy' } });
  const refused = write('copy', plain, payloads([{ id: 2, text: 'a' }]), connection);
  await expect(refused.catch(sqlState)).resolves.toBe('0A000');
  await rowsOf(connection, 'reset role');
  expect(await rowsOf(connection, `select * from ${quotedTable}`)).toEqual([{ id: 1, text: 'a' }]);
  await rowsOf(connection, `drop owned by ${role}`);
  await rowsOf(connection, `drop role ${role}`);
});

describe('a role that may not create temporary tables', () => {
  const database = ownDatabase();

  test('is told so, and goes on once it may', async () => {
    const { connection } = database;
    const role = freshName('role');
    const table = pgTable('notes', { id: integer().primaryKey(), text: text() });
    const name = new URL(database.url).pathname.slice(1);
    for (const statement of [
      'create table notes (id integer primary key, text text)',
      `create role ${role} login password 'secret'`,
      `grant insert, select, update on notes to ${role}`,
      `revoke temporary on database ${name} from public`,
    ])
      await rowsOf(connection, statement);
    const url = Object.assign(new URL(database.url), { username: role, password: 'secret' }).href;
    const writer = await openConnection({ url, driver: 'tcp' });
    try {
      const sink = defineSink('notes', { table, onConflict: 'ignore' });
      const batch = payloads([{ id: 1 }, { id: 1 }]);
      for (const mode of ['bulk', 'unnest', 'copy'] as const) {
        const error: unknown = await write(mode, sink, batch, writer).catch((e) => e);
        expect(serverErrorOf(error)).toMatchObject({ sqlState: '42501', routine: 'InitTempTableNamespace' });
        expect(error).toMatchObject({
          code: 'invalid_configuration',
          message: expect.stringContaining('grant temporary on database'),
        });
        expect(faultClassOf(error)).toBe('pause');
      }
      await write('naive', sink, payloads([{ id: 1 }]), writer);
      await rowsOf(connection, `grant temporary on database ${name} to ${role}`);
      // A right to read the table is not needed to ignore.
      await rowsOf(connection, `revoke select on notes from ${role}`);
      await write('copy', sink, payloads([{ id: 1 }, { id: 2 }]), writer);
      expect(await rowsOf(connection, 'select id from notes order by id')).toEqual([{ id: 1 }, { id: 2 }]);
    } finally {
      writer.close();
      await rowsOf(connection, `drop owned by ${role}`);
      await rowsOf(connection, `drop role ${role}`);
    }
  });
});
