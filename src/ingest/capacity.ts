/** How full a shard is: what its lanes hold, and what its sink allows. */

import type { Lane } from '../outbox/lane.ts';
import { MESSAGE_OVERHEAD_BYTES } from '../sinks/message-batch.ts';
import type { SinkOptions } from '../sinks/sink-options.ts';

/** What a shard holds, and the limits of that. */
export interface Usage {
  rows: number;
  maxRows: number;
  bytes: number;
  maxBytes: number;
}

export interface CapacityOptions {
  /** All lanes of the shard. The list may grow. */
  lanes: readonly { lane: Lane; isDurable: boolean }[];
  /** True where new messages go to the outbox. */
  hasOutbox: boolean;
  limits: Pick<SinkOptions, 'maxOutboxBytes' | 'maxOutboxRows' | 'maxBufferBytes'>;
}

export class Capacity {
  readonly #lanes: CapacityOptions['lanes'];
  readonly #hasOutbox: boolean;
  readonly #maxOutboxBytes: number;
  readonly #maxOutboxRows: number;
  readonly #maxBufferBytes: number;

  constructor({ lanes, hasOutbox, limits }: CapacityOptions) {
    this.#lanes = lanes;
    this.#hasOutbox = hasOutbox;
    this.#maxOutboxBytes = limits.maxOutboxBytes;
    this.#maxOutboxRows = limits.maxOutboxRows;
    this.#maxBufferBytes = limits.maxBufferBytes;
  }

  /** True where so many messages, of so many characters together, can be taken. Asked for every frame. */
  hasRoomFor(messages: number, characters: number): boolean {
    let rows = messages;
    let bytes = characters + messages * MESSAGE_OVERHEAD_BYTES;
    for (const { lane } of this.#lanes) {
      rows += lane.rows;
      bytes += this.#hasOutbox ? lane.storedBytes : lane.bytes;
    }
    return this.#hasOutbox
      ? bytes <= this.#maxOutboxBytes && rows <= this.#maxOutboxRows
      : bytes <= this.#maxBufferBytes;
  }

  /** True where so many messages could be taken if the shard held nothing: those may come again later. */
  couldHold(messages: number, characters: number): boolean {
    return characters + messages * MESSAGE_OVERHEAD_BYTES <= this.usage().maxBytes;
  }

  usage(): Usage {
    let rows = 0;
    let bytes = 0;
    for (const { lane, isDurable } of this.#lanes) {
      // Beside messages in memory, those of an outbox count for what they take there only.
      if (this.#hasOutbox || !isDurable) rows += lane.rows;
      bytes += this.#hasOutbox ? lane.storedBytes : lane.bytes;
    }
    return {
      rows,
      maxRows: this.#maxOutboxRows,
      bytes,
      maxBytes: this.#hasOutbox ? this.#maxOutboxBytes : this.#maxBufferBytes,
    };
  }

  /** Messages and bytes that there is room for. */
  free(): { rows: number; bytes: number } {
    const { rows, maxRows, bytes, maxBytes } = this.usage();
    return { rows: Math.max(0, maxRows - rows), bytes: Math.max(0, maxBytes - bytes) };
  }

  /** The share of the memory that is in use, 0 to 1. Asked for with every few frames. */
  memoryFill(): number {
    let bytes = 0;
    for (const { lane } of this.#lanes) bytes += lane.bytes;
    return bytes / this.#maxBufferBytes;
  }

  /** The share of the outbox that is in use, 0 to 1. */
  outboxFill(): number {
    const { rows, maxRows, bytes, maxBytes } = this.usage();
    return Math.max(rows / maxRows, bytes / maxBytes);
  }
}

/** The characters of some messages together. */
export function charactersOf(payloads: readonly string[]): number {
  let characters = 0;
  for (const payload of payloads) characters += payload.length;
  return characters;
}
