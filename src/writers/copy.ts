import { SluiceError } from '../core/errors.ts';
import { quoteName } from '../core/sql-text.ts';
import { serverErrorOf } from '../database/server-error.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { SinkColumn, TableSink } from '../sinks/sink.ts';
import { TableTypesReader } from './table-types.ts';
import { batchPlan, type Writer } from './writer.ts';

/** COPY FROM STDIN in the text format: the fastest way into Postgres, one statement and so all or nothing. */
export const copy: Writer = {
  mode: 'copy',
  description: 'COPY FROM STDIN',
  isExactlyOnce: true,
  // A COPY has no size: it takes all that is waiting, up to `batchBytes`, and so catches up with a backlog.
  plan: (options) => ({ ...batchPlan(options), maxRows: MAX_COPY_ROWS }),
  create(sink) {
    const statement = copyStatement(sink);
    const reader = new TableTypesReader(sink);
    return function prepareCopy(batch) {
      const data = [...encodeCopyText(sink, batch)];
      return async function copyRows(connection, transaction = 'own') {
        const send = () =>
          connection.copy(statement, data).catch((error: unknown) => {
            throw copyError(error, sink);
          });
        // COPY reads each text by the column's own type, whatever that is: there is nothing to ask for.
        if (transaction === 'callers') await send();
        else await reader.run(connection, transaction, true, send);
      };
    };
  },
};

/** What failed about a COPY; where Postgres has no COPY into such a table, an error that names the writer that works. */
function copyError(error: unknown, { name, quotedTable }: TableSink): unknown {
  const { sqlState, routine } = serverErrorOf(error) ?? {};
  const reason = NOT_COPYABLE[`${sqlState}:${routine}`];
  if (reason === undefined) return error;
  return new SluiceError(
    'database_refused',
    `COPY does not write to ${quotedTable}, ${reason}: set options: { writer: 'unnest' } of the sink ${name}`,
    { cause: error },
  );
}

/** By SQLSTATE and routine of the refusal (PostgreSQL source, copy.c and copyfrom.c). */
const NOT_COPYABLE: Readonly<Record<string, string>> = {
  '0A000:DoCopy': 'which has row security that its role does not bypass',
  '42809:CopyFrom': 'which is not a table',
};

/** The statement that takes what `encodeCopyText` makes. */
export function copyStatement({ quotedTable, columns }: TableSink): string {
  return `copy ${quotedTable} (${columns.map(({ name }) => quoteName(name)).join(', ')}) from stdin`;
}

// `batchBytes` ends a batch long before: every message counts for more than a hundred bytes.
const MAX_COPY_ROWS = 1_000_000;

// Rows per chunk. Strings of this length are joined and encoded within the processor's cache.
const CHUNK_ROWS = 512;

const encoder = new TextEncoder();

/** A batch in COPY's text format (PostgreSQL documentation, "COPY", "Text Format"), in chunks that end with a row. */
export function* encodeCopyText(
  { columns: sinkColumns }: Pick<TableSink, 'columns'>,
  { columns, from, to }: MessageBatch,
): Generator<Uint8Array> {
  const last = sinkColumns.length - 1;
  for (let chunkFrom = from; chunkFrom < to; chunkFrom += CHUNK_ROWS) {
    const chunkTo = Math.min(to, chunkFrom + CHUNK_ROWS);
    let text = '';
    for (let row = chunkFrom; row < chunkTo; row += 1) {
      for (let index = 0; index < last; index += 1) {
        text += `${fieldText(sinkColumns[index] as SinkColumn, columns, row)}\t`;
      }
      text += `${fieldText(sinkColumns[last] as SinkColumn, columns, row)}\n`;
    }
    yield encoder.encode(text);
  }
}

function fieldText(column: SinkColumn, columns: MessageBatch['columns'], row: number): string {
  const text = column.text(columns, row);
  if (text === null) return '\\N';
  if (column.shape === 'digits' || column.isPlain?.(columns, row) === true) return text;
  return escapeField(text);
}

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

// A backslash would begin an escape, a tab end the field, a line break end the row. Nothing else is special to COPY.
function escapeField(text: string): string {
  return text.replaceAll(/[\\\t\n\r]/g, (character) => ESCAPES[character] as string);
}
