/**
 * Timers of a client in the fault lab: its clock runs faster, stands still for the client while its machine is paused, and for
 * ever once it is dead.
 */

import type { ClientTimers } from '../../src/client/index.ts';

/** How much faster: a reconnect after up to 25 ms instead of 250, a dead connection noticed in a second instead of ten. */
export const CLIENT_SPEED = 10;

interface Timer {
  dueMs: number;
  callback: () => void;
  handle: NodeJS.Timeout | undefined;
}

export class LabTimers implements ClientTimers {
  readonly #speed: number;
  readonly #timers = new Set<Timer>();
  #isPaused = false;
  #isDead = false;
  /** What went by on the clock while nobody looked at it. */
  #skippedMs = 0;

  constructor(speed = CLIENT_SPEED) {
    this.#speed = speed;
  }

  readonly now = (): number => performance.now() * this.#speed + this.#skippedMs;

  readonly after = (delayMs: number, callback: () => void): (() => void) => {
    const timer: Timer = { dueMs: this.now() + delayMs, callback, handle: undefined };
    this.#timers.add(timer);
    this.#start(timer);
    return () => {
      clearTimeout(timer.handle);
      this.#timers.delete(timer);
    };
  };

  #start(timer: Timer): void {
    if (this.#isPaused || this.#isDead) return;
    timer.handle = setTimeout(
      () => {
        this.#timers.delete(timer);
        timer.callback();
      },
      Math.max(0, timer.dueMs - this.now()) / this.#speed,
    );
  }

  /** Nothing is called back until `wake`. */
  pause(): void {
    this.#isPaused = true;
    for (const { handle } of this.#timers) clearTimeout(handle);
  }

  /** The machine goes on, and its clock shows `skippedMs` more than has really gone by. */
  wake(skippedMs = 0): void {
    this.#isPaused = false;
    this.#skippedMs += skippedMs;
    for (const timer of this.#timers) this.#start(timer);
  }

  die(): void {
    this.#isDead = true;
    for (const { handle } of this.#timers) clearTimeout(handle);
    this.#timers.clear();
  }
}
