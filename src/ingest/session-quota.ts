/** What one socket may send: within the limits of its tenant, its producer, its address, and its own. */

import type { Limited } from '../access/limits.ts';
import { utf8Length } from '../core/utf8.ts';
import type { BatchHeader, Credit } from '../protocol/sluice-v1.ts';
import { NO_CREDIT } from './credit.ts';
import type { Meter } from './meter.ts';

/** How far beyond the last credit a client may be before it counts as one that ignores it: what was on its way. */
const CREDIT_SLACK = 1.25;

/** A client that waits for its share of the outbox hears of room once so much of the share is free. */
const ROOM_RETURNS_AT = 0.25;

/** What is counted of a frame. */
export interface Amount {
  messages: number;
  /** 0 where nobody counts them. */
  bytes: number;
}

/** Whose limit refuses a frame, and when the frame may come again. */
export interface RateRefusal {
  meter: Meter;
  /** Infinite where it is too much at once. */
  waitMs: number;
}

export class SessionQuota {
  readonly #meters: readonly Meter[];
  readonly #countsBytes: boolean;
  readonly #hasShare: boolean;
  #hasLeft = false;
  /** What it was granted and has not begun to send. */
  #lent = NO_CREDIT;
  /** The second in which the client sent last; 0 before it has sent anything. */
  #second = 0;
  /** The last credit above nothing, and what came since it fell to nothing. */
  #lastMessages = 0;
  #messagesWithout = 0;
  /** True where the client waits for tokens, and nobody has told it what for. */
  isUntold = false;
  /** Meters that it waits for. */
  #awaited: readonly Meter[] = [];
  /** True where it waits for its share of the outbox, and not for tokens. */
  waitsForRoom = false;

  /** The socket counts from now on. */
  constructor(meters: readonly Meter[]) {
    this.#meters = meters;
    this.#countsBytes = meters.some(({ countsBytes }) => countsBytes);
    this.#hasShare = meters.some(({ limits }) => limits.outboxShare !== undefined);
    for (const meter of meters) meter.sockets += 1;
  }

  /** The socket is gone. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#lend(0, 0);
    for (const meter of this.#meters) meter.sockets -= 1;
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Whose connections are too many with this one; the first of them. */
  get crowded(): Meter | undefined {
    return this.#meters.find(({ sockets, limits }) => sockets > (limits.connections ?? sockets));
  }

  /** The lines of a text from `start` on, of which there are so many, a newline counted for each. */
  amountOf(text: string, start: number, messages: number): Amount {
    if (!this.#countsBytes) return { messages, bytes: 0 };
    const newline = text.charCodeAt(text.length - 1) === 10 ? 0 : 1;
    return { messages, bytes: utf8Length(text, start, text.length) + newline };
  }

  /** True where a batch may be taken, in debt if need be. */
  allows({ messages, bytes }: Amount, nowMs: number): boolean {
    for (const meter of this.#meters) if (!meter.allows(messages, bytes, nowMs)) return false;
    return true;
  }

  /** It was taken. */
  take({ messages, bytes }: Amount, nowMs: number): void {
    if (this.#second === 0) this.#lend(0, 0);
    const second = Math.floor(nowMs / 1000);
    const isFirst = second !== this.#second;
    this.#second = second;
    for (const meter of this.#meters) {
      meter.take(messages, bytes, nowMs);
      if (isFirst) meter.countActive(second);
    }
  }

  /**
   * Why a batch is not taken; undefined where it is. A client that was told to wait has at most on its way what it was granted
   * before: beyond that it ignores its credit.
   *
   * @param isWithoutCredit the client was told to wait
   */
  refuses(
    amount: Amount,
    isWithoutCredit: boolean,
    nowMs: number,
  ): 'over_credit' | 'rate_limited' | undefined {
    if (amount.messages === 0 || this.allows(amount, nowMs)) return undefined;
    if (!isWithoutCredit) return 'rate_limited';
    this.#messagesWithout += amount.messages;
    return this.#messagesWithout > this.#lastMessages * CREDIT_SLACK + 1 ? 'over_credit' : 'rate_limited';
  }

  /** Why a frame of a socket without credit is not taken; undefined where it is. */
  refusalOf({ messages, bytes }: Amount, nowMs: number): RateRefusal | undefined {
    let refusal: RateRefusal | undefined;
    for (const meter of this.#meters) {
      const waitMs = meter.msUntilTaken(messages, bytes, nowMs);
      if (waitMs > (refusal?.waitMs ?? 0)) refusal = { meter, waitMs };
    }
    return refusal;
  }

  /** True where others wait for the same tokens, and come first. */
  get hasToQueue(): boolean {
    return this.#meters.some(({ waiting }) => waiting > 0);
  }

  /** The client waits from now on, for what it was not granted. */
  beginWaiting(nowMs: number): void {
    this.isUntold = true;
    this.#awaited = this.#meters.filter(
      (meter) => meter.hasRate && (meter.waiting > 0 || meter.isScarce(nowMs)),
    );
    this.waitsForRoom = this.#awaited.length === 0;
    for (const meter of this.#awaited) meter.waiting += 1;
  }

  endWaiting(): void {
    this.isUntold = false;
    this.waitsForRoom = false;
    for (const meter of this.#awaited) meter.waiting -= 1;
    this.#awaited = [];
  }

  /** Whose share of the outbox has no room for so many further messages; undefined where there is room. */
  fullShare(messages: number, characters: number): Meter | undefined {
    if (!this.#hasShare) return undefined;
    return this.#meters.find(
      ({ room }) => room !== undefined && (room.rows < messages || room.bytes < characters),
    );
  }

  /** What the client may have on its way: of the shard's credit, what there are tokens for. */
  limit(credit: Credit, nowMs: number): Credit {
    let { messages, bytes } = credit;
    const second = Math.floor(nowMs / 1000);
    // It may be one of many that come at once.
    const isNew = this.#second === 0;
    if (isNew) this.#lend(0, 0);
    for (const meter of this.#meters) {
      const clients = meter.activeIn(second);
      if (this.#hasShare) {
        const room = meter.roomForEach(clients, this.waitsForRoom ? ROOM_RETURNS_AT : 0);
        messages = Math.min(messages, room?.rows ?? messages);
        bytes = Math.min(bytes, room?.bytes ?? bytes);
      }
      if (!meter.hasRate) continue;
      messages = Math.min(
        messages,
        isNew ? meter.messagesForNew(nowMs) : meter.messagesForEach(clients, nowMs),
      );
      bytes = Math.min(bytes, isNew ? meter.bytesForNew(nowMs) : meter.bytesForEach(clients, nowMs));
    }
    if (messages === 0 || bytes === 0) return NO_CREDIT;
    if (isNew) this.#lend(messages, bytes);
    this.#lastMessages = Math.max(messages, this.#lastMessages / 2);
    this.#messagesWithout = 0;
    return messages === credit.messages && bytes === credit.bytes ? credit : { messages, bytes };
  }

  #lend(messages: number, bytes: number): void {
    if (this.#hasLeft && bytes > 0) return;
    for (const meter of this.#meters) {
      meter.lend(messages - this.#lent.messages, bytes - this.#lent.bytes);
    }
    this.#lent = { messages, bytes };
  }

  /** Takes from what is told of now; false where others were promised all of it. */
  promise({ messages }: Credit, nowMs: number): boolean {
    for (const meter of this.#meters) {
      const left = meter.messagesForAll(nowMs) - meter.promised;
      if (meter.promised > 0 && left < messages) return false;
    }
    for (const meter of this.#meters) meter.promised += messages;
    return true;
  }

  /** Others are told of tokens from now on. */
  forgetPromises(): void {
    for (const meter of this.#meters) meter.promised = 0;
  }

  /** How long until the client may send, in ms. */
  msUntilTokens(nowMs: number): number {
    let waitMs = 0;
    for (const meter of this.#meters) waitMs = Math.max(waitMs, meter.msUntilTokens(nowMs));
    return waitMs;
  }
}

/** What a frame of a raw socket counts for, before it is read: each line is a message. */
export function rawAmountOf(frame: string, quota: SessionQuota): Amount {
  const isEnded = frame.charCodeAt(frame.length - 1) === 10;
  let lines = isEnded ? 0 : 1;
  for (let at = frame.indexOf('\n'); at !== -1; at = frame.indexOf('\n', at + 1)) lines += 1;
  return quota.amountOf(frame, 0, lines);
}

/** What the lines of a batch count for that were not taken before. */
export function newAmountOf(
  frame: string,
  { n, bodyStart }: BatchHeader,
  skipped: number,
  quota: SessionQuota,
): Amount {
  let start = bodyStart;
  for (let line = 0; line < skipped && start > 0; line += 1) start = frame.indexOf('\n', start) + 1;
  // It has fewer lines than it says, and will be refused for that.
  if (start === 0 && skipped > 0) return { messages: 0, bytes: 0 };
  return quota.amountOf(frame, Math.min(start, frame.length), n - skipped);
}

const NAMES: Record<Limited, string> = {
  tenant: 'this tenant',
  producer: 'this producer',
  connection: 'a connection',
  address: 'this address',
};

/** The sentence for a frame that was refused whole. */
export function refusalSentence({ meter, waitMs }: RateRefusal): string {
  const limit = `the limit of ${NAMES[meter.whose]} (${meter.rateText})`;
  if (waitMs === Number.POSITIVE_INFINITY)
    return `The frame has more than ${limit} takes at once: send smaller frames`;
  const seconds = Math.max(0.1, Math.ceil(waitMs / 100) / 10);
  return `Nothing of the frame was taken, since ${limit} is used up: send it again after ${seconds} s`;
}

/** The sentence for a frame that finds no room in a share of the outbox. */
export function fullShareSentence({ whose }: Meter): string {
  return `The share of the outbox that ${NAMES[whose]} may use is full: reconnect later, and send the refused messages again`;
}

/** The sentence for a socket that is one too many. */
export function crowdedSentence({ whose, limits }: Pick<Meter, 'whose' | 'limits'>): string {
  const most = limits.connections === 1 ? '1 connection' : `${limits.connections} connections`;
  return `the limit of ${NAMES[whose]} is ${most}: close others, or try again later`;
}
