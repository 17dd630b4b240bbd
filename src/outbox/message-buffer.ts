/**
 * Where accepted messages wait for the flush. Everything is synchronous: a Durable Object's handlers interleave
 * at every await, so nothing may come between a check of the buffer and the act on it.
 */

import {
  emptyColumns,
  MESSAGE_OVERHEAD_BYTES,
  type MessageBatch,
  type MessageColumns,
  rowsOf,
  sliceBatch,
} from '../sinks/message-batch.ts';

/** The messages of one frame, all of one producer and received together. */
export interface Arrival {
  producer: string;
  /** The sequence of the first payload; each further one is one higher. */
  firstSequence: number;
  /** The producer's epoch that the sequences belong to; 0 for raw sockets. */
  epoch: number;
  payloads: readonly string[];
  plain: readonly boolean[];
  receivedAtMs: number;
}

/** How much one `take` may hand out. */
export interface TakeLimits {
  maxRows: number;
  maxBytes: number;
}

export interface MessageBuffer {
  /** Messages held, in flight ones included. */
  readonly rows: number;
  /** What they count for in bytes, in flight ones included. */
  readonly bytes: number;
  /** Messages not in flight. */
  readonly waitingRows: number;
  readonly waitingBytes: number;
  /** When the oldest message not in flight was received. */
  readonly oldestWaitingAtMs: number | undefined;
  /** Takes a batch from the front; it stays counted until it is settled or put back. */
  take(limits: TakeLimits): MessageBatch | undefined;
  /**
   * The batch is committed: forget it.
   *
   * @param end where the checkpoint is. Default: at the batch's end. Further where messages after the batch are settled by the
   *   same transaction
   */
  settle(batch: MessageBatch, end?: bigint): void;
  /** The batch was not written: it goes out again before anything that waits. Of several, put back the youngest first. */
  putBack(batch: MessageBatch): void;
}

// A segment is freed as a whole once all of its batches are written; larger ones would hold on to written messages.
const SEGMENT_ROWS = 32_768;

interface Segment {
  columns: MessageColumns;
  /** First row not yet taken. */
  head: number;
}

/** A buffer in memory: a queue of column segments, and the batches that came back. */
export class MemoryBuffer implements MessageBuffer {
  readonly #segments: Segment[] = [];
  // Batches that could not be written, oldest first; they go out before anything else.
  readonly #returned: MessageBatch[] = [];
  #rows = 0;
  #bytes = 0;
  #waitingRows = 0;
  #waitingBytes = 0;
  // Of the next message that is cut off; a batch that comes back keeps its own.
  #position: bigint;

  /** @param position of the first message that will be appended */
  constructor(position = 0n) {
    this.#position = position;
  }

  get rows(): number {
    return this.#rows;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get waitingRows(): number {
    return this.#waitingRows;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get oldestWaitingAtMs(): number | undefined {
    const returned = this.#returned[0];
    if (returned !== undefined) return returned.columns.receivedAtMs[returned.from];
    const segment = this.#segments[0];
    return segment?.columns.receivedAtMs[segment.head];
  }

  /** Adds one arrival at the end. The caller has checked that there is room. */
  append({ producer, firstSequence, epoch, payloads, plain, receivedAtMs }: Arrival): void {
    if (payloads.length === 0) return;
    let columns = this.#openSegment();
    let bytes = 0;
    for (let index = 0; index < payloads.length; index += 1) {
      if (columns.payloads.length === SEGMENT_ROWS) columns = this.#addSegment();
      const payload = payloads[index] as string;
      columns.producers.push(producer);
      columns.sequences.push(firstSequence + index);
      columns.epochs.push(epoch);
      columns.payloads.push(payload);
      columns.plain.push(plain[index] as boolean);
      columns.receivedAtMs.push(receivedAtMs);
      bytes += payload.length + MESSAGE_OVERHEAD_BYTES;
    }
    this.#rows += payloads.length;
    this.#bytes += bytes;
    this.#waitingRows += payloads.length;
    this.#waitingBytes += bytes;
  }

  take({ maxRows, maxBytes }: TakeLimits): MessageBatch | undefined {
    const batch = this.#takeReturned(maxRows) ?? this.#cut(maxRows, maxBytes);
    if (batch === undefined) return undefined;
    this.#waitingRows -= batch.to - batch.from;
    this.#waitingBytes -= batch.bytes;
    return batch;
  }

  // Batches may have to be smaller now than when this one was cut.
  #takeReturned(maxRows: number): MessageBatch | undefined {
    const batch = this.#returned.shift();
    if (batch === undefined || rowsOf(batch) <= maxRows) return batch;
    const middle = batch.from + maxRows;
    this.#returned.unshift(sliceBatch(batch, middle, batch.to));
    return sliceBatch(batch, batch.from, middle);
  }

  settle(batch: MessageBatch): void {
    this.#rows -= batch.to - batch.from;
    this.#bytes -= batch.bytes;
  }

  putBack(batch: MessageBatch): void {
    this.#returned.unshift(batch);
    this.#waitingRows += batch.to - batch.from;
    this.#waitingBytes += batch.bytes;
  }

  #openSegment(): MessageColumns {
    const last = this.#segments[this.#segments.length - 1];
    return last === undefined ? this.#addSegment() : last.columns;
  }

  #addSegment(): MessageColumns {
    const columns = emptyColumns();
    this.#segments.push({ columns, head: 0 });
    return columns;
  }

  #cut(maxRows: number, maxBytes: number): MessageBatch | undefined {
    const segment = this.#segments[0];
    if (segment === undefined) return undefined;
    const { columns, head } = segment;
    const last = Math.min(columns.payloads.length, head + maxRows);
    let to = head;
    let bytes = 0;
    while (to < last) {
      const size = (columns.payloads[to] as string).length + MESSAGE_OVERHEAD_BYTES;
      // The first row always goes, however large: a batch of nothing would never end.
      if (to > head && bytes + size > maxBytes) break;
      bytes += size;
      to += 1;
    }
    segment.head = to;
    // An emptied segment is dropped even when it is not full: the batch alone keeps its columns alive.
    if (to === columns.payloads.length) this.#segments.shift();
    const position = this.#position;
    this.#position += BigInt(to - head);
    return { columns, from: head, to, position, bytes };
  }
}
