/** One row by one INSERT, as people write it with Drizzle: what `naive` and `buffered` share. */

import { type SQL, sql } from 'drizzle-orm';
import type { Connection } from '../database/connection.ts';
import type { MessageBatch } from '../ingest/message-batch.ts';
import type { Sink } from '../sink.ts';

/** Inserts the messages of a batch one after another; the plan of both writers makes that one message. */
export function insertRows({ table, columns }: Sink): (connection: Connection, batch: MessageBatch) => Promise<void> {
  return async function insertEachRow({ db }, batch) {
    for (let row = batch.from; row < batch.to; row += 1) {
      const values: Record<string, SQL> = {};
      // A parameter without Drizzle's encoder: the text goes as it is, so JSON is not encoded a second time.
      for (const column of columns) values[column.key] = sql`${column.text(batch.columns, row)}`;
      await db.insert(table).values(values);
    }
  };
}
