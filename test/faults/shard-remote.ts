/** The shard of a run, from outside: its figures, and what it is told to do wrong. */

import type { BenchTarget } from '../../lab/suites/ingest/load.ts';
import type { DeadLetter, DroppedDeadLetters } from '../../src/outbox/dead-letter.ts';
import type { DeadLetterChoice } from '../../src/outbox/dead-letter-filter.ts';
import type { MissingChoice } from '../../src/outbox/missing-messages.ts';
import type { RetriedDeadLetters, ShardState } from '../../src/outbox/shard-admin.ts';
import { HANG_LIMIT_MS } from '../support/patience.ts';
import type { Scrape } from './judge.ts';
import type { ShardOrders, Strikes } from './orders.ts';

export class ShardRemote {
  readonly #workerUrl: () => URL;
  readonly #target: string;
  #otherWorker: URL | undefined;

  constructor(workerUrl: () => URL, target: BenchTarget) {
    this.#workerUrl = workerUrl;
    this.#target = JSON.stringify(target);
  }

  /**
   * From now on the shard is that of another Worker, which is not the lab's: it takes no orders and shows no dead letters,
   * so there must be none, and it is not wiped.
   */
  moveTo(worker: URL): void {
    this.#otherWorker = worker;
  }

  /** Where clients connect, through whatever listens on `port`. */
  socketUrl(port: number): string {
    const url = this.#url('/bench/ws');
    url.protocol = 'ws:';
    if (this.#otherWorker === undefined) url.port = String(port);
    return url.href;
  }

  /** Its figures. Asking starts a shard that is not running. */
  async stats(): Promise<Scrape> {
    const [stats] = await this.#ask<[Scrape]>('GET', '/bench/stats');
    return stats;
  }

  /** From now on it does this wrong, and nothing else. */
  async order(orders: ShardOrders): Promise<void> {
    if (this.#otherWorker === undefined) await this.#ask('POST', '/faults/orders', orders);
  }

  /** How often it did what it was told. A new start of workerd forgets it. */
  strikes(): Promise<Strikes> {
    return this.#ask('GET', '/faults/strikes');
  }

  /** Ends its object on the spot, with all that it has in memory. */
  async crash(): Promise<void> {
    await this.#ask('POST', '/faults/crash');
  }

  /**
   * Takes it out of memory as if it had been idle, its sockets left open. Like the platform it waits until no timer is
   * set and nothing is under way.
   *
   * @throws Error where that does not come
   */
  async hibernate(): Promise<void> {
    await this.#ask('POST', '/faults/hibernate');
  }

  async deadLetters(): Promise<DeadLetter[]> {
    if (this.#otherWorker !== undefined) return [];
    return this.#ask('GET', '/faults/dead-letters');
  }

  // What operators do (src/outbox/shard-admin.ts).

  retryDeadLetters(request: { ids: DeadLetterChoice; payload?: string }): Promise<RetriedDeadLetters> {
    return this.#ask('POST', '/faults/dead-letters/retry', request);
  }

  dropDeadLetters(request: { ids: DeadLetterChoice }): Promise<DroppedDeadLetters> {
    return this.#ask('POST', '/faults/dead-letters/drop', request);
  }

  resume(missing?: MissingChoice): Promise<ShardState> {
    return this.#ask('POST', '/faults/resume', missing === undefined ? {} : { missing });
  }

  /** What was added to the prototypes of its isolate, and whether it would be noticed. */
  prototypes(): Promise<{ added: string[]; isNoticed: boolean }> {
    return this.#ask('GET', '/faults/prototypes');
  }

  /** Deletes all that it ever stored. */
  async wipe(): Promise<void> {
    if (this.#otherWorker === undefined) await this.#ask('POST', '/faults/wipe');
  }

  #url(path: string): URL {
    const url = new URL(path, this.#otherWorker ?? this.#workerUrl());
    url.searchParams.set('target', this.#target);
    return url;
  }

  async #ask<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(this.#url(path), {
      method,
      signal: AbortSignal.timeout(HANG_LIMIT_MS),
      // The other end closes connections that are idle, perhaps at the moment at which one is used again.
      headers: { connection: 'close' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
    return (text === '' ? undefined : JSON.parse(text)) as Answer;
  }
}
