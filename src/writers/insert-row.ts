/** One row by one INSERT, as people write it with Drizzle: what `naive` and `buffered` share. */

import { type SQL, sql } from 'drizzle-orm';
import type { Sink } from '../sink.ts';
import type { PrepareWrite } from './writer.ts';

/** Inserts the messages of a batch one after another; the plan of both writers makes that one message. */
export function insertRows({ table, columns }: Sink): PrepareWrite {
  return (batch) =>
    async function insertEachRow({ db }) {
      for (let row = batch.from; row < batch.to; row += 1) {
        const values: Record<string, SQL> = {};
        // A parameter without Drizzle's encoder: the text goes as it is, so JSON is not encoded a second time.
        for (const column of columns) values[column.key] = sql`${column.text(batch.columns, row)}`;
        await db.insert(table).values(values);
      }
    };
}
