import { type SQL, sql } from 'drizzle-orm';
import type { Database } from '../database/connection.ts';
import type { MessageBatch } from '../ingest/message-batch.ts';
import { MAX_STATEMENT_PARAMETERS } from '../limits.ts';
import type { Sink } from '../sink.ts';
import { batchPlan, type Writer } from './writer.ts';

/**
 * Multi-row VALUES. Drizzle builds an object for each cell of `values(rows)`, which takes it below 40,000 rows/s; so
 * the statement is built once per number of rows, with placeholders, and only the values are filled in.
 */
export const bulk: Writer = {
  mode: 'bulk',
  description: 'multi-row VALUES',
  plan: batchPlan,
  create(sink) {
    const maxRows = Math.floor(MAX_STATEMENT_PARAMETERS / sink.columns.length);
    const statements = new StatementCache(sink);
    return async function insertValues({ db }, batch) {
      if (batch.to - batch.from <= maxRows) {
        await statements.execute(db, batch.from, batch.to, batch);
        return;
      }
      // A batch that needs several statements is one transaction all the same: it is in, or it is not.
      await db.transaction(async (transaction) => {
        for (let from = batch.from; from < batch.to; from += maxRows) {
          await statements.execute(transaction, from, Math.min(batch.to, from + maxRows), batch);
        }
      });
    };
  },
};

/** The statement of the last number of rows. Under load all batches are full, so one is enough. */
class StatementCache {
  readonly #sink: Sink;
  #rows = 0;
  #db: Database | undefined;
  #statement: ReturnType<typeof buildInsert> | undefined;
  #names: string[] = [];

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  async execute(db: Database, from: number, to: number, { columns }: MessageBatch): Promise<void> {
    const rows = to - from;
    if (this.#statement === undefined || this.#rows !== rows || this.#db !== db) {
      this.#names = placeholderNames(rows * this.#sink.columns.length);
      this.#statement = buildInsert(db, this.#sink, rows, this.#names);
      this.#rows = rows;
      this.#db = db;
    }
    const values: Record<string, string | null> = {};
    let next = 0;
    for (let row = from; row < to; row += 1) {
      for (const column of this.#sink.columns) values[this.#names[next++] as string] = column.text(columns, row);
    }
    await this.#statement.execute(values);
  }
}

function placeholderNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `p${index}`);
}

function buildInsert(db: Database, { table, columns }: Sink, rows: number, names: readonly string[]) {
  let next = 0;
  const values = Array.from({ length: rows }, () => {
    const row: Record<string, SQL> = {};
    for (const column of columns) row[column.key] = sql`${sql.placeholder(names[next++] as string)}`;
    return row;
  });
  // An empty name keeps the statement unnamed on the server: named ones are session state, which a pooler may not keep.
  return db.insert(table).values(values).prepare('');
}
