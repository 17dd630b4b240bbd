/** A queue of a shard with the producers assigned to it: the pipeline fills it, a flusher empties it. */

import type { MessageBatch } from '../sinks/message-batch.ts';
import type { MessageBuffer } from './message-buffer.ts';
import type { Chunk, Producer } from './producer.ts';

export interface Lane extends MessageBuffer {
  /** Adds messages with sequences that follow each other. */
  gather(producer: Producer, firstSequence: number, chunk: Chunk, receivedAtMs: number): void;
  /** The same for one message: the way of producers that do not batch. */
  gatherOne(
    producer: Producer,
    sequence: number,
    payload: string,
    isPlain: boolean,
    receivedAtMs: number,
  ): void;
  /** Makes durable what was gathered, as far as the lane can. */
  store(): void;
  /** The batch is settled without being in Postgres. */
  settleAsDead(batch: MessageBatch): void;
  /** Rows and characters that were gathered and not stored yet. */
  readonly gatheredRows: number;
  readonly gatheredCharacters: number;
  /** Text in storage, or on its way there. */
  readonly storedBytes: number;
  /** What messages count for that are on their way to Postgres. */
  readonly inFlightBytes: number;
  /** Messages that are not in memory. */
  readonly spilledRows: number;
}
