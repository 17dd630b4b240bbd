/** What `defineSink` says of a rule for rows that meet under a unique key. */

import { sql } from 'drizzle-orm';
import {
  bigint,
  customType,
  integer,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import { describe, expect, test } from 'vitest';
import { fromProducer } from '../../../src/sinks/column-sources.ts';
import type { OnConflict } from '../../../src/sinks/on-conflict.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';

const citext = customType<{ data: string }>({ dataType: () => 'citext' });

const table = pgTable(
  'devices',
  {
    id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    device: text().notNull(),
    sensor: text('sensor_name'),
    serial: integer().unique(),
    owner: citext().unique(),
    email: text(),
    celsius: integer(),
    seenAt: timestamp('seen_at', { withTimezone: true }),
    updatedAt: timestamp('updated_at', { withTimezone: true }).default(sql`clock_timestamp()`),
    doubled: integer().generatedAlwaysAs(sql`celsius * 2`),
  },
  (columns) => [
    unique().on(columns.device, columns.sensor).nullsNotDistinct(),
    uniqueIndex().on(columns.device, columns.serial),
    uniqueIndex().on(columns.email).where(sql`true`),
  ],
);

type Key = keyof (typeof table)['_']['columns'] & string;

const ruleOf = (onConflict: OnConflict<Key>) => defineSink('devices', { table, onConflict }).onConflict;

describe('a rule', () => {
  test('is none by default, and for error', () => {
    expect(defineSink('devices', { table }).onConflict).toBeUndefined();
    expect(ruleOf('error')).toBeUndefined();
  });

  test('names columns as Postgres does, and updates all that the sink writes but the key', () => {
    expect(ruleOf({ action: 'update', columns: ['sensor', 'device'], newerBy: 'seenAt' })).toEqual({
      action: 'update',
      key: ['sensor_name', 'device'],
      set: ['serial', 'owner', 'email', 'celsius', 'seen_at'],
      newerBy: 'seen_at',
      nulls: 'equal',
      keptFromFirst: [],
    });
  });

  test('knows which keys may have NULLs, and which may be spelt in several ways', () => {
    expect(ruleOf({ action: 'update', columns: ['device', 'serial'] })).toMatchObject({ nulls: 'distinct' });
    expect(ruleOf({ action: 'update', columns: ['owner'], set: ['celsius'] })).toMatchObject({
      nulls: 'distinct',
      keptFromFirst: ['device', 'sensor_name', 'serial', 'owner', 'email', 'seen_at'],
    });
    const strict = pgTable('strict', { a: text(), b: text() }, (columns) => [
      primaryKey({ columns: [columns.a] }),
    ]);
    expect(
      defineSink('strict', { table: strict, onConflict: { action: 'update', columns: ['a'] } }).onConflict,
    ).toMatchObject({ set: ['b'], keptFromFirst: [] });
  });

  test('sets a column that only Postgres fills, if it has a default', () => {
    expect(ruleOf({ action: 'update', columns: ['serial'], set: ['celsius', 'updatedAt'] })).toMatchObject({
      set: ['celsius', 'updated_at'],
    });
  });

  test('sorts by the one key that messages can meet under, and by none of several', () => {
    const one = pgTable('one', { id: bigint({ mode: 'bigint' }).primaryKey(), text: text() });
    const sink = (given: typeof one | typeof table) =>
      defineSink('one', { table: given, onConflict: 'ignore' });
    expect(sink(one).onConflict).toEqual({ action: 'ignore', key: undefined, order: ['id'] });
    expect(sink(table).onConflict).toEqual({ action: 'ignore', key: undefined, order: [] });
    expect(ruleOf({ action: 'ignore', columns: ['serial'] })).toEqual({
      action: 'ignore',
      key: ['serial'],
      order: ['serial'],
    });
  });
});

describe('a rule is refused', () => {
  const loose = ruleOf as (given: unknown) => unknown;
  test.each<[unknown, RegExp]>([
    ['replace', /onConflict is 'error', 'ignore', \{ action: 'ignore'/],
    [null, /onConflict is 'error'/],
    [{ action: 'merge', columns: ['device'] }, /onConflict is 'error'/],
    [{ action: 'update' }, /onConflict\.columns is a list of one column or more/],
    [{ action: 'ignore', columns: [] }, /onConflict\.columns is a list of one column or more/],
    [
      { action: 'update', columns: ['name'] },
      /onConflict\.columns names "name", and the table has only id, device/,
    ],
    [{ action: 'update', columns: ['device', 'device'] }, /onConflict\.columns names device twice/],
    [{ action: 'update', columns: ['id'] }, /onConflict\.columns names id, which the sink does not write/],
    [
      { action: 'update', columns: ['device'] },
      /onConflict\.columns are \(device\), and the table has no unique key on exactly these in Drizzle: there are \(id\), .*\(device, sensor_name\), \(device, serial\)\. If the database has one, add it/,
    ],
    [{ action: 'ignore', columns: ['celsius'] }, /no unique key on exactly these/],
    [{ action: 'update', columns: ['email'] }, /the unique index on \(email\) has a condition/],
    [{ action: 'update', columns: ['serial'], newerBy: 'serial' }, /newerBy is serial, a column of the key/],
    [
      { action: 'update', columns: ['serial'], newerBy: 'updatedAt' },
      /newerBy names updatedAt, which the sink does not write/,
    ],
    [{ action: 'update', columns: ['serial'], newerBy: 'age' }, /newerBy names "age"/],
    [
      { action: 'update', columns: ['serial'], newerBy: 'seenAt', set: ['celsius'] },
      /newerBy is seenAt, which has to be in onConflict\.set/,
    ],
    [
      { action: 'update', columns: ['serial'], set: ['serial'] },
      /set names serial, which is a column of the key/,
    ],
    [
      { action: 'update', columns: ['serial'], set: ['doubled'] },
      /set names doubled, which only Postgres can fill/,
    ],
    [{ action: 'update', columns: ['serial'], set: ['id'] }, /set names id, which only Postgres can fill/],
    [{ action: 'update', columns: ['serial'], set: [] }, /onConflict\.set is a list of one column or more/],
  ])('%j', (given, sentence) => {
    expect(() => loose(given)).toThrow(
      expect.objectContaining({
        code: 'invalid_options',
        message: expect.stringMatching(new RegExp(`^Sink devices: .*${sentence.source}`)),
      }),
    );
  });

  test('for columns that the sink leaves to Postgres without a default', () => {
    expect(() =>
      defineSink('devices', {
        table,
        columns: { celsius: 'default' },
        onConflict: { action: 'update', columns: ['serial'], set: ['celsius'] },
      }),
    ).toThrow(/set names celsius, which the sink does not write, and which has no default in Postgres/);
  });

  test('where there is nothing to update', () => {
    const keys = pgTable('keys', { id: text().primaryKey() });
    expect(() =>
      defineSink('keys', {
        table: keys,
        columns: { id: fromProducer },
        onConflict: { action: 'update', columns: ['id'] },
      }),
    ).toThrow(/nothing to update besides the key: 'ignore'/);
  });
});

test('keys are checked against the table by their types', () => {
  // @ts-expect-error: there is no such column
  const rule: OnConflict<Key> = { action: 'update', columns: ['name'] };
  expect(() => ruleOf(rule)).toThrow('onConflict.columns names "name"');
});
