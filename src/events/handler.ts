/**
 * Durable consumers of events. A handler has a bookmark in the database that it writes to, and the bookmark moves in the
 * transaction that holds what the handler did: after a crash at any moment, both are there or neither. So each event
 * takes effect once, in the order of positions.
 *
 * The bookmark is locked while events are handled, never while the handler waits for some. Several runners of one handler
 * are therefore safe, in one process or in many: one of them does the work, the others find the bookmark moved, and go on
 * from there when that one is gone.
 */

import { isSluiceError, SluiceError } from '../core/errors.ts';
import {
  DEFAULT_HANDLER_BATCH_EVENTS,
  HANDLER_POLL_MS,
  HANDLER_RETRY_MS,
  MAX_HANDLER_BATCH_EVENTS,
  MAX_HANDLER_RETRY_MS,
} from '../core/limits.ts';
import { systemTimers, type Timers } from '../core/timers.ts';
import { BatchQueue } from './batch-queue.ts';
import type { QueryInput } from './event.ts';
import type { EventStore } from './event-store.ts';
import type { EventShape, QueryFor, Stored } from './projection.ts';
import { toQuery } from './query.ts';

/** How a transaction on a bookmark ended. */
export interface BookmarkMove {
  /** False: the bookmark was not where it was expected, or somebody holds it, and nothing was done. */
  isMoved: boolean;
  /** Where the bookmark is now. */
  position: bigint;
}

/** A database that keeps bookmarks beside what handlers write. */
export interface HandlerDatabase<Transaction, Effect> {
  /** Where a handler's bookmark is; 0 where there is none. */
  bookmark(handler: string): Promise<bigint>;
  /**
   * One transaction: locks the bookmark, and, if it is at `from`, calls `effect` for one event after the other and moves the
   * bookmark to the last of them. If anything throws, nothing of it was done, or, where a connection was lost during the
   * commit, all of it: the bookmark tells.
   *
   * @param events at least one, after `from`, in the order of their positions
   */
  move<Event extends { position: bigint }>(
    handler: string,
    from: bigint,
    events: readonly Event[],
    effect: (event: Event, transaction: Transaction) => Effect,
  ): Promise<BookmarkMove>;
}

/** What `runHandler` needs of an event store. */
export type HandlerStore = Pick<EventStore, 'subscribe' | 'iterate' | 'head'>;

/** A failure that the handler goes on after. */
export interface HandlerFailure {
  /** Position of the event that was handled when it failed; undefined where the store or the database failed before. */
  position: bigint | undefined;
  /** Failures in a row, this one included. */
  failures: number;
  /** How long the pause is. */
  delayMs: number;
}

export interface HandlerOptions<Event extends EventShape, Transaction, Effect> {
  store: HandlerStore;
  database: HandlerDatabase<Transaction, Effect>;
  /** Names the bookmark. Two handlers that share a database need two names, also where they read different stores. */
  name: string;
  query: QueryFor<Event>;
  /**
   * Does what follows from an event, within the transaction. It is called again where that was not committed; so what it
   * does elsewhere may happen twice. A database that is synchronous takes a synchronous function only.
   */
  handle: (event: Stored<Event>, transaction: NoInfer<Transaction>) => NoInfer<Effect>;
  /** Ends the handler: what is under way is still committed. */
  signal?: AbortSignal;
  /** Whether to end where the events end, instead of waiting for more. Default: false. */
  stopsAtEnd?: boolean;
  /** Events of one transaction at most. From 1 to 10,000. Default: 100. They are in memory together. */
  batchEvents?: number;
  /** How often to look for what other stores have appended; this one's own appends need no look. At least 1. Default: 1,000. */
  pollMs?: number;
  /** The first pause after a failure, doubled with each further one. At least 1. Default: 100. */
  retryMs?: number;
  /** The longest pause. At least `retryMs`. Default: 30,000. */
  maxRetryMs?: number;
  /** Failures in a row after which the handler gives up with the last of them. Default: it never does. */
  maxFailures?: number;
  /** Is told of every failure that is followed by a pause. */
  onFailure?: (error: unknown, failure: HandlerFailure) => void;
  /** Default: the platform's. */
  timers?: Timers;
}

/** How a handler ended. */
export interface HandlerEnd {
  /** Where the bookmark is. */
  position: bigint;
  /** Events that this runner has handled. */
  events: number;
}

/**
 * Handles the events of a query, those that are there and those to come, until the signal is aborted.
 *
 * An event whose handler throws is tried again, after pauses that double: nothing is passed over, since what comes later may rest
 * on it. The events before it are committed, and those after it wait.
 *
 * @throws SluiceError `invalid_options`, `invalid_query`; `checkpoint_ahead` where the bookmark is beyond the end of the store, which
 * then has lost events that were handled (details: `position`, `head`); `store_closed`. After `maxFailures`, what failed last
 */
export async function runHandler<Transaction, Effect, Event extends EventShape = EventShape>(
  options: HandlerOptions<Event, Transaction, Effect>,
): Promise<HandlerEnd> {
  const runner = new Runner(options);
  return runner.run();
}

class Runner<Event extends EventShape, Transaction, Effect> {
  readonly #options: HandlerOptions<Event, Transaction, Effect>;
  readonly #query: QueryInput;
  readonly #batchEvents: number;
  readonly #retryMs: number;
  readonly #maxRetryMs: number;
  readonly #maxFailures: number;
  readonly #timers: Timers;
  #position = 0n;
  #events = 0;
  #failures = 0;
  /** The event at which the handler has thrown. Up to it, events go one by one, so that those before it are committed. */
  #carefulUntil = 0n;
  /** The event that the failure under way came with. */
  #failedAt: bigint | undefined;

  constructor(options: HandlerOptions<Event, Transaction, Effect>) {
    if (typeof options.name !== 'string' || options.name === '' || options.name.includes('\0'))
      throw invalidOptions('A handler needs a name, a text without NUL characters', 'name');
    this.#options = options;
    this.#query = toQuery(options.query as QueryInput);
    this.#batchEvents = whole(
      options.batchEvents ?? DEFAULT_HANDLER_BATCH_EVENTS,
      'batchEvents',
      1,
      MAX_HANDLER_BATCH_EVENTS,
    );
    this.#retryMs = whole(options.retryMs ?? HANDLER_RETRY_MS, 'retryMs', 1, MAX_DELAY_MS);
    this.#maxRetryMs = whole(
      options.maxRetryMs ?? Math.max(MAX_HANDLER_RETRY_MS, this.#retryMs),
      'maxRetryMs',
      this.#retryMs,
      MAX_DELAY_MS,
    );
    const { maxFailures } = options;
    this.#maxFailures =
      maxFailures === undefined
        ? Number.POSITIVE_INFINITY
        : whole(maxFailures, 'maxFailures', 1, Number.MAX_SAFE_INTEGER);
    this.#timers = options.timers ?? systemTimers;
  }

  async run(): Promise<HandlerEnd> {
    for (let hasEnded = false; !hasEnded && !this.#isAborted; ) {
      try {
        hasEnded = await this.#follow();
      } catch (error) {
        await this.#pause(error);
      }
    }
    return { position: this.#position, events: this.#events };
  }

  get #isAborted(): boolean {
    return this.#options.signal?.aborted === true;
  }

  /** Handles events from the bookmark on. Resolves with true at the end, with false where the bookmark was moved by others. */
  async #follow(): Promise<boolean> {
    const { store, database, name, signal } = this.#options;
    this.#position = await database.bookmark(name);
    await this.#checkBookmark(store);
    const queue = new BatchQueue((stopped) => this.#source(stopped), this.#batchEvents);
    const stop = (): void => void queue.stop();
    signal?.addEventListener('abort', stop);
    try {
      for (;;) {
        if (this.#isAborted) return true;
        const batch = await queue.take(this.#position < this.#carefulUntil ? 1 : this.#batchEvents);
        if (batch.length === 0 || this.#isAborted) return true;
        if (!(await this.#handle(batch))) return false;
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      await queue.stop();
    }
  }

  #source(stopped: AbortSignal): AsyncIterable<Stored<Event>> {
    const { store, stopsAtEnd, pollMs } = this.#options;
    const after = this.#position;
    const events =
      stopsAtEnd === true
        ? store.iterate(this.#query, { after })
        : store.subscribe(this.#query, {
            after,
            signal: stopped,
            pollMs: pollMs ?? HANDLER_POLL_MS,
          });
    return events as AsyncIterable<unknown> as AsyncIterable<Stored<Event>>;
  }

  async #handle(batch: readonly Stored<Event>[]): Promise<boolean> {
    const { database, name, handle } = this.#options;
    let current: bigint | undefined;
    let move: BookmarkMove;
    try {
      move = await database.move(name, this.#position, batch, (event, transaction) => {
        current = event.position;
        return handle(event, transaction);
      });
    } catch (error) {
      if (current !== undefined) this.#carefulUntil = current;
      this.#failedAt = current;
      throw error;
    }
    this.#position = move.position;
    if (!move.isMoved) return false;
    this.#events += batch.length;
    if (this.#position >= this.#carefulUntil) this.#failures = 0;
    return true;
  }

  /** A bookmark beyond the end would pass over new events in silence, for as many as there were before. */
  async #checkBookmark(store: HandlerStore): Promise<void> {
    const position = this.#position;
    if (position === 0n) return;
    // After the bookmark: it can only have been moved to what was there already.
    const head = await store.head();
    if (head >= position) return;
    throw new SluiceError(
      'checkpoint_ahead',
      `The bookmark of the handler ${this.#options.name} is at ${position}, but the last event is at ${head}: the store was cleared or restored. Set the bookmark to where the handler is to go on`,
      { details: { position: String(position), head: String(head) } },
    );
  }

  async #pause(error: unknown): Promise<void> {
    const position = this.#failedAt;
    this.#failedAt = undefined;
    if (position === undefined && isSluiceError(error) && LASTING.has(error.code)) throw error;
    this.#failures += 1;
    if (this.#failures >= this.#maxFailures) throw error;
    // 2^31 first pauses are beyond any bound; without it, the power would be infinite in the end.
    const factor = 2 ** Math.min(this.#failures - 1, 31);
    const delayMs = Math.min(this.#retryMs * factor, this.#maxRetryMs);
    this.#options.onFailure?.(error, { position, failures: this.#failures, delayMs });
    await pause(this.#timers, delayMs, this.#options.signal);
  }
}

/** What does not go away by itself. */
const LASTING: ReadonlySet<string> = new Set([
  'store_closed',
  'checkpoint_ahead',
  'invalid_query',
  'invalid_options',
]);

// Timers of the platforms hold 31 bits.
const MAX_DELAY_MS = 2_147_483_647;

function pause(timers: Timers, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = timers.after(delayMs, end);
    signal?.addEventListener('abort', end);
  });
}

function whole(value: number, option: string, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw invalidOptions(`${option} must be a whole number from ${least} to ${most}: ${String(value)}`, option);
}

function invalidOptions(message: string, option: string): SluiceError {
  return new SluiceError('invalid_options', message, { details: { option } });
}
