import { Alarm } from './alarm.ts';
import { pauseMs } from './context.ts';
import type { ClientTimers } from './options.ts';
import type { ClientStorage, StorageOperationName } from './storage.ts';

/** Pauses before what has failed is tried again. */
const RETRY_BASE_MS = 250;
const RETRY_MAX_MS = 30_000;

/** A method of the storage, what it is called with, and what follows once it has succeeded. */
export interface StorageOperation {
  name: StorageOperationName;
  with: unknown[];
  done?: ((result: unknown) => void) | undefined;
}

export interface StorageQueueOptions {
  storage: ClientStorage;
  timers: ClientTimers;
  random: () => number;
  /** What is to be done now; asked again after each. */
  next: () => StorageOperation | undefined;
  /** After one that took a while. */
  onProgress: () => void;
  /** Whether one that failed is tried again. */
  onFailure: (name: StorageOperationName, error: unknown) => boolean;
}

/** Does what a storage has to do: one thing at a time, in order, each until it has succeeded. */
export class StorageQueue {
  readonly #options: StorageQueueOptions;
  readonly #retry: Alarm;
  #current: StorageOperation | undefined;
  #isBusy = false;
  #isStopped = false;
  #failures = 0;

  constructor(options: StorageQueueOptions) {
    this.#options = options;
    this.#retry = new Alarm(options.timers);
  }

  /** Nothing is under way, and nothing waits to be tried again. */
  get isIdle(): boolean {
    return this.#isStopped || !(this.#isBusy || this.#retry.isSet);
  }

  run(): void {
    const { storage, next, onProgress } = this.#options;
    while (!this.#isBusy && !this.#isStopped && !this.#retry.isSet) {
      this.#current ??= next();
      const operation = this.#current;
      if (!operation) return;
      this.#isBusy = true;
      let result: unknown;
      try {
        const method = storage[operation.name] as (...given: unknown[]) => unknown;
        result = method.apply(storage, operation.with);
      } catch (error) {
        this.#fail(operation, error);
        return;
      }
      if (typeof (result as { then?: unknown } | undefined)?.then === 'function') {
        (result as Promise<unknown>).then(
          (value) => {
            this.#succeed(operation, value);
            this.run();
            onProgress();
          },
          (error: unknown) => this.#fail(operation, error),
        );
        return;
      }
      this.#succeed(operation, result);
    }
  }

  /** What waits to be tried again is tried once more, now: the last time. */
  hurry(): void {
    this.#retry.stop();
    this.run();
  }

  #succeed(operation: StorageOperation, result: unknown): void {
    this.#isBusy = false;
    this.#current = undefined;
    this.#failures = 0;
    operation.done?.(result);
  }

  #fail({ name }: StorageOperation, error: unknown): void {
    const { onFailure, onProgress } = this.#options;
    // Busy until it is known whether it is tried again: the client may end in there, and ask what is left to do.
    const isTriedAgain = onFailure(name, error);
    this.#isBusy = false;
    if (!isTriedAgain) {
      this.#isStopped = true;
      onProgress();
      return;
    }
    const ceiling = pauseMs(RETRY_BASE_MS, RETRY_MAX_MS, this.#failures);
    this.#failures += 1;
    this.#retry.set(ceiling * (0.5 + 0.5 * this.#options.random()), () => {
      this.run();
      onProgress();
    });
  }
}
