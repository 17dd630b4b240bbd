/**
 * Messages in columns. A shard holds hundreds of thousands of them; four flat arrays cost a fraction of as many
 * objects, in memory and in garbage collection, and they are what the array writers send anyway.
 */

/** Columns of equal length: entry `i` of each belongs to message `i`. */
export interface MessageColumns {
  readonly producers: string[];
  /** Orders the messages of a producer. Below 2^53, so a number holds it. */
  readonly sequences: number[];
  /** The message's own text: JSON that Postgres takes (checkJson). */
  readonly payloads: string[];
  /** True where the payload has no backslash and no control character. */
  readonly plain: boolean[];
  /** When the shard received the message, in ms since 1970. */
  readonly receivedAtMs: number[];
}

/** A run of messages, from row `from` to before row `to` of some columns. Batches share columns and never copy them. */
export interface MessageBatch {
  readonly columns: MessageColumns;
  readonly from: number;
  readonly to: number;
  /** What the run counts for in the buffer's limit. */
  readonly bytes: number;
}

export function emptyColumns(): MessageColumns {
  return { producers: [], sequences: [], payloads: [], plain: [], receivedAtMs: [] };
}

/** How many messages a batch holds. */
export function rowsOf(batch: MessageBatch): number {
  return batch.to - batch.from;
}

/** One message of a batch, as an object: for row-by-row writers and for computed columns, not for the bulk path. */
export interface Message {
  producer: string;
  sequence: number;
  payload: string;
  receivedAtMs: number;
}

export function messageAt(columns: MessageColumns, row: number): Message {
  return {
    producer: columns.producers[row] as string,
    sequence: columns.sequences[row] as number,
    payload: columns.payloads[row] as string,
    receivedAtMs: columns.receivedAtMs[row] as number,
  };
}
