import type { MessageBatch } from '../ingest/message-batch.ts';
import { quoteName, type Sink, type SinkColumn } from '../sink.ts';
import { batchPlan, type Writer } from './writer.ts';

/** COPY FROM STDIN in the text format: the fastest way into Postgres, one statement and so all or nothing. */
export const copy: Writer = {
  mode: 'copy',
  description: 'COPY FROM STDIN',
  plan: batchPlan,
  create(sink) {
    const statement = `copy ${sink.quotedTable} (${sink.columns.map(({ name }) => quoteName(name)).join(', ')}) from stdin`;
    return function copyRows(connection, batch) {
      return connection.copyIn(statement, encodeCopyText(sink, batch));
    };
  },
};

// Rows per chunk. Strings of this length are joined and encoded within the processor's cache.
const CHUNK_ROWS = 512;

const encoder = new TextEncoder();

/** A batch in COPY's text format (PostgreSQL documentation, "COPY", "Text Format"), in chunks that end with a row. */
export function encodeCopyText({ columns: sinkColumns }: Pick<Sink, 'columns'>, { columns, from, to }: MessageBatch): Uint8Array[] {
  const chunks: Uint8Array[] = [];
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
    chunks.push(encoder.encode(text));
  }
  return chunks;
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
