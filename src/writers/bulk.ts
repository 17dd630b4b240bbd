import { MAX_STATEMENT_PARAMETERS } from '../core/limits.ts';
import { quoteName } from '../core/sql-text.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { SinkColumn, TableSink } from '../sinks/sink.ts';
import { knownStatement } from './known-statement.ts';
import { readByTable, type TableTypes, TableTypesReader } from './table-types.ts';
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
    const reader = new TableTypesReader(sink);
    const maxRows = Math.floor(MAX_STATEMENT_PARAMETERS / sink.columns.length);
    const insertText = insertTexts(sink);
    return function prepareValues(batch) {
      const statements: { rows: number; parameters: (string | null)[] }[] = [];
      for (let from = batch.from; from < batch.to; from += maxRows) {
        const to = Math.min(batch.to, from + maxRows);
        statements.push({ rows: to - from, parameters: parametersOf(sink.columns, batch, from, to) });
      }
      return function insertValues(connection, transaction = 'own') {
        // A batch that needs several statements is one transaction all the same: it is in, or it is not.
        return reader.run(connection, transaction, statements.length === 1, async (types, db) => {
          for (const { rows, parameters } of statements) {
            await db.execute(knownStatement(insertText(rows, framesOf(sink, types, parameters)), parameters));
          }
        });
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

/** What stands before and after a parameter, for each column; undefined where nothing does. */
type Frames = readonly (readonly [string, string])[] | undefined;

function framesOf({ columns }: TableSink, types: TableTypes, parameters: readonly (string | null)[]): Frames {
  let isFramed = false;
  const frames = columns.map((column, index): readonly [string, string] => {
    const reads = types.columns[index]?.isReadByModifier;
    if (reads === undefined) return ['', ''];
    for (let place = index; place < parameters.length; place += columns.length) {
      if (!reads(parameters[place] as string | null)) continue;
      isFramed = true;
      return readByTable(types, column);
    }
    return ['', ''];
  });
  return isFramed ? frames : undefined;
}

/**
 * The statement for a number of rows. It is not taken from Drizzle, which names the columns in the table's order and
 * adds those that have a default in the client. Remembers the last one: under load all batches are full, so one is enough.
 */
function insertTexts({ quotedTable, columns }: TableSink): (rows: number, frames?: Frames) => string {
  const head = `insert into ${quotedTable} (${columns.map(({ name }) => quoteName(name)).join(', ')}) values `;
  let lastRows = 0;
  let lastText = '';
  return function insertText(rows, frames) {
    const rowText = (row: number): string =>
      `(${columns
        .map((_, index) => {
          const parameter = `$${row * columns.length + index + 1}`;
          return frames?.[index]?.join(parameter) ?? parameter;
        })
        .join(', ')})`;
    const textOf = (): string => head + Array.from({ length: rows }, (_, row) => rowText(row)).join(', ');
    if (frames !== undefined) return textOf();
    if (rows !== lastRows) {
      lastText = textOf();
      lastRows = rows;
    }
    return lastText;
  };
}
