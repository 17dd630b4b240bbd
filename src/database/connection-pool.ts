/**
 * A few connections for work that comes at the same time. Each is a slot: opened at its first use, closed when idle.
 *
 * Work waits for a free connection in its order, and the one that was used last is taken first, so that those that are
 * not needed fall idle and close.
 */

import { SluiceError } from '../core/errors.ts';
import type { Connection } from './connection.ts';
import { ConnectionSlot, type ConnectionSlotOptions } from './connection-slot.ts';

/** Lends a connection for one piece of work, and takes care of it afterwards. May be called while others have one. */
export interface ConnectionLender {
  use<Result>(work: (connection: Connection) => PromiseLike<Result>): Promise<Result>;
}

export interface ConnectionPoolOptions extends ConnectionSlotOptions {
  /** How many connections there may be at most, at least 1. Default: 4; a Worker may have 6 that are being opened. */
  size?: number;
  /** How much work may wait for one. Default: 1,000. */
  maxWaiting?: number;
}

const DEFAULT_SIZE = 4;
const DEFAULT_MAX_WAITING = 1_000;

export class ConnectionPool implements ConnectionLender {
  readonly #idle: ConnectionSlot[];
  readonly #slots: readonly ConnectionSlot[];
  readonly #maxWaiting: number;
  readonly #waiting: ((slot: ConnectionSlot) => void)[] = [];

  /** @throws SluiceError `invalid_options` where `size` is no integer of at least 1, or `maxWaiting` none of at least 0 */
  constructor({
    size = DEFAULT_SIZE,
    maxWaiting = DEFAULT_MAX_WAITING,
    ...slotOptions
  }: ConnectionPoolOptions) {
    if (!Number.isSafeInteger(size) || size < 1 || !Number.isSafeInteger(maxWaiting) || maxWaiting < 0) {
      throw new SluiceError(
        'invalid_options',
        `A pool cannot have ${size} connections with ${maxWaiting} waiting for one`,
      );
    }
    this.#slots = Array.from({ length: size }, () => new ConnectionSlot(slotOptions));
    this.#idle = [...this.#slots].reverse();
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Runs one piece of work on its own connection. After a failure that leaves the connection in an unknown state,
   * the connection is closed, and the next use opens another.
   *
   * @throws SluiceError `database_unreachable` where too much work waits already. Otherwise whatever the work, or opening
   *   the connection, failed with
   */
  async use<Result>(work: (connection: Connection) => PromiseLike<Result>): Promise<Result> {
    const slot = this.#idle.pop() ?? (await this.#nextFree());
    try {
      return await slot.use(work);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#idle.push(slot);
      else next(slot);
    }
  }

  /** Closes all connections, also those in use; a further use opens another. */
  close(): void {
    for (const slot of this.#slots) slot.close();
  }

  #nextFree(): Promise<ConnectionSlot> {
    if (this.#waiting.length >= this.#maxWaiting) {
      throw new SluiceError(
        'database_unreachable',
        `All ${this.#slots.length} connections are in use, and ${this.#maxWaiting} pieces of work wait for one already`,
      );
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
