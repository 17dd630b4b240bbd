import type { ClientTimers } from './options.ts';

/** One timer, which can be set, set again and stopped. */
export class Alarm {
  readonly #timers: ClientTimers;
  #cancel: (() => void) | undefined;

  constructor(timers: ClientTimers) {
    this.#timers = timers;
  }

  get isSet(): boolean {
    return this.#cancel !== undefined;
  }

  set(delayMs: number, callback: () => void): void {
    this.stop();
    this.#cancel = this.#timers.after(delayMs, () => {
      this.#cancel = undefined;
      callback();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
