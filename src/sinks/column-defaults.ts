/** What a column gets that a message says nothing of. Writers name all columns in every row, so a default is worked out here. */

import { is, SQL, StringChunk } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import { SluiceError } from '../core/errors.ts';
import { fromReceivedAt } from './column-sources.ts';
import type { MessageColumns } from './message-batch.ts';

/** The text of a column that a message says nothing of; null for NULL. */
export type MakeDefault = (columns: MessageColumns, row: number) => string | null;

/** True for columns that only Postgres can fill where a message does not. */
export function isFilledByPostgres(column: PgColumn): boolean {
  if (column.generated !== undefined || column.generatedIdentity !== undefined) return true;
  if (/serial$/.test(column.getSQLType())) return true;
  return is(column.default, SQL) && !isNow(column.default);
}

/** How the default of a column is made that Postgres does not fill. */
export function defaultOf(column: PgColumn): MakeDefault {
  if (is(column.default, SQL)) return (columns, row) => fromReceivedAt.text(columns, row);
  const { default: constant, defaultFn, onUpdateFn } = column;
  if (constant !== undefined) {
    const text = defaultText(column, constant);
    return () => text;
  }
  // Drizzle takes either for a new row.
  const make = defaultFn ?? onUpdateFn;
  if (make !== undefined) return () => defaultText(column, make());
  return () => null;
}

function defaultText(column: PgColumn, value: unknown): string | null {
  if (value === null) return null;
  if (is(value, SQL))
    throw new SluiceError(
      'invalid_options',
      `The default of the column ${column.name} is made by a function as SQL, which cannot be worked out here: make it the column's own default in SQL, or leave the column out of the sink by columns: { …: 'default' }`,
    );
  const encoded: unknown = column.mapToDriverValue(value);
  if (typeof encoded === 'string') return encoded;
  if (typeof encoded === 'bigint') return String(encoded);
  return encoded instanceof Date ? encoded.toISOString() : JSON.stringify(encoded);
}

function isNow(value: SQL): boolean {
  const [chunk, ...others] = value.queryChunks;
  return others.length === 0 && is(chunk, StringChunk) && chunk.value.join('') === 'now()';
}
