/** Refuses definitions of a sink that cannot work, before anything is taken for them. */

import { getTableColumns, is, View } from 'drizzle-orm';
import { getTableConfig, type PgColumn, type PgTable } from 'drizzle-orm/pg-core';
import { SluiceError } from '../core/errors.ts';
import type { WriterMode } from './writer-mode.ts';

/** The error for a definition that cannot work. */
export function wrongDefinition(sink: string, sentence: string): SluiceError {
  return new SluiceError('invalid_options', `Sink ${sink}: ${sentence}`);
}

/**
 * The columns of a table by their keys.
 *
 * @throws SluiceError `invalid_options` for a view, and for a column of Postgres that has two keys
 */
export function columnsOfTable(sink: string, table: PgTable): Record<string, PgColumn> {
  if (is(table as unknown, View))
    throw wrongDefinition(
      sink,
      "a view cannot be its table: COPY does not write to views. Describe it with pgTable, and set options: { writer: 'unnest' }",
    );
  const columns = getTableColumns(table) as Record<string, PgColumn>;
  const keys = new Map<string, string>();
  for (const [key, { name }] of Object.entries(columns)) {
    const other = keys.get(name);
    if (other !== undefined)
      throw wrongDefinition(
        sink,
        `the column ${name} is in the table twice, as ${other} and as ${key}: a row has one value for it. Remove one`,
      );
    keys.set(name, key);
  }
  return columns;
}

/**
 * Refuses COPY into a table with row security, where it only works for roles that bypass it.
 *
 * @param writer the writer that the sink asks for by name; undefined where it asks for none
 * @throws SluiceError `invalid_options`
 */
export function checkRowSecurity(sink: string, table: PgTable, writer: WriterMode | undefined): void {
  if (writer !== undefined || !getTableConfig(table).enableRLS) return;
  throw wrongDefinition(
    sink,
    "its table has row security, for which Postgres refuses COPY: set options: { writer: 'unnest' }. If its role owns the table or has BYPASSRLS, set writer: 'copy'",
  );
}

/** @throws SluiceError `invalid_options` for a column that Postgres lets nobody write */
export function checkWritable(sink: string, key: string, { generated, generatedIdentity }: PgColumn): void {
  if (generated !== undefined)
    throw wrongDefinition(
      sink,
      `Postgres makes the column ${key} of others (generated always as), and takes no value for it. Leave it out of columns`,
    );
  if (generatedIdentity?.type === 'always')
    throw wrongDefinition(
      sink,
      `Postgres makes the column ${key} by itself (generated always as identity), and takes no value for it. Leave it out of columns, or make it generatedByDefaultAsIdentity()`,
    );
}

/** The key of a column that takes what other columns leave. @throws SluiceError `invalid_options` where it cannot */
export function checkRestColumn(
  sink: string,
  key: string,
  columns: Record<string, PgColumn>,
  isNamed: boolean,
): void {
  const column = Object.hasOwn(columns, key) ? columns[key] : undefined;
  if (column === undefined)
    throw wrongDefinition(
      sink,
      `rest is 'ignore', 'refuse' or the key of a column, and the table has no column ${JSON.stringify(key)}, only ${Object.keys(columns).join(', ')}`,
    );
  if (isNamed)
    throw wrongDefinition(sink, `the column ${key} is in columns and in rest: leave it out of one`);
  checkWritable(sink, key, column);
  if (!/^(jsonb?|text)$/.test(column.getSQLType()))
    throw wrongDefinition(
      sink,
      `the column ${key} is ${column.getSQLType()}, and rest needs one of type jsonb, json or text`,
    );
}
