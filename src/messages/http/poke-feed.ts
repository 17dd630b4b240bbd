/**
 * Tells subscribers that there are messages: a poke says where a message is, and its reader fetches it. Each subscriber
 * gets the pokes of all messages that it asked for, from its position through history into what is being written, in the
 * order of their global positions, each once.
 *
 * One head moves through the namespace for all of them: what this process writes moves it at once; where somebody else
 * wrote in between, what is missing is read from the store. A new subscriber reads its history from the store, and joins
 * with what the head has passed meanwhile.
 */

import { SluiceError } from '../../core/errors.ts';
import { MAX_PAGE_BYTES, MAX_SUBSCRIBERS } from '../../core/limits.ts';
import type { Timers } from '../../core/timers.ts';
import { PageSize } from '../../store/page-size.ts';
import type { MessageStore } from '../message-store.ts';
import { checkCategory, checkConsumerGroup, checkStreamWithId } from '../names.ts';
import {
  type Poke,
  type PokeSink,
  type Subscribed,
  Subscriber,
  type Subscription,
} from './poke-subscriber.ts';

export interface PokeFeedOptions {
  store: MessageStore;
  timers: Timers;
  /** How often to look for what others wrote while somebody is subscribed. Undefined: nobody else can write. */
  pollMs?: number | undefined;
  /** Default: 100, as EventoDB allows for a token. */
  maxSubscribers?: number;
  /** Pokes kept for a reader that is slower than the writers; beyond, it reads them from the store. Default: 1,000. */
  maxQueued?: number;
  /** How long a reader may take nothing of what is there for it. Default: 30,000. */
  slowReaderMs?: number;
  /** How long a quiet subscription is left without a word. Default: 15,000. */
  keepAliveMs?: number;
  /** Messages of one read. They come with their data, which is not needed here. Default: 200. */
  pageMessages?: number;
  /** Told what stopped a read; it is tried again, or the subscriber ends. */
  onFailure(error: unknown): void;
}

/** When a read of the store that failed is tried again. */
const RETRY_MS = 1_000;

export class PokeFeed {
  readonly #options: PokeFeedOptions & { maxSubscribers: number; keepAliveMs: number; pageMessages: number };
  readonly #subscribers = new Set<Subscriber>();
  /** Everything up to it was passed on. Undefined until it is known. */
  #head: bigint | undefined;
  #starting: Promise<void> | undefined;
  #isLooking = false;
  /** Something may have been written after the head. */
  #isBehind = false;
  #cancelPoll: (() => void) | undefined;
  #cancelKeepAlive: (() => void) | undefined;
  /** Counts lives: what an earlier one still reads must not move the head of this one. */
  #life = 0;

  constructor(options: PokeFeedOptions) {
    this.#options = { ...options, ...defaults(options) };
  }

  get subscribers(): number {
    return this.#subscribers.size;
  }

  /** There are as many subscribers as there may be. */
  get isFull(): boolean {
    return this.#subscribers.size >= this.#options.maxSubscribers;
  }

  /** Sends all subscribers something that means nothing, by which the platform learns who of them is gone. */
  keepAlive(): void {
    for (const subscriber of [...this.#subscribers]) subscriber.keepAlive();
  }

  /**
   * Adds a subscriber.
   *
   * @throws SluiceError `invalid_stream_name`, `invalid_category`, `invalid_options`, `too_many_subscribers`
   */
  subscribe(subscription: Subscription, sink: PokeSink): Subscribed {
    checkSubscription(subscription);
    const { maxSubscribers, store, timers, onFailure } = this.#options;
    if (this.isFull) {
      throw new SluiceError(
        'too_many_subscribers',
        `There are ${maxSubscribers} subscribers, which is as many as a namespace may have`,
        { details: { maxSubscribers } },
      );
    }
    const subscriber = new Subscriber({
      subscription,
      sink,
      store,
      timers,
      ...readerDefaults(this.#options),
      pageMessages: this.#options.pageMessages,
      head: () => this.#knownHead(),
      onFailure,
      onEnd: () => this.#remove(subscriber),
    });
    this.#subscribers.add(subscriber);
    this.#keepAliveSoon();
    void subscriber.run();
    return subscriber;
  }

  /** Tells of messages that were written here. To be called in the order of global positions. */
  wrote(stream: string, last: { position: bigint; globalPosition: bigint }, count: number): void {
    if (this.#subscribers.size === 0) return;
    const before = last.globalPosition - BigInt(count);
    if (this.#head !== before || this.#isLooking) {
      this.moved();
      return;
    }
    this.#head = last.globalPosition;
    for (let back = BigInt(count) - 1n; back >= 0n; back -= 1n) {
      this.#publish({ stream, position: last.position - back, globalPosition: last.globalPosition - back });
    }
  }

  /** Tells that something was written of which no more is known. */
  moved(): void {
    if (this.#subscribers.size === 0) return;
    this.#isBehind = true;
    if (this.#head !== undefined) void this.#look();
  }

  /** Tells of messages that an import has written, or may have written where its answer was lost. */
  imported(rows: readonly { stream: string; globalPosition: bigint }[]): void {
    if (this.#subscribers.size === 0) return;
    const head = this.#head;
    // While the store is looked at, a page may be on its way that was read before the import: then all are told of, and
    // some of them may be poked as well.
    const below =
      head === undefined || this.#isLooking
        ? rows
        : rows.filter(({ globalPosition }) => globalPosition <= head);
    if (below.length > 0) for (const subscriber of this.#subscribers) subscriber.importedBelow(below);
    this.moved();
  }

  /** Ends all subscriptions: the messages that they read are gone, or the store is. */
  close(): void {
    for (const subscriber of [...this.#subscribers]) subscriber.end();
    this.#stop();
  }

  /** The head, once it is known. */
  async #knownHead(): Promise<bigint> {
    if (this.#head === undefined) {
      this.#starting ??= this.#start();
      await this.#starting;
    }
    if (this.#head === undefined) throw new SluiceError('store_closed', 'The subscription has ended');
    return this.#head;
  }

  async #start(): Promise<void> {
    const life = this.#life;
    try {
      const { head } = await this.#options.store.info();
      if (life !== this.#life) return;
      this.#head = head;
      if (this.#isBehind) void this.#look();
      this.#pollSoon();
    } finally {
      if (life === this.#life) this.#starting = undefined;
    }
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const life = this.#life;
    const { store, pageMessages } = this.#options;
    const size = new PageSize(pageMessages, MAX_PAGE_BYTES);
    try {
      while (this.#isBehind && this.#head !== undefined) {
        this.#isBehind = false;
        const batchSize = size.messages;
        const page = await store.readCategoryRecords('', { globalPosition: this.#head + 1n, batchSize });
        if (life !== this.#life) return;
        size.learn(page);
        for (const { stream, position, globalPosition } of page) {
          this.#head = globalPosition;
          this.#publish({ stream, position, globalPosition });
        }
        if (page.length === batchSize) this.#isBehind = true;
      }
    } catch (error) {
      if (life !== this.#life) return;
      this.#isBehind = true;
      this.#options.onFailure(error);
      this.#cancelPoll?.();
      this.#cancelPoll = this.#options.timers.after(RETRY_MS, () => {
        this.#pollSoon();
        void this.#look();
      });
    } finally {
      if (life === this.#life) this.#isLooking = false;
    }
  }

  #publish(poke: Poke): void {
    for (const subscriber of this.#subscribers) subscriber.offer(poke);
  }

  #pollSoon(): void {
    const { pollMs, timers } = this.#options;
    this.#cancelPoll?.();
    if (pollMs === undefined) return;
    this.#cancelPoll = timers.after(pollMs, () => {
      this.#pollSoon();
      this.moved();
    });
  }

  #keepAliveSoon(): void {
    this.#cancelKeepAlive ??= this.#options.timers.after(this.#options.keepAliveMs, () => {
      this.#cancelKeepAlive = undefined;
      this.keepAlive();
      if (this.#subscribers.size > 0) this.#keepAliveSoon();
    });
  }

  #remove(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
    if (this.#subscribers.size === 0) this.#stop();
  }

  // Nobody listens: what is written is not followed any more, and nothing keeps the object awake.
  #stop(): void {
    this.#life += 1;
    this.#head = undefined;
    this.#starting = undefined;
    this.#isLooking = false;
    this.#isBehind = false;
    this.#cancelPoll?.();
    this.#cancelPoll = undefined;
    this.#cancelKeepAlive?.();
    this.#cancelKeepAlive = undefined;
  }
}

function defaults(options: PokeFeedOptions) {
  return {
    maxSubscribers: options.maxSubscribers ?? MAX_SUBSCRIBERS,
    keepAliveMs: options.keepAliveMs ?? 15_000,
    pageMessages: options.pageMessages ?? 200,
  };
}

function readerDefaults(options: PokeFeedOptions) {
  return { maxQueued: options.maxQueued ?? 1_000, slowReaderMs: options.slowReaderMs ?? 30_000 };
}

function checkSubscription({ of, position, consumer }: Subscription): void {
  if (of !== 'all') {
    if ('stream' in of) checkStreamWithId(of.stream);
    else checkCategory(of.category);
  }
  if (position !== undefined && position < 0n)
    throw new SluiceError('invalid_options', `position must be at least 0, and is ${position}`);
  if (consumer === undefined) return;
  if (of !== 'all' && 'stream' in of)
    throw new SluiceError(
      'invalid_options',
      'A consumer group shares streams: it cannot be used with one stream',
    );
  checkConsumerGroup(consumer);
}
