import { createAlarm } from './alarm.ts';
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
  onDone?: ((result: unknown) => void) | undefined;
}

/** What a queue works on, as the options of a client have it. Without a storage there is nothing to do. */
export interface StorageQueueSettings {
  storage?: ClientStorage | undefined;
  timers: ClientTimers;
  random: () => number;
}

export interface StorageQueueOwner {
  /** What is to be done now; asked again after each. */
  next: () => StorageOperation | undefined;
  /** After one that took a while. */
  onProgress: () => void;
  /** Whether one that failed is tried again. */
  onFailure: (name: StorageOperationName, error: unknown) => boolean;
}

/** Does what a storage has to do: one thing at a time, in order, each until it has succeeded. */
export function createStorageQueue(
  { storage, timers, random }: StorageQueueSettings,
  { next, onProgress, onFailure }: StorageQueueOwner,
) {
  const retry = createAlarm(timers);
  let current: StorageOperation | undefined;
  let isBusy = false;
  let isStopped = false;
  let failures = 0;

  const self = {
    /** Nothing is under way, and nothing waits to be tried again. */
    get isIdle(): boolean {
      return isStopped || !(isBusy || retry.isSet);
    },

    run(): void {
      while (storage && !isBusy && !isStopped && !retry.isSet) {
        current ??= next();
        const operation = current;
        if (!operation) return;
        isBusy = true;
        let result: unknown;
        try {
          const method = storage[operation.name] as (...given: unknown[]) => unknown;
          result = method.apply(storage, operation.with);
        } catch (error) {
          fail(operation, error);
          return;
        }
        if (typeof (result as { then?: unknown } | undefined)?.then === 'function') {
          (result as Promise<unknown>).then(
            (value) => {
              succeed(operation, value);
              self.run();
              onProgress();
            },
            (error: unknown) => fail(operation, error),
          );
          return;
        }
        succeed(operation, result);
      }
    },

    /** What waits to be tried again is tried once more, now: the last time. */
    hurry(): void {
      retry.stop();
      self.run();
    },
  };

  function succeed(operation: StorageOperation, result: unknown): void {
    isBusy = false;
    current = undefined;
    failures = 0;
    operation.onDone?.(result);
  }

  function fail({ name }: StorageOperation, error: unknown): void {
    // Busy until it is known whether it is tried again: the client may end in there, and ask what is left to do.
    const isTriedAgain = onFailure(name, error);
    isBusy = false;
    if (!isTriedAgain) {
      isStopped = true;
      onProgress();
      return;
    }
    const ceiling = pauseMs(RETRY_BASE_MS, RETRY_MAX_MS, failures);
    failures += 1;
    retry.set(ceiling * (0.5 + 0.5 * random()), () => {
      self.run();
      onProgress();
    });
  }

  return self;
}

export type StorageQueue = ReturnType<typeof createStorageQueue>;
