/**
 * The last position of a store as far as it is known, and the readers that wait for it to move. The store tells of its own appends; for
 * those of others the database is asked, from time to time.
 */

import { SluiceError } from '../core/errors.ts';
import type { Timers } from '../core/timers.ts';

export interface HeadReader {
  /**
   * Resolves with a head beyond the position, at once where there is one; undefined once the reader's signal has aborted.
   *
   * @throws SluiceError `store_closed`; what the database fails with
   */
  headBeyond(position: bigint): Promise<bigint | undefined>;
  /** False once the signal has aborted. @throws SluiceError `store_closed` */
  goesOn(): boolean;
}

export class HeadTracker {
  readonly #askHead: () => Promise<bigint>;
  readonly #timers: Timers;
  #head = 0n;
  /** Counts what may have moved the head without telling how far. */
  #staleCount = 0;
  /** Counts deletions of all events. */
  #generation = 0;
  #isClosed = false;
  /** The poll that is under way: readers that poll at the same time share it. */
  #polling: Promise<void> | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(askHead: () => Promise<bigint>, timers: Timers) {
    this.#askHead = askHead;
    this.#timers = timers;
  }

  /** Changes when all events are deleted. */
  get generation(): number {
    return this.#generation;
  }

  /** An event at this position was appended, by a call that began in the generation that is given. */
  appended(position: bigint, generation: number): void {
    // What was appended beside a deletion may be gone, or may have come after it.
    if (generation === this.#generation) this.#saw(position);
    else this.mayHaveMoved();
  }

  /** Something may have been appended, of which no more is known. */
  mayHaveMoved(): void {
    this.#staleCount += 1;
    this.#wakeAll();
  }

  /** All events were deleted: readers of before end with an error. */
  cleared(): void {
    this.#generation += 1;
    this.#head = 0n;
    this.#wakeAll();
  }

  /** Ends all readers with `store_closed`. */
  close(): void {
    this.#isClosed = true;
    this.#wakeAll();
  }

  /** @param pollMs how often the database is asked, in milliseconds; undefined: at the beginning, and where an append has failed */
  reader(signal: AbortSignal | undefined, pollMs: number | undefined): HeadReader {
    let generation = this.#generation;
    /** Undefined: it has not begun. */
    let staleCount: number | undefined;
    const goesOn = (): boolean => {
      if (this.#isClosed) throw new SluiceError('store_closed', 'The event store is closed');
      if (staleCount !== undefined && this.#generation !== generation)
        throw new SluiceError('store_closed', 'All events were deleted, and positions begin at 1 again');
      return signal?.aborted !== true;
    };
    const headBeyond = async (position: bigint): Promise<bigint | undefined> => {
      while (goesOn()) {
        if (staleCount === undefined) {
          const asked = this.#staleCount;
          await this.#ask();
          // What is known of before may be of events that somebody else has deleted.
          staleCount = asked;
          generation = this.#generation;
        } else if (this.#head > position) {
          return this.#head;
        } else if (staleCount !== this.#staleCount) {
          staleCount = this.#staleCount;
          // Not shared: a question that was asked before may not know what this reader must find.
          await this.#ask();
        } else if ((await this.#woken(signal, pollMs)) === 'poll') {
          this.#polling ??= this.#poll();
          await this.#polling;
        }
      }
      return undefined;
    };
    return { goesOn, headBeyond };
  }

  #saw(position: bigint): void {
    if (position <= this.#head) return;
    this.#head = position;
    this.#wakeAll();
  }

  async #ask(): Promise<void> {
    const generation = this.#generation;
    const known = this.#head;
    const head = await this.#askHead();
    if (generation !== this.#generation) return;
    // Positions only begin again where somebody else has deleted all events.
    if (head < known) this.cleared();
    this.#saw(head);
  }

  async #poll(): Promise<void> {
    try {
      await this.#ask();
    } finally {
      this.#polling = undefined;
    }
  }

  #woken(signal: AbortSignal | undefined, pollMs: number | undefined): Promise<'moved' | 'poll'> {
    return new Promise((resolve) => {
      let cancel: (() => void) | undefined;
      const wake = (reason: 'moved' | 'poll' = 'moved'): void => {
        this.#waiting.delete(moved);
        signal?.removeEventListener('abort', moved);
        cancel?.();
        resolve(reason);
      };
      const moved = (): void => wake();
      this.#waiting.add(moved);
      signal?.addEventListener('abort', moved);
      if (pollMs !== undefined) cancel = this.#timers.after(pollMs, () => wake('poll'));
    });
  }

  #wakeAll(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
