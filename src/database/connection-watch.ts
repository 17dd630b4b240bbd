/** What the connections of a shard are doing, and how long they took to open: its slots tell it, and who reports asks. */

import { ExponentialHistogram } from '../core/exponential-histogram.ts';

/** A place for a connection, as it is now. */
export interface WatchedSlot {
  readonly isOpen: boolean;
  readonly isBusy: boolean;
}

export interface ConnectionFigures {
  /** Connections that are open, those at work included. */
  open: number;
  /** Of these, the ones that are at work. */
  busy: number;
  /** Pieces of work that wait for a connection to open. */
  waiting: number;
  /** How many there may be. */
  limit: number;
}

export class ConnectionWatch {
  readonly #slots: WatchedSlot[] = [];
  /** Connections that were opened, and tries to open one that failed. */
  opened = 0;
  failed = 0;
  /** How long it took to open one, in seconds. */
  readonly durations = new ExponentialHistogram();
  /** Called when a slot has closed its connection. */
  onClosed: (() => void) | undefined;

  /** To be called once by each slot. */
  add(slot: WatchedSlot): void {
    this.#slots.push(slot);
  }

  get figures(): ConnectionFigures {
    const figures = { open: 0, busy: 0, waiting: 0, limit: this.#slots.length };
    for (const { isOpen, isBusy } of this.#slots) {
      if (isOpen) figures.open += 1;
      if (isOpen && isBusy) figures.busy += 1;
      if (!isOpen && isBusy) figures.waiting += 1;
    }
    return figures;
  }

  get isAnyOpen(): boolean {
    return this.#slots.some(({ isOpen }) => isOpen);
  }
}
