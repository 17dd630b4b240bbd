/**
 * What a shard holds of each tenant and producer: messages that were taken and are not settled. It is counted only once somebody
 * has a limit that is a share of the outbox; until then a message costs one look at `isOn`.
 */

import { tenantOf } from '../access/producer-name.ts';
import type { Lane } from '../outbox/lane.ts';
import type { OutboxLane } from '../outbox/outbox-lane.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { Usage } from './capacity.ts';

/** Messages and their text, in characters. */
export interface Held {
  rows: number;
  bytes: number;
}

const NOTHING: Held = { rows: 0, bytes: 0 };

export interface HoldingsOptions {
  /** All lanes of the shard. The list may grow. */
  lanes: () => readonly { lane: Lane; outbox: OutboxLane | undefined }[];
  /** What the shard may hold in all. */
  usage: () => Usage;
}

export class Holdings {
  readonly #options: HoldingsOptions;
  /** By the whole names of producers, and by `tenant/`, which is the name of no producer. */
  readonly #held = new Map<string, Held>();
  /** Of the lanes together, as it was when the counting began: where it has changed, messages came back or went. */
  #generation = 0;
  isOn = false;

  constructor(options: HoldingsOptions) {
    this.#options = options;
  }

  /** Counts from now on, beginning with what the outbox holds. */
  turnOn(): void {
    if (this.isOn) return;
    this.isOn = true;
    this.#recount();
  }

  // Messages that are in memory only are not asked for: they are soon gone.
  #recount(): void {
    this.#held.clear();
    this.#generation = this.#generationNow();
    for (const { outbox } of this.#options.lanes()) {
      if (outbox === undefined) continue;
      for (const { producer, rows, bytes } of outbox.unsettled()) this.#add(producer, rows, bytes);
    }
  }

  #recountIfMoved(): void {
    if (this.#generationNow() !== this.#generation) this.#recount();
  }

  #generationNow(): number {
    return this.#options.lanes().reduce((sum, { outbox }) => sum + (outbox?.generation ?? 0), 0);
  }

  /** Messages of a producer were taken. */
  taken(producer: string, rows: number, bytes: number): void {
    this.#add(producer, rows, bytes);
  }

  #add(producer: string, rows: number, bytes: number): void {
    this.#change(producer, rows, bytes);
    const tenant = tenantOf(producer);
    if (tenant !== undefined) this.#change(`${tenant}/`, rows, bytes);
  }

  #change(key: string, rows: number, bytes: number): void {
    const held = this.#held.get(key);
    if (held === undefined) {
      if (rows > 0) this.#held.set(key, { rows, bytes });
      return;
    }
    held.rows += rows;
    held.bytes = Math.max(0, held.bytes + bytes);
    // The text of what was found at the start is a guess for each message; it is right again once nothing is held.
    if (held.rows <= 0) this.#held.delete(key);
  }

  /** A batch is about to be settled. */
  settling({ columns: { producers, payloads }, from, to }: MessageBatch): void {
    this.#recountIfMoved();
    for (let row = from; row < to; ) {
      const producer = producers[row] as string;
      const first = row;
      let bytes = 0;
      for (; row < to && producers[row] === producer; row += 1) bytes += (payloads[row] as string).length;
      this.#add(producer, first - row, -bytes);
    }
  }

  /** What is held of a tenant (`tenant/`) or a producer. */
  of(key: string): Held {
    // Where another instance has written all of it, nothing is settled here any more that could tell of the room.
    if (this.isOn) this.#recountIfMoved();
    return this.#held.get(key) ?? NOTHING;
  }

  /**
   * How much more of it a share of the outbox has room for; below 0 where it is beyond its share.
   *
   * @param share above 0 and at most 1
   */
  roomOf(key: string, share: number): Held {
    const most = this.most(share);
    const { rows, bytes } = this.of(key);
    return { rows: most.rows - rows, bytes: most.bytes - bytes };
  }

  /** As much as a share of the outbox can hold. */
  most(share: number): Held {
    const { maxRows, maxBytes } = this.#options.usage();
    return { rows: share * maxRows, bytes: share * maxBytes };
  }
}
