/**
 * A place for one connection: opened at the first use, reused, closed when idle, opened again after a failure.
 *
 * An open socket keeps a Durable Object from hibernating and a Neon compute from sleeping, and a socket that was
 * idle for long may be dead without notice; so an unused one is closed after a few seconds.
 */

import { isSluiceError, SluiceError } from '../core/errors.ts';
import { IDLE_CONNECTION_MS, WRITE_TIME_LIMIT_MS } from '../core/limits.ts';
import { withTimeLimit } from '../core/time-limit.ts';
import type { Timers } from '../core/timers.ts';
import type { Connection } from './connection.ts';
import { sqlState } from './connection.ts';
import type { ConnectionWatch } from './connection-watch.ts';

export interface ConnectionSlotOptions {
  open: () => Promise<Connection>;
  timers: Timers;
  /** How long an unused connection stays open. Default: 5,000. */
  idleMs?: number;
  /** How long one use may take before its connection is given up. Default: 30,000. */
  useTimeLimitMs?: number;
  /** Hears of what the slot does. Missing: nobody asks. */
  watch?: ConnectionWatch | undefined;
}

type ResolvedOptions = Required<Omit<ConnectionSlotOptions, 'watch'>> & Pick<ConnectionSlotOptions, 'watch'>;

export class ConnectionSlot {
  readonly #options: ResolvedOptions;
  #connection: Connection | undefined;
  #cancelIdle: (() => void) | undefined;
  #isBusy = false;
  /** What runs beside the work that the slot is for; undefined where nothing does. */
  #aside: Promise<unknown> | undefined;
  /** What begins beside it once the work that is under way has ended. */
  #startAside: (() => void) | undefined;

  constructor(options: ConnectionSlotOptions) {
    this.#options = { idleMs: IDLE_CONNECTION_MS, useTimeLimitMs: WRITE_TIME_LIMIT_MS, ...options };
    options.watch?.add(this);
  }

  /** True while a connection is held. */
  get isOpen(): boolean {
    return this.#connection?.isOpen === true;
  }

  /** True while work is under way, or waits for its connection. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /**
   * Runs one piece of work on the connection. Not to be called again before it has ended: a slot is one lane.
   *
   * After a failure the connection is only kept if the server itself reported the failure and is still there;
   * everything else (a lost socket, a time limit) leaves it in an unknown state, so it is closed.
   */
  async use<Result>(work: (connection: Connection) => PromiseLike<Result>): Promise<Result> {
    this.#isBusy = true;
    try {
      if (this.#aside !== undefined) await this.#aside;
      return await this.#use(work);
    } finally {
      this.#isBusy = false;
      this.#startAside?.();
    }
  }

  async #use<Result>(work: (connection: Connection) => PromiseLike<Result>): Promise<Result> {
    const { timers, idleMs, useTimeLimitMs } = this.#options;
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    if (this.#connection?.isOpen !== true) {
      this.#connection?.close();
      this.#connection = undefined;
      this.#connection = await this.#open();
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

  async #open(): Promise<Connection> {
    const { open, timers, watch } = this.#options;
    if (watch === undefined) return open();
    const startedAtMs = timers.now();
    try {
      const connection = await open();
      watch.opened += 1;
      watch.durations.record((timers.now() - startedAtMs) / 1_000);
      return connection;
    } catch (error) {
      watch.failed += 1;
      throw error;
    }
  }

  /**
   * Runs something beside the work that the slot is for, where a connection is open: at once, or after the work that is under
   * way. Work that comes meanwhile waits for it. It does not keep the connection open for longer.
   *
   * @param timeLimitMs after which the connection is given up
   * @returns undefined where no connection is open, or something runs beside the work already. It rejects where the connection
   *   was closed before its turn came
   */
  useAside<Result>(
    work: (connection: Connection) => PromiseLike<Result>,
    timeLimitMs: number,
  ): Promise<Result> | undefined {
    if (!this.isOpen || this.#aside !== undefined || this.#startAside !== undefined) return undefined;
    if (!this.#isBusy) return this.#runAside(work, timeLimitMs);
    return new Promise((resolve, reject) => {
      this.#startAside = () => {
        this.#startAside = undefined;
        this.#runAside(work, timeLimitMs).then(resolve, reject);
      };
    });
  }

  #runAside<Result>(
    work: (connection: Connection) => PromiseLike<Result>,
    timeLimitMs: number,
  ): Promise<Result> {
    const connection = this.#connection;
    if (connection?.isOpen !== true)
      return Promise.reject(new SluiceError('database_unreachable', 'The connection was closed meanwhile'));
    const running = withTimeLimit(work(connection), timeLimitMs, 'asking').catch((error: unknown) => {
      if (isSluiceError(error) && error.code === 'time_limit') connection.cancel();
      if (isLost(error) || !connection.isOpen) this.close();
      throw error;
    });
    this.#aside = running
      .catch(() => {})
      .then(() => {
        this.#aside = undefined;
      });
    return running;
  }

  /** Closes the connection if there is one; the next use opens another. */
  close(): void {
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    if (this.#connection === undefined) return;
    this.#connection.close();
    this.#connection = undefined;
    this.#options.watch?.onClosed?.();
  }
}

// Class 08 is a connection exception, 57P01 to 57P03 are a server that shuts down or starts up.
function isLost(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined || state.startsWith('08') || state.startsWith('57P0');
}
