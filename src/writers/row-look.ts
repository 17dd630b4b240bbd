/**
 * Finds the rows of a batch that Postgres refuses, with one statement for many rows: a block of PL/pgSQL writes them row by row,
 * each in a part of the transaction that is taken back alone where it fails, and says what was refused. Then all of it is taken
 * back. To find bad rows by halving takes a few round trips for each of them.
 *
 * It needs no session, no table and no right to create anything: rows go in and refusals come out as settings of the one
 * transaction. Through a transaction pooler too, since all of it is one message of the simple protocol.
 */

import { quoteName } from '../core/sql-text.ts';
import type { Connection } from '../database/connection.ts';
import { rollback, runScript } from '../database/script.ts';
import { asServerError, type ServerError } from '../database/server-error.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { TableSink } from '../sinks/sink.ts';
import { conflictClause } from './conflict-sql.ts';
import { sinkFailure } from './sink-failure.ts';
import { BEGIN, quoteText } from './write-once.ts';

/** Rows that one look takes, and characters of their values: a second of the server's time at the most, and a few megabytes. */
export const LOOK_ROWS = 1_000;
export const LOOK_CHARACTERS = 1024 * 1024;

/** A row that is refused. */
export interface RefusedRow {
  /** Its place in the columns of the batch. */
  row: number;
  /** What the server said, without the routine, which is not known here; or what the sink's own code threw. */
  error: unknown;
}

/** The statement that writes one row, around its values. */
export interface RowStatement {
  head: string;
  tail: string;
}

/** The statement of a sink. */
export function rowStatement(sink: TableSink): RowStatement {
  const names = sink.columns.map(({ name }) => quoteName(name)).join(', ');
  return { head: `insert into ${sink.quotedTable} (${names}) values `, tail: conflictClause(sink) };
}

/**
 * The rows that are refused, in their order. Where rows are only refused together, as two of one key, it is the later one.
 *
 * @param batch at most `LOOK_ROWS` rows
 * @throws what the look itself failed with, as where the role may not use PL/pgSQL; nothing is known of any row then
 */
export async function findRefusedRows(
  connection: Connection,
  sink: TableSink,
  batch: MessageBatch,
): Promise<RefusedRow[]> {
  const texts: string[] = [];
  const rows: number[] = [];
  const thrown: RefusedRow[] = [];
  for (let row = batch.from; row < batch.to; row += 1) {
    try {
      texts.push(valuesText(sink, batch, row));
      rows.push(row);
    } catch (error) {
      thrown.push({ row, error: sinkFailure(error) });
    }
  }
  if (rows.length === 0) return thrown;
  const setRows = `select set_config('sluice.rows', ${quoteText(JSON.stringify(texts))}, true)`;
  const script = [
    ...BEGIN,
    setRows,
    blockOf(rowStatement(sink)),
    // Those that are checked at COMMIT: the look fails as a whole, since it cannot say whose they are.
    'set constraints all immediate',
    "select current_setting('sluice.refused') as refused",
    'rollback',
  ];
  try {
    const answers = await runScript(connection, script);
    const refused = refusedRows(`[${String(answers.at(-2)?.rows[0]?.refused)}]`, rows);
    return [...thrown, ...refused].sort((left, right) => left.row - right.row);
  } catch (error) {
    await rollback(connection, error);
    throw error;
  }
}

/** A row's values as SQL. Each is a text without a type, which Postgres reads as the column's type, as the writers' are. */
function valuesText({ columns }: TableSink, batch: MessageBatch, row: number): string {
  const values = columns.map((column) => {
    const text = column.text(batch.columns, row);
    return text === null ? 'null' : quoteText(text);
  });
  return `(${values.join(',')})`;
}

/** Rows that are written by one statement where all of them are good. Measured: most looks have few bad rows, or many. */
const PIECE_ROWS = 16;

/** What the server says of an error, in the order of `FIELDS`. */
const DIAGNOSTICS = `get stacked diagnostics
        state = returned_sqlstate, message = message_text, detail = pg_exception_detail, hint = pg_exception_hint,
        place = pg_exception_context, of_schema = schema_name, of_table = table_name, of_column = column_name,
        of_type = pg_datatype_name, of_constraint = constraint_name;
      refused := refused || json_build_array(number - 1, state, left(message, 500), left(detail, 500), left(hint, 500),
        left(place, 500), left(of_schema, 128), left(of_table, 128), left(of_column, 128), left(of_type, 128),
        left(of_constraint, 128))::text;`;

const FIELDS = [
  'sqlState',
  'message',
  'detail',
  'hint',
  'where',
  'schema',
  'table',
  'column',
  'dataType',
  'constraint',
] as const satisfies readonly (keyof ServerError)[];

// `others` leaves out a failed ASSERT, and a statement that was cancelled: that one ends the look.
function blockOf({ head, tail }: RowStatement): string {
  const body = `
declare
  given text[];
  refused text[] := '{}';
  first int := 1;
  last int;
  state text; message text; detail text; hint text; place text;
  of_schema text; of_table text; of_column text; of_type text; of_constraint text;
begin
  select array_agg(value order by ordinality) into given
    from json_array_elements_text(current_setting('sluice.rows')::json) with ordinality;
  while first <= array_length(given, 1) loop
    last := least(first + ${PIECE_ROWS - 1}, array_length(given, 1));
    begin
      execute ${quoteText(head)} || array_to_string(given[first:last], ',') || ${quoteText(tail)};
    exception when others or assert_failure then
      for number in first..last loop
        begin
          execute ${quoteText(head)} || given[number] || ${quoteText(tail)};
        exception when others or assert_failure then
      ${DIAGNOSTICS}
        end;
      end loop;
    end;
    first := last + 1;
  end loop;
  perform set_config('sluice.refused', array_to_string(refused, ','), true);
end`;
  return `do language plpgsql ${quoteText(body)}`;
}

function refusedRows(json: string, rows: readonly number[]): RefusedRow[] {
  return (JSON.parse(json) as [number, ...(string | null)[]][]).map(([place, ...texts]) => {
    const fields: Partial<Record<keyof ServerError, string>> = {};
    FIELDS.forEach((name, index) => {
      const text = texts[index];
      if (typeof text === 'string' && text !== '') fields[name] = text;
    });
    return { row: rows[place] as number, error: asServerError({ sqlState: '', message: '', ...fields }) };
  });
}
