/** The table of dead letters in a shard's SQLite, and what its rows stand for. */

import type { Sqlite } from '../database/sqlite.ts';
import type { DeadLetter } from './dead-letter.ts';
import type { Refuser } from './refusal.ts';

export interface LetterRow {
  id: number;
  producer: string;
  epoch: number;
  sequence: number;
  received_at_ms: number;
  failed_at_ms: number;
  sql_state: string | null;
  reason: string;
  refused_by: Refuser | null;
  detail: string | null;
  hint: string | null;
  table_name: string | null;
  column_name: string | null;
  constraint_name: string | null;
  payload: string;
}

/** The columns that tables of versions before 0.3 lack. */
export const REFUSAL_COLUMNS = [
  'refused_by',
  'detail',
  'hint',
  'table_name',
  'column_name',
  'constraint_name',
];

export const LETTER_HEAD = `id, producer, epoch, sequence, received_at_ms, failed_at_ms, sql_state, reason, ${REFUSAL_COLUMNS.join(', ')}`;
export const LETTER_COLUMNS = `${LETTER_HEAD}, payload`;

/** Makes the table, or gives one of an older version the columns that it lacks. Safe to call again. */
export function createDeadLetterTable(sqlite: Sqlite): void {
  // The length of the payload stands before it: a row that is longer than a page is then counted by its first page.
  // With autoincrement no id comes back after its letter is gone, so that nobody drops a letter that they have not seen.
  sqlite.run(`create table if not exists dead_letters (
    id integer primary key autoincrement,
    producer text not null,
    epoch integer not null,
    sequence integer not null,
    received_at_ms integer not null,
    failed_at_ms integer not null,
    sql_state text,
    reason text not null,
    ${REFUSAL_COLUMNS.map((column) => `${column} text`).join(', ')},
    payload_bytes integer not null,
    payload text not null
  )`);
  // The table of an older version says only the SQLSTATE and the reason.
  const there = new Set(
    sqlite
      .run<{ name: string }>("select name from pragma_table_info('dead_letters')")
      .map(({ name }) => name),
  );
  for (const column of REFUSAL_COLUMNS)
    if (!there.has(column)) sqlite.run(`alter table dead_letters add column ${column} text`);
}

export function letterOf(row: LetterRow): DeadLetter {
  return {
    id: row.id,
    producer: row.producer,
    epoch: row.epoch,
    sequence: row.sequence,
    receivedAtMs: row.received_at_ms,
    failedAtMs: row.failed_at_ms,
    sqlState: row.sql_state,
    reason: row.reason,
    // Before 0.3 only the SQLSTATE said it.
    by: row.refused_by ?? (row.sql_state === null ? null : 'postgres'),
    detail: row.detail,
    hint: row.hint,
    table: row.table_name,
    column: row.column_name,
    constraint: row.constraint_name,
    payload: row.payload,
  };
}
