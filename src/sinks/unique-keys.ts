/** The unique keys of a table, as far as Drizzle describes them. */

import { is } from 'drizzle-orm';
import { getTableConfig, IndexedColumn, type PgTable } from 'drizzle-orm/pg-core';

/** A key under which no two rows may be alike. */
export interface UniqueKey {
  /** The names of its columns in Postgres; undefined where it is of expressions, which only Postgres can compare. */
  columns: readonly string[] | undefined;
  /** True where two NULLs are alike too (`nulls not distinct`). */
  areNullsEqual: boolean;
  /** True where the index holds a part of the rows only (`where`). */
  isPartial: boolean;
}

/** The primary key, `unique()` and `uniqueIndex()` of a table. The database may have others. */
export function uniqueKeysOf(table: PgTable): UniqueKey[] {
  const { columns, primaryKeys, uniqueConstraints, indexes } = getTableConfig(table);
  return [
    ...columns.flatMap((column) => [
      ...(column.primary ? [plainKey([column])] : []),
      ...(column.isUnique ? [plainKey([column], column.uniqueType === 'not distinct')] : []),
    ]),
    ...primaryKeys.map((key) => plainKey(key.columns)),
    ...uniqueConstraints.map((constraint) => plainKey(constraint.columns, constraint.nullsNotDistinct)),
    ...indexes
      .filter(({ config }) => config.unique)
      .map(({ config }) => ({
        columns: namesOf(config.columns),
        areNullsEqual: false,
        isPartial: config.where !== undefined,
      })),
  ];
}

function plainKey(columns: readonly { name: string }[], areNullsEqual = false): UniqueKey {
  return { columns: columns.map(({ name }) => name), areNullsEqual, isPartial: false };
}

function namesOf(columns: readonly unknown[]): string[] | undefined {
  const names = columns.map((column) => (is(column, IndexedColumn) ? column.name : undefined));
  return names.every((name) => name !== undefined) ? names : undefined;
}

/** True where two lists name the same columns, in whatever order: to Postgres they are one key. */
export function hasColumns({ columns }: UniqueKey, names: readonly string[]): boolean {
  return columns?.length === names.length && columns.every((name) => names.includes(name));
}
