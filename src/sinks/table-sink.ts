/** Sinks of tables: which column gets what. */

import { getTableColumns, getTableName } from 'drizzle-orm';
import { getTableConfig, type PgColumn, type PgTable } from 'drizzle-orm/pg-core';
import { SluiceError } from '../core/errors.ts';
import { quoteName } from '../core/sql-text.ts';
import { checkpoints } from '../schema/checkpoints.ts';
import { memberSources } from './member-sources.ts';
import type { ColumnSource, SinkColumn, TableSink } from './sink.ts';
import { resolveSinkOptions, type SinkOptions } from './sink-options.ts';

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
  options?: Partial<SinkOptions>;
  /** The table that counts its batches, in the form of `checkpoints`. Default: `sluice_checkpoints`. */
  checkpointTable?: string;
}

/**
 * Makes a sink of a table.
 *
 * @param name part of addresses, of errors, and of the checkpoint
 * @throws SluiceError `invalid_options` for wrong options, an unknown column, or a table none of whose columns is written
 */
export function defineSink<Table extends PgTable>(
  name: string,
  definition: TableSinkDefinition<Table>,
): TableSink {
  const { table } = definition;
  const tableColumns = getTableColumns(table) as Record<string, PgColumn>;
  const named = new Map(
    Object.entries((definition.columns ?? {}) as Record<string, ColumnSource | 'default' | undefined>),
  );
  for (const [key, source] of named) {
    if (source === undefined) named.delete(key);
    if (Object.hasOwn(tableColumns, key)) continue;
    throw new SluiceError(
      'invalid_options',
      `Sink ${name}: the table has no column ${JSON.stringify(key)}, only ${Object.keys(tableColumns).join(', ')}`,
    );
  }
  const sources = [...named].filter((entry): entry is [string, ColumnSource] => entry[1] !== 'default');
  const byMember = memberSources(tableColumns, {
    isNamed: (key) => named.has(key),
    // With other sources, such as the payload, there may be messages without members.
    refusal:
      sources.length === 0
        ? `The message is not a JSON object: the sink ${name} takes the members of one`
        : undefined,
  });
  const columns: SinkColumn[] = [...sources, ...byMember].map(([key, source]) => {
    const column = tableColumns[key] as PgColumn;
    return { ...source, key, name: column.name, sqlType: castableType(column.getSQLType()) };
  });
  if (columns.length === 0)
    throw new SluiceError('invalid_options', `Sink ${name}: name at least one column to write`);
  const { schema, name: tableName } = getTableConfig(table);
  return {
    kind: 'table',
    name,
    table,
    quotedTable: schema === undefined ? quoteName(tableName) : `${quoteName(schema)}.${quoteName(tableName)}`,
    columns,
    options: resolveSinkOptions(definition.options ?? {}, name),
    checkpointTable: definition.checkpointTable ?? getTableName(checkpoints),
  };
}

// `serial` is a notation of CREATE TABLE and no type that a text can be cast to.
function castableType(sqlType: string): string {
  return { serial: 'integer', bigserial: 'bigint', smallserial: 'smallint' }[sqlType] ?? sqlType;
}
