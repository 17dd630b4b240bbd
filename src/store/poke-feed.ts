/**
 * Tells subscribers that there are messages: a poke says where a message is, and its reader fetches it. Each subscriber
 * gets the pokes of all messages that it asked for, from its position through history into what is being written, in the
 * order of their global positions, each once.
 *
 * One head moves through the namespace for all of them: what this process writes moves it at once; where somebody else
 * wrote in between, what is missing is read from the store. A new subscriber reads its history from the store, and joins
 * with what the head has passed meanwhile.
 */

import { SluiceError } from '../errors.ts';
import type { Timers } from '../ingest/timers.ts';
import { MAX_PAGE_BYTES, MAX_SUBSCRIBERS } from '../limits.ts';
import type { MessageRecord } from './engine.ts';
import type { MessageStore } from './message-store.ts';
import {
  category,
  checkCategory,
  checkConsumerGroup,
  checkStreamWithId,
  consumerGroupMember,
} from './names.ts';
import { PageSize } from './page-size.ts';

export interface Poke {
  stream: string;
  position: bigint;
  globalPosition: bigint;
}

export interface Subscription {
  of: { stream: string } | { category: string } | 'all';
  /**
   * The first position wanted: of the stream, else global. Undefined: from the first one; of all messages, from the next
   * one that is written (as system 1).
   */
  position: bigint | undefined;
  /** Only streams that belong to this member. Not for a single stream. */
  consumer: { member: number; size: number } | undefined;
}

/** Where pokes go. */
export interface PokeSink {
  /** False while the reader has not taken what it was sent. */
  readonly hasRoom: boolean;
  send(pokes: readonly Poke[]): void;
  /** Something that means nothing, so that nobody on the way takes the connection for dead. */
  keepAlive(): void;
  close(): void;
}

/** The reader's end of a subscription. */
export interface Subscribed {
  /** To be called when `hasRoom` has become true. */
  roomAgain(): void;
  /** To be called when the reader is gone. */
  end(): void;
}

export interface PokeFeedOptions {
  store: MessageStore;
  timers: Timers;
  /** How often to look for what others wrote while somebody is subscribed. Undefined: nobody else can write. */
  pollMs?: number | undefined;
  /** Default: 100, as system 1 allows for a token. */
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
  /** Something may have been written behind the head. */
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

interface SubscriberOptions {
  subscription: Subscription;
  sink: PokeSink;
  store: MessageStore;
  timers: Timers;
  maxQueued: number;
  slowReaderMs: number;
  pageMessages: number;
  head(): Promise<bigint>;
  onFailure(error: unknown): void;
  onEnd(): void;
}

class Subscriber implements Subscribed {
  readonly #options: SubscriberOptions;
  readonly #category: string | undefined;
  readonly #stream: string | undefined;
  /** The next position wanted, in the unit of the subscription. */
  #next: bigint;
  /** The largest global position that was sent. */
  #seen = 0n;
  /** What the head passed and was not sent yet. Undefined: not collected, because more was missed than may be kept. */
  #queue: Poke[] | undefined;
  #hasEnded = false;
  /** Wakes whoever waits for room or for a poke. */
  #wake: (() => void) | undefined;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    const { of, position } = options.subscription;
    this.#stream = of !== 'all' && 'stream' in of ? of.stream : undefined;
    this.#category = of !== 'all' && 'category' in of ? of.category : undefined;
    this.#next = position ?? 0n;
  }

  async run(): Promise<void> {
    try {
      const { of, position } = this.#options.subscription;
      let hasHistory = of !== 'all' || position !== undefined;
      // Collected before the head is asked for: it may move before its answer is looked at.
      if (!hasHistory) this.#queue = [];
      const head = await this.#options.head();
      if (!hasHistory) {
        this.#next = head + 1n;
        this.#seen = head;
      }
      while (!this.#hasEnded) {
        if (hasHistory) await this.#readHistory();
        await this.#followHead();
        hasHistory = true;
      }
    } catch (error) {
      if (!this.#hasEnded) this.#options.onFailure(error);
      this.end();
    }
  }

  /** Sends what is in the store, until what follows is in the queue. */
  async #readHistory(): Promise<void> {
    const { pageMessages, sink } = this.#options;
    const size = new PageSize(pageMessages, MAX_PAGE_BYTES);
    while (!this.#hasEnded) {
      await this.#room();
      if (this.#hasEnded) return;
      // From here on the head's pokes are collected; what it passed before is in the store for this read to find.
      this.#queue = [];
      const batchSize = size.messages;
      const records = await this.#read(batchSize);
      if (this.#hasEnded) return;
      size.learn(records);
      const page = records.map(({ stream, position, globalPosition }) => ({
        stream,
        position,
        globalPosition,
      }));
      this.#note(page);
      if (page.length > 0) sink.send(page);
      if (page.length < batchSize && this.#queue !== undefined) return;
    }
  }

  #read(batchSize: number): Promise<MessageRecord[]> {
    const { store, subscription } = this.#options;
    return this.#stream === undefined
      ? store.readCategoryRecords(this.#category ?? '', {
          globalPosition: this.#next < 1n ? 1n : this.#next,
          batchSize,
          ...(subscription.consumer === undefined ? {} : { consumer: subscription.consumer }),
        })
      : store.readStreamRecords(this.#stream, { position: this.#next, batchSize });
  }

  /** Sends what the head passes, until more of it was missed than may be kept. */
  async #followHead(): Promise<void> {
    const { sink } = this.#options;
    while (!this.#hasEnded) {
      const queue = this.#queue;
      if (queue === undefined) return;
      if (queue.length === 0) {
        await this.#woken();
        continue;
      }
      await this.#room();
      if (this.#hasEnded || this.#queue === undefined) continue;
      const waiting = this.#queue;
      this.#queue = [];
      // What came while history was read may have been in it.
      const fresh = waiting.filter(({ globalPosition }) => globalPosition > this.#seen);
      this.#note(fresh);
      if (fresh.length > 0) sink.send(fresh);
    }
  }

  #note(pokes: readonly Poke[]): void {
    const last = pokes.at(-1);
    if (last === undefined) return;
    this.#seen = last.globalPosition;
    this.#next = (this.#stream === undefined ? last.globalPosition : last.position) + 1n;
  }

  /** A poke that the head has passed. */
  offer(poke: Poke): void {
    if (this.#queue === undefined || !this.#wants(poke)) return;
    if (this.#queue.length >= this.#options.maxQueued) this.#queue = undefined;
    else this.#queue.push(poke);
    this.#wakeUp();
  }

  #wants({ stream, position, globalPosition }: Poke): boolean {
    if (this.#stream !== undefined) return stream === this.#stream && position >= this.#next;
    if (this.#category !== undefined && category(stream) !== this.#category) return false;
    if (globalPosition < this.#next) return false;
    const { consumer } = this.#options.subscription;
    return consumer === undefined || consumerGroupMember(stream, consumer.size) === consumer.member;
  }

  keepAlive(): void {
    if (!this.#hasEnded && this.#options.sink.hasRoom) this.#options.sink.keepAlive();
  }

  roomAgain(): void {
    this.#wakeUp();
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#queue = undefined;
    this.#wakeUp();
    this.#options.sink.close();
    this.#options.onEnd();
  }

  /** Resolves once the reader takes more, or has not done so for too long and is sent away. */
  async #room(): Promise<void> {
    const { sink, timers, slowReaderMs } = this.#options;
    if (sink.hasRoom || this.#hasEnded) return;
    const cancel = timers.after(slowReaderMs, () => this.end());
    while (!sink.hasRoom && !this.#hasEnded) await this.#woken();
    cancel();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
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
