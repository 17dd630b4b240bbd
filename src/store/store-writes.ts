/**
 * The writes of one store. Appends go in groups (group-commit.ts); imports and deletions go beside them; and closing
 * waits for all of them.
 */

import { SluiceError } from '../core/errors.ts';
import { GroupCommit, type GroupCommitLimits } from './group-commit.ts';

export class StoreWrites<Command, Verdict> {
  readonly #store: string;
  readonly #appends: GroupCommit<Command, Verdict>;
  readonly #others = new Set<Promise<unknown>>();
  #isClosed = false;

  /**
   * @param store what an error calls the store, such as `message store`
   * @param append runs a group of commands as one transaction, with a verdict for each
   */
  constructor(
    store: string,
    append: (commands: readonly Command[]) => Promise<readonly Verdict[]>,
    limits: GroupCommitLimits,
  ) {
    this.#store = store;
    this.#appends = new GroupCommit(append, limits);
  }

  /** @throws SluiceError `store_closed` after `close` */
  checkOpen(): void {
    if (this.#isClosed) throw new SluiceError('store_closed', `The ${this.#store} is closed`);
  }

  /** The verdict on a command. @throws SluiceError `buffer_full`; what the engine throws */
  append(command: Command, rows: number, bytes: number): Promise<Verdict> {
    return this.#appends.submit(command, rows, bytes);
  }

  /** Makes `close` wait for a write that is not an append. */
  async track<Result>(write: Promise<Result>): Promise<Result> {
    this.#others.add(write);
    try {
      return await write;
    } finally {
      this.#others.delete(write);
    }
  }

  /** Refuses what comes from now on, and resolves once what was accepted is through. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#appends.idle();
    await Promise.allSettled(this.#others);
  }
}
