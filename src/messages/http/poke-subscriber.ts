/** One reader of pokes: through what is in the store first, then with the head of the feed, as fast as it takes them. */

import { isSluiceError, SluiceError } from '../../core/errors.ts';
import { MAX_PAGE_BYTES } from '../../core/limits.ts';
import type { Timers } from '../../core/timers.ts';
import { PageSize } from '../../store/page-size.ts';
import type { MessageRecord } from '../engine.ts';
import type { MessageStore } from '../message-store.ts';
import { consumerGroupMember, messageCategory } from '../names.ts';

export interface Poke {
  stream: string;
  position: bigint;
  globalPosition: bigint;
}

export interface Subscription {
  of: { stream: string } | { category: string } | 'all';
  /**
   * The first position wanted: of the stream, else global. Undefined: from the first one; of all messages, from the next
   * one that is written (as EventoDB).
   */
  position: bigint | undefined;
  /** Only streams that belong to this member. Not for a single stream. */
  consumer: { member: number; size: number } | undefined;
  /** Whether to tell of messages that an import has put before what was sent already. Default: false. */
  imports?: boolean;
}

/** Messages that an import has put below the head: so many, from a global position to another one. */
export interface ImportedBelow {
  from: bigint;
  to: bigint;
  messages: number;
}

/** Where pokes go. */
export interface PokeSink {
  /** False while the reader has not taken what it was sent. */
  readonly hasRoom: boolean;
  /** It has begun: from now on nothing is missed. Called once, before anything else is sent. */
  ready(): void;
  send(pokes: readonly Poke[]): void;
  /** Tells of messages of an import below what was sent; they may be told of as pokes, too. */
  imported(range: ImportedBelow): void;
  /** Something that means nothing, so that nobody on the way takes the connection for dead. */
  keepAlive(): void;
  close(): void;
}

/** The reader's end of a subscription. */
export interface Subscribed {
  /**
   * Resolves when the subscription has begun, and nothing is missed from then on.
   *
   * @throws SluiceError `checkpoint_ahead` where it would begin beyond the end (details: `position`, `head`); what the
   * database fails with. The subscription has ended then
   */
  readonly started: Promise<void>;
  /** To be called when `hasRoom` has become true. */
  roomAgain(): void;
  /** To be called when the reader is gone. */
  end(): void;
}

export interface SubscriberOptions {
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

export class Subscriber implements Subscribed {
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
  readonly started: Promise<void>;
  #start: { resolve(): void; reject(error: unknown): void } | undefined;
  /** What imports have put below the head and was not told yet. */
  #imported: ImportedBelow | undefined;
  /** Wakes those who wait for room or for a poke. */
  #wake: (() => void) | undefined;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    const { of, position } = options.subscription;
    this.#stream = of !== 'all' && 'stream' in of ? of.stream : undefined;
    this.#category = of !== 'all' && 'category' in of ? of.category : undefined;
    this.#next = position ?? 0n;
    this.started = new Promise<void>((resolve, reject) => {
      this.#start = { resolve, reject };
    });
    // Nobody has to look at it.
    this.started.catch(() => {});
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
      await this.#checkStart(head);
      if (this.#hasEnded) return;
      this.#options.sink.ready();
      this.#start?.resolve();
      this.#start = undefined;
      while (!this.#hasEnded) {
        if (hasHistory) await this.#readHistory();
        await this.#followHead();
        hasHistory = true;
      }
    } catch (error) {
      const isOwnFault = isSluiceError(error) && error.code === 'checkpoint_ahead';
      if (!this.#hasEnded && !isOwnFault) this.#options.onFailure(error);
      this.#start?.reject(error);
      this.#start = undefined;
      this.end();
    }
  }

  /** A subscription that goes on beyond the end would pass over what comes next, for as many as there were before. */
  async #checkStart(head: bigint): Promise<void> {
    const { store, subscription } = this.#options;
    if (subscription.position === undefined) return;
    if (this.#stream === undefined && this.#next <= head + 1n) return;
    // The head of the feed may be late by what others have written. The store is asked after the position was learnt:
    // what that was learnt from is there.
    const last =
      this.#stream === undefined ? (await store.info()).head : ((await store.version(this.#stream)) ?? -1n);
    if (this.#next <= last + 1n) return;
    const of = this.#stream === undefined ? 'The last message' : `The last message of ${this.#stream}`;
    throw new SluiceError(
      'checkpoint_ahead',
      `${of} is at ${last === -1n ? 'no position' : `position ${last}`}, and the subscription would begin at ${this.#next}: the store was cleared or restored. Begin at a position that it has`,
      { details: { position: Number(this.#next), head: Number(last) } },
    );
  }

  /** Sends what is in the store, until what follows is in the queue. */
  async #readHistory(): Promise<void> {
    const { pageMessages, sink } = this.#options;
    const size = new PageSize(pageMessages, MAX_PAGE_BYTES);
    while (!this.#hasEnded) {
      await this.#room();
      if (this.#hasEnded) return;
      this.#tellImported();
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
      if (queue.length === 0 && this.#imported === undefined) {
        await this.#woken();
        continue;
      }
      await this.#room();
      if (this.#hasEnded) return;
      this.#tellImported();
      if (this.#queue === undefined) continue;
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

  /** Messages of an import that the head has passed, so that they are never poked. */
  importedBelow(places: readonly Pick<Poke, 'stream' | 'globalPosition'>[]): void {
    if (this.#hasEnded || this.#start !== undefined || this.#options.subscription.imports !== true) return;
    let range = this.#imported;
    for (const { stream, globalPosition } of places) {
      if (!this.#isOf(stream)) continue;
      range ??= { from: globalPosition, to: globalPosition, messages: 0 };
      if (globalPosition < range.from) range.from = globalPosition;
      if (globalPosition > range.to) range.to = globalPosition;
      range.messages += 1;
    }
    this.#imported = range;
    this.#wakeUp();
  }

  // One range, however many imports there are while the reader takes nothing.
  #tellImported(): void {
    const range = this.#imported;
    this.#imported = undefined;
    if (range !== undefined) this.#options.sink.imported(range);
  }

  #wants({ stream, position, globalPosition }: Poke): boolean {
    if ((this.#stream === undefined ? globalPosition : position) < this.#next) return false;
    return this.#isOf(stream);
  }

  #isOf(stream: string): boolean {
    if (this.#stream !== undefined) return stream === this.#stream;
    if (this.#category !== undefined && messageCategory(stream) !== this.#category) return false;
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
    this.#start?.reject(new SluiceError('store_closed', 'The subscription has ended'));
    this.#start = undefined;
    this.#queue = undefined;
    this.#imported = undefined;
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
