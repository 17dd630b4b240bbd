/**
 * Knows which producers' messages lie where in a lane, so that a batch that is settled tells how far each producer is.
 * It keeps one mark for each run of messages instead of looking at every row.
 */

import type { Producer } from './producer.ts';

/** The end of a run of one producer's messages. */
export interface RunMark {
  readonly producer: Producer;
  readonly epoch: number;
  readonly lastSequence: number;
  /** Position after its last message. */
  readonly end: bigint;
  /** Text of its group in the outbox where it is the group's last run, else 0. */
  groupBytes: number;
}

/** What memory holds for each mark. */
export const RUN_MARK_BYTES = 96;

export class RunLedger {
  readonly #onPass: (mark: RunMark) => void;
  // Oldest first, from `#first` on: an array that is shifted at every step would be moved at every step.
  #marks: RunMark[] = [];
  #first = 0;
  #head: bigint;
  /** What was settled ahead of `head`, as several workers do: ends by positions. */
  readonly #ahead = new Map<bigint, bigint>();

  /** @param onPass called for each run whose last message is settled, in the order of positions */
  constructor(head: bigint, onPass: (mark: RunMark) => void) {
    this.#head = head;
    this.#onPass = onPass;
  }

  /** The first position that is not settled. */
  get head(): bigint {
    return this.#head;
  }

  get bytes(): number {
    return (this.#marks.length - this.#first) * RUN_MARK_BYTES;
  }

  /** The youngest mark. */
  get last(): RunMark | undefined {
    return this.#marks[this.#marks.length - 1];
  }

  push(mark: RunMark): void {
    this.#marks.push(mark);
  }

  /** Everything from `position` to before `end` is settled. */
  settle(position: bigint, end: bigint): void {
    if (position !== this.#head) {
      this.#ahead.set(position, end);
      return;
    }
    let head: bigint | undefined = end;
    while (head !== undefined) {
      this.#head = head;
      const next = this.#ahead.get(head);
      if (next !== undefined) this.#ahead.delete(head);
      head = next;
    }
    this.#pass();
  }

  /** Forgets all marks and goes on at a position. */
  restart(head: bigint): void {
    this.#head = head;
    this.#marks = [];
    this.#first = 0;
    this.#ahead.clear();
  }

  #pass(): void {
    for (;;) {
      const mark = this.#marks[this.#first];
      if (mark === undefined || mark.end > this.#head) break;
      this.#first += 1;
      this.#onPass(mark);
    }
    if (this.#first > 1024 && this.#first * 2 > this.#marks.length) {
      this.#marks = this.#marks.slice(this.#first);
      this.#first = 0;
    }
  }
}
