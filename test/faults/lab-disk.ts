/** A client's storage that outlives it. Writes take a moment, and a client may die in the middle of one. */

import type { ClientStorage, StoredInstance } from '../../src/client/sluice-client.ts';
import { memoryStorage } from '../../src/client/storages/memory-storage.ts';
import type { Random } from './random.ts';

export class LabDisk {
  readonly #content = memoryStorage();
  readonly #random: Random;
  /** The epochs that instances were welcomed in, as their clients have noted them. */
  readonly epochs = new Map<string, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * The disk as one client sees it, until `unmount` is called: from then on nothing is answered or written.
   *
   * @param onLoad called with what a client finds
   * @param onSettled called when the client knows that everything of an instance up to a sequence is settled
   */
  mount(
    onLoad: (found: readonly StoredInstance[]) => void,
    onSettled: (instance: string, upTo: number) => void,
  ): { storage: ClientStorage; unmount: () => void } {
    const content = this.#content;
    let isMounted = true;
    const write = async (step: () => Promise<void> | void): Promise<void> => {
      const never = new Promise<void>(() => {});
      // A client that dies while it writes may or may not have written.
      const isEarly = this.#random.chance(0.5);
      if (isEarly && isMounted) await step();
      await new Promise((resolve) => setTimeout(resolve, this.#random.integer(0, 2)));
      if (!isMounted) return never;
      if (!isEarly) await step();
      return undefined;
    };
    return {
      storage: {
        async load() {
          const found = await content.load();
          onLoad(found);
          return found;
        },
        begin: (instance) => write(() => content.begin(instance)),
        append: (instance, batch) => write(() => content.append(instance, batch)),
        saveSession: (instance, session) => write(() => content.saveSession(instance, session)),
        discard: (instance, run) => write(() => content.discard(instance, run)),
        setAside: (instance, batch) => write(() => content.setAside(instance, batch)),
        trim(instance, upTo) {
          if (isMounted) onSettled(instance, upTo);
          return write(() => content.trim(instance, upTo));
        },
        forget(instance) {
          if (isMounted) onSettled(instance, Number.POSITIVE_INFINITY);
          return write(() => content.forget(instance));
        },
        close: () => write(() => content.close()),
      },
      unmount() {
        isMounted = false;
        void content.close();
      },
    };
  }
}
