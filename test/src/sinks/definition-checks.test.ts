import { sql } from 'drizzle-orm';
import { bigint, integer, pgMaterializedView, pgTable, pgView, text } from 'drizzle-orm/pg-core';
import { describe, expect, test } from 'vitest';
import { fromMessage, fromSequence } from '../../../src/sinks/column-sources.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';

const one = fromMessage(() => '1');

describe('a definition that cannot work is refused with a sentence', () => {
  const table = pgTable('made', {
    always: bigint({ mode: 'bigint' }).generatedAlwaysAsIdentity(),
    byDefault: bigint('by_default', { mode: 'bigint' }).generatedByDefaultAsIdentity(),
    doubled: integer().generatedAlwaysAs(sql`value * 2`),
    value: integer(),
  });

  test('a column that Postgres makes of others', () => {
    expect(() => defineSink('made', { table, columns: { doubled: one } })).toThrow(
      'Sink made: Postgres makes the column doubled of others (generated always as), and takes no value for it. Leave it out of columns',
    );
  });

  test('an identity that is always made', () => {
    expect(() => defineSink('made', { table, columns: { always: fromSequence } })).toThrow(
      /always as identity\), and takes no value for it\. Leave it out of columns, or make it generatedByDefaultAsIdentity/,
    );
  });

  test('control: by default, and with both left out, it is taken', () => {
    const { columns } = defineSink('made', {
      table,
      columns: { byDefault: fromSequence, always: 'default', doubled: 'default' },
    });
    expect(columns.map(({ name }) => name)).toEqual(['by_default', 'value']);
  });

  test('a column of Postgres with two keys', () => {
    const twice = pgTable('twice', { a: text('value'), b: text('value'), c: text() });
    expect(() => defineSink('twice', { table: twice })).toThrow(
      'Sink twice: the column value is in the table twice, as a and as b: a row has one value for it. Remove one',
    );
  });

  test.each([
    ['a view', pgView('some_view', { value: integer() }).existing()],
    ['a materialized view', pgMaterializedView('some_view', { value: integer() }).existing()],
  ])('%s', (_name, view) => {
    expect(() => defineSink('view', { table: view as never })).toThrow(
      /a view cannot be its table: COPY does not write to views\. .* writer: 'unnest'/,
    );
  });

  test('a table with row security, unless a writer is named', () => {
    const secured = pgTable('secured', { value: integer() }).enableRLS();
    expect(() => defineSink('secured', { table: secured })).toThrow(
      /row security, for which Postgres refuses COPY: set options: \{ writer: 'unnest' \}/,
    );
    for (const writer of ['unnest', 'copy'] as const)
      expect(defineSink('secured', { table: secured, options: { writer } }).options.writer).toBe(writer);
  });
});
