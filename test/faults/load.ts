/** Producers that send for as long as a fault lasts. */

import { setTimeout as delay } from 'node:timers/promises';
import type { AckLevel, ClientEvent } from '../../src/client/index.ts';
import type { LabDiskOptions } from './lab-disk.ts';
import type { Ledger } from './ledger.ts';
import type { LabCredentials } from './locks.ts';
import { Producer } from './producer.ts';
import type { Random } from './random.ts';
import { whileLess } from './while-less.ts';
import type { Wire } from './wire.ts';

export interface LoadOptions {
  /** Default: 3. */
  producers?: number;
  /** Their names. Default: p0, p1, … */
  names?: readonly string[];
  /** Default: chosen for each producer, `stored` three times out of four. */
  ack?: AckLevel;
  /** Messages of each producer, at most. Default: 10,000. */
  maxMessages?: number;
  /** Messages handed over at once, at most. Default: 20. */
  chunk?: number;
  /** The longest pause between two chunks. Default: 20. */
  paceMs?: number;
  /** The producers' clients have a disk that outlives them. Default: false. */
  hasDisk?: boolean;
  disk?: LabDiskOptions;
  wire?: Wire;
  /** How much faster the clients' clocks run. Default: ten times. */
  speed?: number;
  /** Whether the next message is one that Postgres refuses. Default: none is. */
  isPoison?: () => boolean;
  onEvent?: (producer: string, event: ClientEvent) => void;
  /** How the clients of a producer say who they are, by its name. Default: not at all. */
  credentials?: (producer: string) => LabCredentials;
}

/** A producer with so many messages unacked sends no more for now. */
const MOST_UNACKED = 3_000;

/** A client that is there at the end has sent so much at least. */
const LEAST_SENT = 40;

export class Load {
  readonly producers: readonly Producer[];
  readonly #random: Random;
  readonly #loops: Promise<void>[];
  #isPaused = false;
  #isStopped = false;

  constructor(
    { url, ledger, random }: { url: string; ledger: Ledger; random: Random },
    {
      names,
      producers = names?.length ?? 3,
      ack,
      maxMessages = 10_000,
      chunk = 20,
      paceMs = 20,
      onEvent,
      ...options
    }: LoadOptions,
  ) {
    this.#random = random;
    this.producers = Array.from({ length: producers }, (_, index) => {
      const name = names?.[index] ?? `p${index}`;
      return new Producer({
        url,
        name,
        ledger,
        random: random.fork(),
        ack: ack ?? (random.chance(0.75) ? 'stored' : 'committed'),
        hasDisk: options.hasDisk ?? false,
        disk: options.disk,
        wire: options.wire,
        speed: options.speed,
        isPoison: options.isPoison,
        credentials: options.credentials?.(name),
        onEvent: onEvent === undefined ? undefined : (event) => onEvent(name, event),
      });
    });
    this.#loops = this.producers.map((producer) => this.#run(producer, maxMessages, chunk, paceMs));
  }

  async #run(producer: Producer, maxMessages: number, chunk: number, paceMs: number): Promise<void> {
    const random = this.#random.fork();
    for (let sent = 0; sent < maxMessages && !this.#isOver(producer); ) {
      const { client } = producer;
      // A client that died or was fenced sends no more; perhaps another one takes its place.
      if (!client.isOver && !this.#isPaused) {
        await Promise.race([client.ready(), delay(paceMs)]);
        if (this.#isOver(producer)) break;
        if (this.#isPaused) continue;
        const { unackedMessages } = client.stats;
        if (!client.isOver && client === producer.client && unackedMessages < MOST_UNACKED) {
          const count = random.integer(1, chunk);
          producer.send(count);
          sent += count;
        }
      }
      await delay(random.integer(1, paceMs));
    }
  }

  // However short the fault was, and however slow the machine: what is sent is enough to be judged.
  #isOver({ client }: Producer): boolean {
    if (!this.#isStopped || this.#isPaused || client.isOver) return this.#isStopped;
    return client.stats.acked + client.stats.unackedMessages >= LEAST_SENT;
  }

  /** Nothing new is sent before `resume`; what was sent is. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  /**
   * Ends the sending, and closes every client once it has all its acks: as long as they come, and `standstillMs` after the
   * last one. Returns how many acks never came.
   */
  async finish(standstillMs: number): Promise<number> {
    this.#isStopped = true;
    await Promise.all(this.#loops);
    const unacked = (): number => this.producers.reduce((sum, producer) => sum + producer.unacked, 0);
    const closing = Promise.all(this.producers.map((producer) => producer.close()));
    return (await whileLess(closing, unacked, standstillMs)) ? 0 : unacked();
  }
}
