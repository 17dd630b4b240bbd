import type { ClientContext } from './context.ts';
import { SluiceError } from './errors.ts';
import type { SendWindow } from './send-window.ts';
import type { ClientStorage, StorageOperationName, StoredBatch, StoredInstance } from './storage.ts';
import { createStorageQueue, type StorageOperation } from './storage-queue.ts';

/** What is given to a storage at once. */
const MAX_APPEND_MESSAGES = 10_000;
const MAX_APPEND_BYTES = 1024 * 1024;

export interface WindowStorageParts extends ClientContext {
  readonly recovery: { restore(found: readonly StoredInstance[]): void };
  readonly ending: {
    readonly endError: SluiceError | undefined;
    settle(): void;
    end(error: SluiceError): void;
  };
  readonly sender: { pump(): void };
}

/** Keeps the windows of a client in its storage. Without one it does nothing. */
export function createWindowStorage(parts: WindowStorageParts) {
  const { emit, own, settings } = parts;
  /** Windows for which the storage may have something to do. */
  let kept: SendWindow[] = [own];
  let isLoaded = false;
  let isBegun = false;
  /** The storage is closed, or not this client's. */
  let isShut = false;
  const queue = createStorageQueue(settings, {
    next,
    onProgress() {
      parts.ending.settle();
      parts.sender.pump();
    },
    onFailure: failed,
  });

  return Object.assign(queue, {
    /** Also keeps what an older instance has left. */
    keep(window: SendWindow): void {
      kept.push(window);
    },
  });

  function isClosed(): boolean {
    return parts.ending.endError !== undefined;
  }

  function next(): StorageOperation | undefined {
    if (isShut) return undefined;
    let shut: StorageOperation | undefined;
    if (isClosed()) {
      const onDone = () => {
        isShut = true;
      };
      shut = { name: 'close', with: [], onDone };
    }
    if (!isLoaded) {
      const onDone = (found: unknown) => {
        isLoaded = true;
        if (!isClosed()) parts.recovery.restore(found as readonly StoredInstance[]);
      };
      return shut ?? { name: 'load', with: [], onDone };
    }
    if (!isBegun) {
      if (shut && own.lastTaken === 0) return shut;
      const onDone = () => {
        isBegun = true;
      };
      return { name: 'begin', with: [own.instance], onDone };
    }
    for (const window of kept) {
      const operation = nextFor(window);
      if (operation) return operation;
    }
    return shut;
  }

  function nextFor(window: SendWindow): StorageOperation | undefined {
    const { instance, ackedUpTo: acked, unsavedSession } = window;
    const operation = (name: StorageOperationName, given: unknown[], onDone?: () => void) => ({
      name,
      with: [instance, ...given],
      onDone,
    });
    if (window.isForgotten) {
      return operation('forget', [], () => {
        kept = kept.filter((kept) => kept !== window);
      });
    }
    const aside = window.aside.at(0);
    if (aside) return operation('setAside', [aside], () => window.aside.shift());
    if (unsavedSession !== undefined) {
      return operation('saveSession', [unsavedSession], () => {
        if (window.unsavedSession === unsavedSession) window.unsavedSession = undefined;
      });
    }
    const first = Math.max(window.saved, window.cut) + 1;
    if (first <= window.lastTaken) {
      const batch = nextAppend(window, first);
      window.saving = first + batch.count - 1;
      return operation('append', [batch], () => {
        window.saved = Math.max(window.saving, window.cut);
      });
    }
    const discard = window.discards.at(0);
    if (discard) {
      window.discards.shift();
      return operation('discard', [discard]);
    }
    if (acked <= window.trimmed) return undefined;
    return operation('trim', [acked], () => {
      window.trimmed = acked;
    });
  }

  /** Says that a storage has failed; true where it is tried again. */
  function failed(operation: StorageOperationName, error: unknown): boolean {
    const isOver = isClosed();
    if ((error as { code?: unknown } | undefined)?.code === 'storage_in_use') {
      isShut = true;
      const message = `The storage is in use by another client: ${(error as Error).message}`;
      if (!isOver) parts.ending.end(new SluiceError('storage_in_use', message, { cause: error }));
      return false;
    }
    emit({ type: 'storage-failed', operation, error });
    if (!isOver) return true;
    // Nobody waits any longer; the next client finds what there is.
    if (operation !== 'close') void closeFailed(settings.storage);
    isShut = true;
    return false;
  }
}

export type WindowStorage = ReturnType<typeof createWindowStorage>;

/** What goes into the storage next, from the sequence `first` on. */
function nextAppend({ waiting, cut, lastTaken }: SendWindow, first: number): StoredBatch {
  const index = first - cut - 1;
  const most = Math.min(lastTaken - first + 1, MAX_APPEND_MESSAGES);
  let count = 1;
  let bytes = waiting.sizeAt(index);
  while (count < most) {
    bytes += waiting.sizeAt(index + count);
    if (bytes > MAX_APPEND_BYTES) break;
    count += 1;
  }
  return { first, count, text: waiting.join(index, count) };
}

/** Closes a storage that has failed, as far as that goes. */
async function closeFailed(storage: ClientStorage | undefined): Promise<void> {
  try {
    await storage?.close();
  } catch {
    // It was said that it fails.
  }
}
