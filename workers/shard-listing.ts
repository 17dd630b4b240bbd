/** How a shard keeps its place in the directory: it is the only one that writes about itself, one step after the other. */

import type { ShardFacts } from '../src/outbox/shard-facts.ts';
import { logFailure } from './log.ts';
import type { ShardDirectory, ShardPlace } from './objects.ts';

export interface ShardListingOptions {
  place: ShardPlace;
  facts: ShardFacts;
  directory: () => ShardDirectory;
  /** True while there are messages, dead letters or sockets. */
  holdsSomething: () => boolean;
  /** True where an option names the shard: it is found without the directory. */
  isInRange: boolean;
}

export class ShardListing {
  readonly #options: ShardListingOptions;
  /** What is under way; undefined where nothing is. */
  #step: Promise<void> | undefined;
  /** The directory has confirmed it since this object was started. */
  #isConfirmed = false;
  #hasFailed = false;

  constructor(options: ShardListingOptions) {
    this.#options = options;
    // A directory that was lost hears again of those that only it can tell of.
    this.#isConfirmed = options.isInRange && options.facts.get('listed') === 'yes';
  }

  /** True where the directory is to be told as soon as the shard holds something. */
  get isUnlisted(): boolean {
    return !this.#isConfirmed && !this.#hasFailed && this.#step === undefined;
  }

  /** The shard holds something. Asks the directory once; a failure is tried again at the next call. */
  add(): void {
    if (this.#isConfirmed || this.#step !== undefined) return;
    this.#run(() => this.#add());
  }

  /** Leaves the directory where the shard holds nothing and no option names it. */
  leaveIfEmpty(): void {
    const { facts, holdsSomething, isInRange } = this.#options;
    const isListed = this.#isConfirmed || facts.get('listed') === 'yes';
    if (isInRange || !isListed || this.#step !== undefined || holdsSomething()) return;
    this.#run(async () => {
      const { directory, place } = this.#options;
      await directory().removeShard(place);
      this.#isConfirmed = false;
      // Something may have come meanwhile. The fact goes last: until then a new start adds the shard again.
      if (holdsSomething()) await this.#add();
      else facts.set('listed', undefined);
    });
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#step;
  }

  async #add(): Promise<void> {
    const { directory, place, facts } = this.#options;
    await directory().addShard(place);
    this.#isConfirmed = true;
    facts.set('listed', 'yes');
  }

  #run(step: () => Promise<void>): void {
    this.#hasFailed = false;
    this.#step = step()
      .catch((error: unknown) => {
        this.#hasFailed = true;
        logFailure('The directory of shards failed', error);
      })
      .finally(() => {
        this.#step = undefined;
      });
  }
}
