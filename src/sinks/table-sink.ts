/** Sinks of tables: which column gets what. */

import type { StandardSchemaV1 } from '@standard-schema/spec';
import { getTableName } from 'drizzle-orm';
import { getTableConfig, type PgColumn, type PgTable } from 'drizzle-orm/pg-core';
import { quoteName } from '../core/sql-text.ts';
import { checkpoints } from '../schema/checkpoints.ts';
import { isFilledByPostgres } from './column-defaults.ts';
import {
  checkRestColumn,
  checkRowSecurity,
  checkWritable,
  columnsOfTable,
  wrongDefinition,
} from './definition-checks.ts';
import { originOf } from './mapping-origin.ts';
import { memberReader, type RestRule, type ValueColumn, valueColumn } from './member-sources.ts';
import type { ReadMessage } from './message-batch.ts';
import { schemaAsker } from './message-schema.ts';
import { type OnConflict, resolveOnConflict } from './on-conflict.ts';
import { checkedSource } from './own-source.ts';
import { type RowFunction, type RowValue, rowReader } from './row-function.ts';
import { sourcesOf } from './row-source.ts';
import type { ColumnSource, SinkColumn, TableSink } from './sink.ts';
import { resolveSinkOptions, type SinkOptions } from './sink-options.ts';

/** The keys of a table's columns in Drizzle. */
export type ColumnKey<Table extends PgTable> = keyof Table['_']['columns'] & string;

export interface TableSinkDefinition<Table extends PgTable = PgTable> {
  /** The table, as Drizzle describes it. It has to exist in the database. */
  table: Table;
  /**
   * Sources of single columns, by their keys in the Drizzle table. Every other column gets the message's member of the same
   * name: that of the key, or that of the column in Postgres. A column that Postgres fills by itself (identity, serial,
   * generated, or with a default in SQL other than `now()`) is left to it unless it is named here; `'default'` leaves any
   * other to it.
   */
  columns?: { [Key in keyof Table['_']['columns']]?: ColumnSource | 'default' };
  /**
   * What becomes of members that no column takes. `'ignore'` (default): they are left out. `'refuse'`: the message is refused.
   * The key of a column of type jsonb, json or text: they are kept in it, as a JSON object.
   */
  rest?: 'ignore' | 'refuse' | ColumnKey<Table>;
  /**
   * Makes the values of all columns that are not in `columns`, in place of the members of the message. It runs once for each
   * message. Values become texts of their columns' types; a column that is missing gets its default.
   */
  row?: (message: ReadMessage) => { [Key in keyof Table['_']['columns']]?: RowValue };
  /**
   * What becomes of a message whose row meets another one under a unique key: `'error'` (default), `'ignore'`, or
   * `{ action: 'update', columns: ['device', 'at'] }`.
   */
  onConflict?: OnConflict<ColumnKey<Table>>;
  /**
   * Asked of each message before it is stored: a Standard Schema (zod, valibot and others), which must be synchronous. What it
   * refuses, the client is told at once (`invalid_message`). What it makes of the message is stored and mapped. It gets numbers
   * that a double cannot hold as `bigint`, or as text where they have a fraction.
   */
  schema?: StandardSchemaV1;
  options?: Partial<SinkOptions>;
  /** The table that counts its batches, in the form of `checkpoints`. Default: `sluice_checkpoints`. */
  checkpointTable?: string;
}

/**
 * Makes a sink of a table.
 *
 * @param name part of addresses, of errors, and of the checkpoint
 * @throws SluiceError `invalid_options` for what cannot work: wrong options, an unknown column, one that Postgres lets nobody
 *   write, a view, a table with row security and no writer named, an asynchronous schema, a table none of whose columns is
 *   written, or an `onConflict` that names the wrong columns
 */
export function defineSink<Table extends PgTable>(
  name: string,
  definition: TableSinkDefinition<Table>,
): TableSink {
  const { table, options: given = {} } = definition;
  const tableColumns = columnsOfTable(name, table);
  const columns = mappedColumns(name, tableColumns, definition as unknown as TableSinkDefinition);
  if (columns.length === 0) throw wrongDefinition(name, 'name at least one column to write');
  const options = resolveSinkOptions(given, name);
  const onConflict = resolveOnConflict(name, table, columns, definition.onConflict);
  // With a rule, COPY goes to a temporary table.
  if (onConflict === undefined) checkRowSecurity(name, table, given.writer);
  const { schema, name: tableName } = getTableConfig(table);
  return {
    kind: 'table',
    name,
    table,
    quotedTable: schema === undefined ? quoteName(tableName) : `${quoteName(schema)}.${quoteName(tableName)}`,
    columns,
    mapping: Object.fromEntries(
      columns.map(({ name: column, sqlType, origin = 'a source' }) => [column, `${sqlType} from ${origin}`]),
    ),
    onConflict,
    askSchema: definition.schema === undefined ? undefined : schemaAsker(name, definition.schema),
    options,
    checkpointTable: definition.checkpointTable ?? getTableName(checkpoints),
  };
}

function mappedColumns(
  sink: string,
  tableColumns: Record<string, PgColumn>,
  definition: TableSinkDefinition,
): SinkColumn[] {
  const named = namedColumns(sink, tableColumns, definition.columns ?? {});
  const sources = [...named].flatMap(([key, source]): [string, ColumnSource][] => {
    if (source === 'default') return [];
    checkWritable(sink, key, tableColumns[key] as PgColumn);
    return [[key, checkedSource(sink, key, source)]];
  });
  const read = new Map(
    Object.entries(tableColumns)
      .filter(([key, column]) => !named.has(key) && key !== definition.rest && !isFilledByPostgres(column))
      .map(([key, column]) => [key, valueColumn(key, column, castableType(column.getSQLType()))]),
  );
  const byMessage =
    definition.row === undefined
      ? memberColumns(sink, tableColumns, definition, named, [...read.values()])
      : rowColumns(sink, definition.row as RowFunction, definition.rest, [...read.values()]);
  return [...sources, ...byMessage].map(([key, source]) => {
    const column = tableColumns[key] as PgColumn;
    return { ...source, key, name: column.name, sqlType: castableType(column.getSQLType()) };
  });
}

function namedColumns(
  sink: string,
  tableColumns: Record<string, PgColumn>,
  given: Readonly<Record<string, ColumnSource | 'default' | undefined>>,
): Map<string, ColumnSource | 'default'> {
  const named = new Map<string, ColumnSource | 'default'>();
  for (const [key, source] of Object.entries(given)) {
    if (!Object.hasOwn(tableColumns, key))
      throw wrongDefinition(
        sink,
        `the table has no column ${JSON.stringify(key)}, only ${Object.keys(tableColumns).join(', ')}`,
      );
    if (source !== undefined) named.set(key, source);
  }
  return named;
}

/** Columns that take the members of a message, and the one that keeps the rest. */
function memberColumns(
  sink: string,
  tableColumns: Record<string, PgColumn>,
  { rest = 'ignore' }: TableSinkDefinition,
  named: ReadonlyMap<string, ColumnSource | 'default'>,
  columns: readonly ValueColumn[],
): [string, ColumnSource][] {
  const rule: RestRule = rest === 'ignore' || rest === 'refuse' ? rest : 'keep';
  if (rule === 'keep') checkRestColumn(sink, rest, tableColumns, named.has(rest));
  const sources = [...named].filter((entry): entry is [string, ColumnSource] => entry[1] !== 'default');
  const readElsewhere = sources
    .filter(([, { origin }]) => origin === undefined || origin.startsWith('function'))
    .flatMap(([key]) => [key, (tableColumns[key] as PgColumn).name]);
  const read = memberReader({
    columns,
    tableKeys: new Set(Object.keys(tableColumns)),
    rest: rule,
    readElsewhere: new Set(readElsewhere),
    // With other sources, such as the payload, there may be messages without members.
    refusal:
      sources.length === 0 || rule !== 'ignore'
        ? `The message is not a JSON object: the sink ${sink} takes the members of one`
        : undefined,
  });
  const keys = columns.map(({ key }) => key);
  if (rule === 'keep') keys.push(rest);
  return sourcesOf(read, keys.length).map((source, index) => [
    keys[index] as string,
    { ...source, origin: index < columns.length ? 'the member' : 'the rest' },
  ]);
}

/** Columns that the sink's function makes. */
function rowColumns(
  sink: string,
  row: RowFunction,
  rest: string | undefined,
  columns: readonly ValueColumn[],
): [string, ColumnSource][] {
  if (rest !== undefined)
    throw wrongDefinition(sink, 'row makes the values, so that no members are left: leave rest out');
  const origin = originOf(row);
  return sourcesOf(rowReader(sink, columns, row), columns.length).map((source, index) => [
    (columns[index] as ValueColumn).key,
    { ...source, origin: `row, ${origin}` },
  ]);
}

// `serial` is a notation of CREATE TABLE and no type that a text can be cast to.
function castableType(sqlType: string): string {
  return { serial: 'integer', bigserial: 'bigint', smallserial: 'smallint' }[sqlType] ?? sqlType;
}
