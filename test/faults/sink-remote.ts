/** The shards of a run's sink, from outside: as `ShardRemote`, for several shards whose options change. */

import type { BenchSinkSpec } from '../../lab/suites/ingest/bench-sink.ts';
import type { LimitsOf } from '../../src/access/limits.ts';
import type { DeadLetter } from '../../src/outbox/dead-letter.ts';
import { HANG_LIMIT_MS } from '../support/patience.ts';
import type { Scrape } from './judge.ts';
import type { ShardOrders, Strikes } from './orders.ts';
import { ShardRemote } from './shard-remote.ts';

export class SinkRemote extends ShardRemote {
  readonly #workerUrl: () => URL;
  readonly #name: string;
  #secrets: string[] | undefined;

  constructor(workerUrl: () => URL, name: string) {
    super(workerUrl, { run: name, spec: null, driver: 'tcp', shards: 1 });
    this.#workerUrl = workerUrl;
    this.#name = name;
  }

  /** From their next start on, its shards find this sink; or, where it is not defined, none. */
  async define(spec: BenchSinkSpec, isDefined = true, limits?: LimitsOf): Promise<void> {
    await this.#request('PUT', '', { spec, isDefined, limits, secrets: this.#secrets });
  }

  /**
   * From the next `define` on, only those may send whose tokens or tickets are signed with one of these secrets. To be called
   * before anybody connects: an address of before leads past the lock.
   */
  lock(secrets: string[]): void {
    this.#secrets = secrets;
  }

  /** The name under which clients and tokens know it. */
  get name(): string {
    return this.#name;
  }

  /** What operators ask of the Worker: a path below `/admin`. */
  async operate<Answer>(path: string, body: unknown): Promise<Answer> {
    const response = await fetch(new URL(`/admin/${path}`, this.#workerUrl()), {
      method: 'POST',
      signal: AbortSignal.timeout(HANG_LIMIT_MS),
      headers: { connection: 'close', 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`POST /admin/${path}: ${response.status} ${text.slice(0, 300)}`);
    return JSON.parse(text) as Answer;
  }

  /** Ends the objects of all shards on the spot, as a deployment does. */
  override async crash(): Promise<void> {
    await this.#request('POST', '/crash');
  }

  /** Numbers of the shards that the directory lists. */
  listed(): Promise<number[]> {
    return this.#request('GET', '/listed');
  }

  /** The figures of each shard that there may ever be. */
  shardStats(): Promise<(Scrape & { shard: number; sockets: number })[]> {
    return this.#request('GET', '/stats');
  }

  override socketUrl(port: number): string {
    const path = this.#secrets === undefined ? `sinks/${this.#name}/ws` : `locked/ws/${this.#name}`;
    const url = new URL(`/faults/${path}`, this.#workerUrl());
    url.protocol = 'ws:';
    url.port = String(port);
    return url.href;
  }

  /** The sums of all shards. */
  override async stats(): Promise<Scrape> {
    return sumOf(await this.shardStats());
  }

  override async order(orders: ShardOrders): Promise<void> {
    await this.#request('POST', '/orders', orders);
  }

  override strikes(): Promise<Strikes> {
    return this.#request('GET', '/strikes');
  }

  override deadLetters(): Promise<DeadLetter[]> {
    return this.#request('GET', '/dead-letters');
  }

  override async wipe(): Promise<void> {
    await this.#request('POST', '/wipe');
  }

  async #request<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
    const url = new URL(`/faults/sinks/${this.#name}${path}`, this.#workerUrl());
    const response = await fetch(url, {
      method,
      signal: AbortSignal.timeout(HANG_LIMIT_MS),
      // The other end closes connections that are idle, perhaps at the moment at which one is used again.
      headers: { connection: 'close' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${url.pathname}: ${response.status} ${text.slice(0, 300)}`);
    return (text === '' ? undefined : JSON.parse(text)) as Answer;
  }
}

const SUMS = [
  'received',
  'recovered',
  'duplicate',
  'committed',
  'dead',
  'buffered',
  'flushes',
  'failures',
  'deadLetters',
] as const;

function sumOf(shards: readonly Scrape[]): Scrape {
  const busy = shards.filter(({ buffered }) => buffered > 0);
  const sum = { ...(shards[0] as Scrape), refused: {} as Record<string, number> };
  for (const name of SUMS) sum[name] = shards.reduce((total, shard) => total + shard[name], 0);
  for (const { refused } of shards)
    for (const [reason, count] of Object.entries(refused))
      sum.refused[reason] = (sum.refused[reason] ?? 0) + count;
  // Limits hold for each shard.
  for (const name of ['bufferedBytes', 'outboxBytes'] as const)
    sum[name] = Math.max(...shards.map((shard) => shard[name]));
  // The latest start of those that have something to do.
  sum.sinceMs = Math.max(...(busy.length > 0 ? busy : shards).map(({ sinceMs }) => sinceMs));
  sum.lastError = shards.map(({ lastError }) => lastError).find((error) => error !== null) ?? null;
  return sum;
}
