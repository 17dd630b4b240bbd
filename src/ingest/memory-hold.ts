/** What a shard holds of the memory of its isolate, and whether it may take more (src/core/memory-budget.ts). */

import type { MemoryAccount, MemoryUse } from '../core/memory-budget.ts';
import type { Lane } from '../outbox/lane.ts';
import { MESSAGE_OVERHEAD_BYTES } from '../sinks/message-batch.ts';

/** After how long it may be worth while to send again what memory had no room for. */
export const MEMORY_RETRY_MS = 1_000;

/**
 * Where a text has a character above U+00FF, the engine takes two bytes for each of its characters. In a text of one byte for each,
 * this finds nothing without looking at it.
 */
const WIDE = /[\u0100-\uffff]/;

export interface MemoryHoldOptions {
  account: MemoryAccount;
  /** All lanes of the shard. The list may grow. */
  lanes: () => readonly { lane: Lane }[];
  /** True where new messages go to the outbox. */
  hasOutbox: boolean;
}

export class MemoryHold {
  readonly #account: MemoryAccount;
  readonly #lanes: MemoryHoldOptions['lanes'];
  readonly #use: MemoryUse;
  /** True once a frame had wide characters, until the shard is empty: a group that has one of them is wide as a whole. */
  #isWide = false;
  /** What clients were sent and have not read. */
  #unreadBytes = 0;
  /** Messages that were refused. */
  refused = 0;

  constructor({ account, lanes, hasOutbox }: MemoryHoldOptions) {
    this.#account = account;
    this.#lanes = lanes;
    this.#use = hasOutbox ? 'passing' : 'lasting';
  }

  /** What was found at the start may be of any kind. */
  assumeWide(): void {
    this.#isWide = true;
  }

  /** True where clients should send nothing for now. */
  get isTight(): boolean {
    return this.#account.budget.isTight(this.#use);
  }

  get heldBytes(): number {
    return this.#account.budget.heldBytes;
  }

  get limitBytes(): number {
    return this.#account.budget.limitBytes;
  }

  /** True where a frame may be read. Asked before it is: reading is what a flood costs. */
  admitsFrame(frame: string): boolean {
    if (!this.#isWide && WIDE.test(frame)) this.#isWide = true;
    return this.#account.budget.admits(this.#weigh(frame.length, 1), this.#use);
  }

  /** True where so many messages, of so many characters together, may be taken. */
  admits(messages: number, characters: number): boolean {
    return this.#account.budget.admits(this.#weigh(characters, messages), this.#use);
  }

  /** So many messages were refused. */
  countRefused(messages: number): void {
    this.refused += messages;
  }

  /** They were taken. */
  taken(messages: number, characters: number): void {
    this.#account.add(this.#weigh(characters, messages));
  }

  /** True where a lane may keep messages in memory that it has in its storage too. */
  mayKeep(memoryBytes: number, laneBytes: number): boolean {
    return this.#account.budget.mayKeep(this.#isWide ? memoryBytes * 2 : memoryBytes, laneBytes);
  }

  /** Of what was sent to clients, so many bytes more wait to be read; less where it is below 0. */
  addUnread(bytes: number): void {
    this.#unreadBytes += bytes;
    this.#account.add(bytes);
  }

  /** What the lanes hold has changed. */
  note(): void {
    let rows = 0;
    let bytes = this.#unreadBytes;
    let characters = 0;
    for (const { lane } of this.#lanes()) {
      rows += lane.rows;
      // What is on its way to Postgres is there as bytes too.
      bytes += lane.bytes + lane.inFlightBytes + lane.gatheredRows * MESSAGE_OVERHEAD_BYTES;
      const inMemory = Math.max(0, lane.rows - lane.spilledRows - lane.gatheredRows);
      characters += lane.gatheredCharacters + Math.max(0, lane.bytes - inMemory * MESSAGE_OVERHEAD_BYTES);
      bytes += lane.gatheredCharacters;
    }
    if (rows === 0) this.#isWide = false;
    this.#account.set(this.#isWide ? bytes + characters : bytes);
  }

  #weigh(characters: number, messages: number): number {
    return (this.#isWide ? characters * 2 : characters) + messages * MESSAGE_OVERHEAD_BYTES;
  }
}
