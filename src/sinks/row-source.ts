/** Columns whose values are read together, once for each message. */

import type { MessageColumns } from './message-batch.ts';
import type { ColumnSource } from './sink.ts';

/** The texts of some columns for one message, in the order of the columns; null for NULL. */
export type RowValues = readonly (string | null)[];

/** Reads a message's values. @throws SluiceError `invalid_message` where the message has a value that does not fit */
export type ReadRow = (columns: MessageColumns, row: number) => RowValues;

/** A source for each of `count` columns. Writers ask row by row, so what was read last is what is asked for next. */
export function sourcesOf(read: ReadRow, count: number): ColumnSource[] {
  const last = new LastRow(read);
  return Array.from({ length: count }, (_, index) => ({
    shape: 'any',
    text: (columns, row) => last.of(columns, row)[index] as string | null,
  }));
}

class LastRow {
  readonly #read: ReadRow;
  #columns: MessageColumns | undefined;
  #payload: string | undefined;
  #row = -1;
  #values: RowValues = [];

  constructor(read: ReadRow) {
    this.#read = read;
  }

  of(columns: MessageColumns, row: number): RowValues {
    // A place may have been given to another message since.
    if (this.#row === row && this.#columns === columns && this.#payload === columns.payloads[row])
      return this.#values;
    if (this.#columns === undefined) queueMicrotask(() => this.#forget());
    this.#row = -1;
    const values = this.#read(columns, row);
    this.#columns = columns;
    this.#payload = columns.payloads[row];
    this.#row = row;
    this.#values = values;
    return values;
  }

  // Batches are prepared without a pause. After that nothing is kept: the columns hold many messages.
  #forget(): void {
    this.#columns = undefined;
    this.#payload = undefined;
    this.#row = -1;
    this.#values = [];
  }
}
