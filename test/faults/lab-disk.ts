/**
 * A client's storage that outlives it. Writes take a moment, and a client may die in the middle of one. The disk is a journal
 * of writes: it can be copied at any moment, and can lose the last of them.
 */

import type { ClientStorage, StoredBatch, StoredInstance } from '../../src/client/index.ts';
import { memoryStorage } from '../../src/client/storages/memory-storage.ts';
import { MAX_KNOWN_EPOCHS } from '../../src/core/limits.ts';
import type { Random } from './random.ts';

type Write = (storage: ClientStorage) => Promise<void> | void;

export interface LabDiskOptions {
  /** False: any number of clients may have it open. Default: true. */
  isLocked?: boolean;
  /** Says that it has written messages, and has not: for the oracle's own test. Default: false. */
  isLying?: boolean;
}

/** What a client does with the disk, as the lab hears of it. */
export interface DiskWatcher {
  /** It found this at its start. */
  onLoad(found: readonly StoredInstance[]): void;
  /** The disk has said that it has these messages. */
  onKept(instance: string, batch: StoredBatch): void;
  /** The fate of these is unknown: they are kept apart. */
  onSetAside(instance: string, batch: StoredBatch): void;
  /** Everything of an instance up to a sequence is settled. */
  onSettled(instance: string, upTo: number): void;
}

/** A shard remembers the last four epochs of a producer: a state from before them is told to be unknown, and may come twice. */
const KEPT_STARTS = 2;

export class LabDisk {
  readonly #random: Random;
  readonly isLocked: boolean;
  readonly #isLying: boolean;
  #journal: Write[] = [];
  /** How long the journal was at each start. */
  #starts: number[] = [];
  #isOpen = false;
  /** Every instance that ever began on it, whatever is left of them. */
  #begun: string[] = [];
  /** The epochs that instances were welcomed in, as their clients have noted them. */
  readonly epochs = new Map<string, number>();

  constructor(random: Random, { isLocked = true, isLying = false }: LabDiskOptions = {}) {
    this.#random = random;
    this.isLocked = isLocked;
    this.#isLying = isLying;
  }

  /** Another disk with what this one has now. */
  copy(): LabDisk {
    const copy = new LabDisk(this.#random.fork(), { isLocked: this.isLocked });
    copy.#journal = [...this.#journal];
    copy.#starts = [...this.#starts];
    copy.#begun = [...this.#begun];
    for (const [instance, epoch] of this.epochs) copy.epochs.set(instance, epoch);
    return copy;
  }

  /**
   * Loses the last writes, as many as `most` and none from before the last starts.
   *
   * @returns how many
   */
  loseWrites(most: number): number {
    const least = this.#starts.at(-KEPT_STARTS) ?? 0;
    const before = this.#journal.length;
    this.#journal = this.#journal.slice(0, Math.max(least, before - most));
    this.#starts = this.#starts.map((length) => Math.min(length, this.#journal.length));
    return before - this.#journal.length;
  }

  /** True where a shard need not know an instance any more: so many have begun since. */
  isForgotten(instance: string): boolean {
    return this.#begun.length - 1 - this.#begun.indexOf(instance) >= MAX_KNOWN_EPOCHS;
  }

  /** What is on it. */
  async read(): Promise<readonly StoredInstance[]> {
    const content = memoryStorage();
    for (const write of this.#journal) await write(content);
    return content.load();
  }

  /** The text of every message that is on it. */
  async texts(): Promise<string[]> {
    return textsOf(await this.read());
  }

  /** The disk as one client sees it, until `unmount` is called: from then on nothing is answered or written. */
  mount({ onLoad, onKept, onSetAside, onSettled }: DiskWatcher): {
    storage: ClientStorage;
    unmount: () => void;
  } {
    let isMounted = true;
    let isHolder = false;
    const write = async (step: Write): Promise<void> => {
      const never = new Promise<void>(() => {});
      // A client that dies while it writes may or may not have written.
      const isEarly = this.#random.chance(0.5);
      if (isEarly && isMounted) this.#journal.push(step);
      await new Promise((resolve) => setTimeout(resolve, this.#random.integer(0, 2)));
      if (!isMounted) return never;
      if (!isEarly) this.#journal.push(step);
      return undefined;
    };
    const release = (): void => {
      isMounted = false;
      if (isHolder) this.#isOpen = false;
    };
    const storage: ClientStorage = {
      load: async () => {
        if (this.isLocked && this.#isOpen)
          throw Object.assign(new Error('Another client has this disk open'), { code: 'storage_in_use' });
        isHolder = true;
        this.#isOpen = true;
        this.#starts.push(this.#journal.length);
        const found = await this.read();
        onLoad(found);
        return found;
      },
      begin: (instance) => {
        this.#begun.push(instance);
        return write((disk) => disk.begin(instance));
      },
      append: async (instance, batch) => {
        await write(this.#isLying ? () => {} : (disk) => disk.append(instance, batch));
        onKept(instance, batch);
      },
      saveSession: (instance, session) => write((disk) => disk.saveSession(instance, session)),
      discard: (instance, run) => write((disk) => disk.discard(instance, run)),
      setAside: async (instance, batch) => {
        await write((disk) => disk.setAside(instance, batch));
        onSetAside(instance, batch);
      },
      trim(instance, upTo) {
        if (isMounted) onSettled(instance, upTo);
        return write((disk) => disk.trim(instance, upTo));
      },
      forget(instance) {
        if (isMounted) onSettled(instance, Number.POSITIVE_INFINITY);
        return write((disk) => disk.forget(instance));
      },
      async close() {
        if (isMounted) release();
      },
    };
    return { storage, unmount: release };
  }
}

/** Every message of what a storage has, those in doubt too. */
export function textsOf(found: readonly StoredInstance[]): string[] {
  return found.flatMap(({ batches, inDoubt, acked, discarded }) => [
    ...batches.flatMap(({ first, text }) =>
      text
        .split('\n')
        .filter(
          (_, index) =>
            first + index > acked &&
            !discarded.some((run) => first + index >= run.first && first + index <= run.last),
        ),
    ),
    ...inDoubt.flatMap(({ text }) => text.split('\n')),
  ]);
}
