/** One row by one INSERT, as people write it with Drizzle: what `naive` and `buffered` share. */

import { getTableColumns, type SQL, sql } from 'drizzle-orm';
import { rowsOf } from '../sinks/message-batch.ts';
import type { SinkColumn, TableSink } from '../sinks/sink.ts';
import { insertFollowing } from './conflict-insert.ts';
import { readByTable, type TableTypes, TableTypesReader } from './table-types.ts';
import type { PrepareWrite } from './writer.ts';

/** Inserts the messages of a batch one after another; the plan of both writers makes that one message. */
export function insertRows(sink: TableSink): PrepareWrite {
  const { table, columns } = sink;
  const insert = insertFollowing(sink);
  const reader = new TableTypesReader(sink);
  // Drizzle would fill in its own defaults for columns left out; here, as with all writers, they are Postgres's.
  const defaults: Record<string, SQL> = {};
  for (const [key, { defaultFn, onUpdateFn }] of Object.entries(getTableColumns(table))) {
    if (defaultFn !== undefined || onUpdateFn !== undefined) defaults[key] = sql`default`;
  }
  return function prepareRows(batch) {
    // Read before anything is sent: what a mapping throws is about a message and not about the database.
    const rows = Array.from({ length: rowsOf(batch) }, (_, row) =>
      columns.map((column) => column.text(batch.columns, batch.from + row)),
    );
    return function insertEachRow(connection, transaction = 'own') {
      return reader.run(connection, transaction, true, async (types, db) => {
        for (const texts of rows) {
          const values: Record<string, SQL> = { ...defaults };
          columns.forEach((column, index) => {
            values[column.key] = valueSql(column, index, types, texts[index] as string | null);
          });
          await insert(db.insert(table).values(values), db);
        }
      });
    };
  };
}

// A parameter without Drizzle's encoder: the text goes as it is, so JSON is not encoded a second time.
function valueSql(column: SinkColumn, index: number, types: TableTypes, text: string | null): SQL {
  if (types.columns[index]?.isReadByModifier?.(text) !== true) return sql`${text}`;
  const [before, after] = readByTable(types, column);
  return sql`${sql.raw(before)}${text}${sql.raw(after)}`;
}
