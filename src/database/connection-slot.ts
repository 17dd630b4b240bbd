/**
 * A place for one connection: opened at the first use, reused, closed when idle, opened again after a failure.
 *
 * An open socket keeps a Durable Object from hibernating and a Neon compute from sleeping, and a socket that was
 * idle for long may be dead without notice; so an unused one is closed after a few seconds.
 */

import { isSluiceError } from '../core/errors.ts';
import { IDLE_CONNECTION_MS, WRITE_TIME_LIMIT_MS } from '../core/limits.ts';
import { withTimeLimit } from '../core/time-limit.ts';
import type { Timers } from '../core/timers.ts';
import type { Connection } from './connection.ts';
import { sqlState } from './connection.ts';

export interface ConnectionSlotOptions {
  open: () => Promise<Connection>;
  timers: Timers;
  /** How long an unused connection stays open. Default: 5,000. */
  idleMs?: number;
  /** How long one use may take before its connection is given up. Default: 30,000. */
  useTimeLimitMs?: number;
}

export class ConnectionSlot {
  readonly #options: Required<ConnectionSlotOptions>;
  #connection: Connection | undefined;
  #cancelIdle: (() => void) | undefined;

  constructor(options: ConnectionSlotOptions) {
    this.#options = { idleMs: IDLE_CONNECTION_MS, useTimeLimitMs: WRITE_TIME_LIMIT_MS, ...options };
  }

  /** True while a connection is held. */
  get isOpen(): boolean {
    return this.#connection?.isOpen === true;
  }

  /**
   * Runs one piece of work on the connection. Not to be called again before it has ended: a slot is one lane.
   *
   * After a failure the connection is only kept if the server itself reported the failure and is still there;
   * everything else (a lost socket, a time limit) leaves it in an unknown state, so it is closed.
   */
  async use<Result>(work: (connection: Connection) => PromiseLike<Result>): Promise<Result> {
    const { open, timers, idleMs, useTimeLimitMs } = this.#options;
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    if (this.#connection?.isOpen !== true) {
      this.#connection?.close();
      this.#connection = undefined;
      this.#connection = await open();
    }
    const connection = this.#connection;
    try {
      const result = await withTimeLimit(work(connection), useTimeLimitMs, 'writing');
      this.#cancelIdle = timers.after(idleMs, () => this.close());
      return result;
    } catch (error) {
      // The statement would go on without us, and hold what the next try needs.
      if (isSluiceError(error) && error.code === 'time_limit') connection.cancel();
      if (isLost(error) || !connection.isOpen) this.close();
      else this.#cancelIdle = timers.after(idleMs, () => this.close());
      throw error;
    }
  }

  /** Closes the connection if there is one; the next use opens another. */
  close(): void {
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    this.#connection?.close();
    this.#connection = undefined;
  }
}

// Class 08 is a connection exception, 57P01 to 57P03 are a server that shuts down or starts up.
function isLost(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined || state.startsWith('08') || state.startsWith('57P0');
}
