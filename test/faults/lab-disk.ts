/** A client's storage that outlives it. Writes take a moment, and a client may die in the middle of one. */

import { type ClientStorage, memoryStorage, type StoredState } from '../../src/client/sluice-client.ts';
import type { Random } from './random.ts';

export class LabDisk {
  readonly #content = memoryStorage();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** What a restarted client will find. */
  read(): Promise<StoredState | undefined> {
    return this.#content.load();
  }

  /**
   * The disk as one client sees it, until `unmount` is called: from then on nothing is answered or written.
   *
   * @param onTrim called when the client knows that everything up to a sequence is acked
   */
  mount(onTrim: (upTo: number) => void): { storage: ClientStorage; unmount: () => void } {
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
        load: () => this.#content.load(),
        saveEpoch: (epoch) => write(() => this.#content.saveEpoch(epoch)),
        saveBatch: (batch) => write(() => this.#content.saveBatch(batch)),
        trim: (epoch, upTo) => {
          if (isMounted) onTrim(upTo);
          return write(() => this.#content.trim(epoch, upTo));
        },
      },
      unmount() {
        isMounted = false;
      },
    };
  }
}
