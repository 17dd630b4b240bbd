/** One row by one INSERT, as people write it with Drizzle: what `naive` and `buffered` share. */

import { getTableColumns, type SQL, sql } from 'drizzle-orm';
import type { TableSink } from '../sinks/sink.ts';
import { insertFollowing } from './conflict-insert.ts';
import type { PrepareWrite } from './writer.ts';

/** Inserts the messages of a batch one after another; the plan of both writers makes that one message. */
export function insertRows(sink: TableSink): PrepareWrite {
  const { table, columns } = sink;
  const insert = insertFollowing(sink);
  // Drizzle would fill in its own defaults for columns left out; here, as with all writers, they are Postgres's.
  const defaults: Record<string, SQL> = {};
  for (const [key, { defaultFn, onUpdateFn }] of Object.entries(getTableColumns(table))) {
    if (defaultFn !== undefined || onUpdateFn !== undefined) defaults[key] = sql`default`;
  }
  return (batch) => {
    // Read before anything is sent: what a mapping throws is about a message and not about the database.
    const rows: Record<string, SQL>[] = [];
    for (let row = batch.from; row < batch.to; row += 1) {
      const values: Record<string, SQL> = { ...defaults };
      // A parameter without Drizzle's encoder: the text goes as it is, so JSON is not encoded a second time.
      for (const column of columns) values[column.key] = sql`${column.text(batch.columns, row)}`;
      rows.push(values);
    }
    return async function insertEachRow({ db }) {
      for (const values of rows) await insert(db.insert(table).values(values), db);
    };
  };
}
