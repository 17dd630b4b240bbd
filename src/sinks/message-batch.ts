/**
 * Messages in columns. A shard holds hundreds of thousands of them; a few flat arrays cost a fraction of as many
 * objects, in memory and in garbage collection, and they are what the array writers send anyway.
 */

import { parseExact } from '../core/exact-json.ts';

/**
 * What a message counts for beyond its own text: six array slots, its share of the strings' headers and of the
 * arrays' growth. 74 bytes of heap were measured for a message of 11 characters (V8 of Node 24), so this leaves room
 * for texts of two bytes a character. Without it, tiny messages would fill the memory long before the limit.
 */
export const MESSAGE_OVERHEAD_BYTES = 112;

/** Columns of equal length: entry `i` of each belongs to message `i`. */
export interface MessageColumns {
  readonly producers: string[];
  /** Orders the messages of a producer. Below 2^53, so a number holds it. */
  readonly sequences: number[];
  /** The producer's epochs, each of which begins its sequences again. Below 2^53; 0 for raw sockets. */
  readonly epochs: number[];
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
  /**
   * Position of the first message in its lane. A lane numbers its messages 0, 1, 2, ... in the order in which they are
   * written; the checkpoint says up to which position all is settled (src/writers/write-once.ts).
   */
  readonly position: bigint;
  /** What the run counts for in the buffer's limit. */
  readonly bytes: number;
}

export function emptyColumns(): MessageColumns {
  return { producers: [], sequences: [], epochs: [], payloads: [], plain: [], receivedAtMs: [] };
}

/** How many messages a batch holds. */
export function rowsOf(batch: MessageBatch): number {
  return batch.to - batch.from;
}

/** One message of a batch, as an object: for row-by-row writers and for computed columns, not for the bulk path. */
export interface Message {
  producer: string;
  sequence: number;
  epoch: number;
  /** The message's own text. */
  payload: string;
  receivedAtMs: number;
}

/** A message as a sink's functions get it. */
export interface ReadMessage extends Message {
  /**
   * The message's value, parsed when it is first asked for. Numbers are exact: one that a double cannot hold is a `bigint`, or
   * its own text where it has a fraction or an exponent. Anybody may send any JSON, so nothing is promised about its type.
   */
  // biome-ignore lint/suspicious/noExplicitAny: as JSON.parse has it.
  readonly json: any;
}

export function messageAt(columns: MessageColumns, row: number): Message {
  return {
    producer: columns.producers[row] as string,
    sequence: columns.sequences[row] as number,
    epoch: columns.epochs[row] as number,
    payload: columns.payloads[row] as string,
    receivedAtMs: columns.receivedAtMs[row] as number,
  };
}

/** The same for a sink's functions. */
export function readMessageAt(columns: MessageColumns, row: number): ReadMessage {
  return new LazyMessage(messageAt(columns, row));
}

class LazyMessage implements ReadMessage {
  readonly producer: string;
  readonly sequence: number;
  readonly epoch: number;
  readonly payload: string;
  readonly receivedAtMs: number;
  #json: { value: unknown } | undefined;

  constructor({ producer, sequence, epoch, payload, receivedAtMs }: Message) {
    this.producer = producer;
    this.sequence = sequence;
    this.epoch = epoch;
    this.payload = payload;
    this.receivedAtMs = receivedAtMs;
  }

  // biome-ignore lint/suspicious/noExplicitAny: see ReadMessage.
  get json(): any {
    this.#json ??= { value: parseExact(this.payload) };
    return this.#json.value;
  }
}

/** Rows `from` to before `to` of a batch's columns, as a new batch. */
export function sliceBatch(batch: MessageBatch, from: number, to: number): MessageBatch {
  let bytes = 0;
  for (let row = from; row < to; row += 1) {
    bytes += (batch.columns.payloads[row] as string).length + MESSAGE_OVERHEAD_BYTES;
  }
  return { columns: batch.columns, from, to, position: batch.position + BigInt(from - batch.from), bytes };
}

/** The rows of a batch without some, in columns of their own. Its position is that of the batch, of whose rows some are missing. */
export function withoutRows(batch: MessageBatch, left: ReadonlySet<number>): MessageBatch {
  const columns = emptyColumns();
  for (let row = batch.from; row < batch.to; row += 1) {
    if (!left.has(row)) addRow(columns, messageAt(batch.columns, row), batch.columns.plain[row] as boolean);
  }
  return { columns, from: 0, to: columns.payloads.length, position: batch.position, bytes: batch.bytes };
}

/** A message as a batch that has no position in any lane: to be tried, and not to be settled. */
export function batchOfOne(message: Message, isPlain = false): MessageBatch {
  const columns = emptyColumns();
  addRow(columns, message, isPlain);
  return { columns, from: 0, to: 1, position: 0n, bytes: 0 };
}

function addRow(columns: MessageColumns, message: Message, isPlain: boolean): void {
  columns.producers.push(message.producer);
  columns.sequences.push(message.sequence);
  columns.epochs.push(message.epoch);
  columns.payloads.push(message.payload);
  columns.plain.push(isPlain);
  columns.receivedAtMs.push(message.receivedAtMs);
}
