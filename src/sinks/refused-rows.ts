/**
 * The messages of a batch that the sink's mapping refuses: all of them at once, so that nobody has to ask Postgres which they
 * are.
 */

import { errorText, isSluiceError, SluiceError } from '../core/errors.ts';
import type { MessageBatch } from './message-batch.ts';
import type { TableSink } from './sink.ts';

/** The error for a batch of which the mapping refuses some messages. Nothing of it was sent. */
export class RefusedRows extends SluiceError {
  /** Why each of them is refused, by its row in the batch's columns, in their order. */
  readonly rows: ReadonlyMap<number, SluiceError>;

  constructor(rows: ReadonlyMap<number, SluiceError>, batch: MessageBatch) {
    const [first] = rows.values();
    super(
      (first as SluiceError).code,
      `${rows.size} of ${batch.to - batch.from} messages are refused. The first: ${(first as SluiceError).message}`,
    );
    this.rows = rows;
  }
}

/**
 * What to throw for a batch that could not be prepared: of a single message its own fault, of several a `RefusedRows`.
 *
 * @param error what failed first
 */
export function faultOfBatch(sink: TableSink, batch: MessageBatch, error: unknown): unknown {
  if (batch.to - batch.from === 1) return rowFault(error);
  const rows = new Map<number, SluiceError>();
  for (let row = batch.from; row < batch.to; row += 1) {
    try {
      for (const column of sink.columns) column.text(batch.columns, row);
    } catch (thrown) {
      const fault = rowFault(thrown);
      // Not about this message, as a default that cannot be worked out: all have to wait.
      if (fault.code !== 'invalid_message' && fault.code !== 'sink_failed') return fault;
      rows.set(row, fault);
    }
  }
  // Every message can be read by itself, so it is none of them.
  return rows.size === 0 ? error : new RefusedRows(rows, batch);
}

/** The fault of one message: what the mapping says itself of it has a code, anything else is what the sink's own code throws. */
export function rowFault(error: unknown): SluiceError {
  if (isSluiceError(error)) return error;
  return new SluiceError('sink_failed', `The sink's own code failed: ${errorText(error)}`, { cause: error });
}
