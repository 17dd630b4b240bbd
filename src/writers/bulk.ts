import { MAX_STATEMENT_PARAMETERS } from '../core/limits.ts';
import { quoteName } from '../core/sql-text.ts';
import type { Database } from '../database/connection.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { SinkColumn, TableSink } from '../sinks/sink.ts';
import { knownStatement } from './known-statement.ts';
import { batchPlan, type Writer } from './writer.ts';

/**
 * Multi-row VALUES. Drizzle makes several objects for each cell of `values(rows)`, which takes it below 40,000 rows/s;
 * so its statement is built once per number of rows, and only the parameters change.
 */
export const bulk: Writer = {
  mode: 'bulk',
  description: 'multi-row VALUES',
  isExactlyOnce: true,
  plan: batchPlan,
  create(sink) {
    const maxRows = Math.floor(MAX_STATEMENT_PARAMETERS / sink.columns.length);
    const insertText = insertTexts(sink);
    return function prepareValues(batch) {
      const statements: { rows: number; parameters: (string | null)[] }[] = [];
      for (let from = batch.from; from < batch.to; from += maxRows) {
        const to = Math.min(batch.to, from + maxRows);
        statements.push({ rows: to - from, parameters: parametersOf(sink.columns, batch, from, to) });
      }
      return async function insertValues({ db }, transaction = 'own') {
        const insertAll = async (database: Database): Promise<void> => {
          for (const { rows, parameters } of statements) {
            await database.execute(knownStatement(insertText(rows), parameters));
          }
        };
        // A batch that needs several statements is one transaction all the same: it is in, or it is not.
        if (statements.length === 1 || transaction === 'callers') await insertAll(db);
        else await db.transaction((own) => insertAll(own as unknown as Database));
      };
    };
  },
};

function parametersOf(
  columns: readonly SinkColumn[],
  batch: MessageBatch,
  from: number,
  to: number,
): (string | null)[] {
  const parameters: (string | null)[] = [];
  for (let row = from; row < to; row += 1) {
    for (const column of columns) parameters.push(column.text(batch.columns, row));
  }
  return parameters;
}

/**
 * The statement for a number of rows. It is not taken from Drizzle, which names the columns in the table's order and
 * adds those that have a default in the client. Remembers the last one: under load all batches are full, so one is enough.
 */
function insertTexts({ quotedTable, columns }: TableSink): (rows: number) => string {
  const head = `insert into ${quotedTable} (${columns.map(({ name }) => quoteName(name)).join(', ')}) values `;
  let lastRows = 0;
  let lastText = '';
  return function insertText(rows) {
    if (rows !== lastRows) {
      const rowText = (row: number): string =>
        `(${columns.map((_, index) => `$${row * columns.length + index + 1}`).join(', ')})`;
      lastText = head + Array.from({ length: rows }, (_, row) => rowText(row)).join(', ');
      lastRows = rows;
    }
    return lastText;
  };
}
