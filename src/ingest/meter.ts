/** What one tenant, producer, connection or address sends: counted against its limits, for all of its sockets together. */

import type { AccessLimits, Limited } from '../access/limits.ts';
import { TokenBucket } from '../access/token-bucket.ts';
import type { Held, Holdings } from './holdings.ts';

/** Clients are told of tokens again once there is this share of what may come at once: each would get a few, in small frames. */
const TELLS_FROM = 0.1;
/** The same of the room in an outbox, as for the whole of it (credit.ts). */
const CREDIT_ENDS_AT = 0.9;
/** Below this share a client is told to wait for more. */
const WAITS_BELOW = 0.05;

export class Meter {
  readonly whose: Limited;
  /** Messages of all of them that the outbox holds are counted under it; undefined for connections and addresses. */
  readonly name: string;
  readonly #maxMessageBytes: number;
  readonly #holdings: Holdings;
  limits: AccessLimits = {};
  #messages: TokenBucket | undefined;
  #bytes: TokenBucket | undefined;
  /** Sockets that are open. */
  sockets = 0;
  /** Of the clients that wait for tokens, those that would take them from here. */
  waiting = 0;
  #lentMessages = 0;
  #lentBytes = 0;
  // How many clients sent something in this second, and in the one before.
  #second = 0;
  #activeNow = 0;
  #activeBefore = 0;
  /** Messages that were promised while clients are told of tokens, so that the same ones are not given to all. */
  promised = 0;

  /** @param maxMessageBytes one message may always be sent by who has any bytes left */
  constructor(whose: Limited, name: string, maxMessageBytes: number, holdings: Holdings) {
    this.#holdings = holdings;
    this.whose = whose;
    this.name = name;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** What holds from now on. Tokens and debts stay. */
  limit(limits: AccessLimits, nowMs: number): void {
    this.limits = limits;
    if (limits.outboxShare !== undefined) this.#holdings.turnOn();
    const { messagesPerSecond, bytesPerSecond } = limits;
    this.#messages = resized(this.#messages, messagesPerSecond, 1, nowMs);
    this.#bytes = resized(this.#bytes, bytesPerSecond, this.#maxMessageBytes + 1, nowMs);
  }

  /** True where bytes have to be counted. */
  get countsBytes(): boolean {
    return this.#bytes !== undefined;
  }

  get hasRate(): boolean {
    return this.#messages !== undefined || this.#bytes !== undefined;
  }

  /** True where so much may be taken, in debt if need be. */
  allows(messages: number, bytes: number, nowMs: number): boolean {
    return this.#messages?.allows(messages, nowMs) !== false && this.#bytes?.allows(bytes, nowMs) !== false;
  }

  take(messages: number, bytes: number, nowMs: number): void {
    this.#messages?.take(messages, nowMs);
    this.#bytes?.take(bytes, nowMs);
  }

  /** Messages that there are tokens for, for all of its clients together. */
  messagesForAll(nowMs: number): number {
    return this.#messages?.level(nowMs) ?? Number.POSITIVE_INFINITY;
  }

  /** A client sends for the first time in this second. */
  countActive(second: number): void {
    this.#turnTo(second);
    this.#activeNow += 1;
  }

  /** Clients that send. Those that are silent leave what there is to the others. */
  activeIn(second: number): number {
    this.#turnTo(second);
    return Math.max(1, this.#activeNow, this.#activeBefore);
  }

  #turnTo(second: number): void {
    if (second === this.#second) return;
    this.#activeBefore = second === this.#second + 1 ? this.#activeNow : 0;
    this.#activeNow = 0;
    this.#second = second;
  }

  /** Messages, and bytes, that each of so many clients may have on its way; 0 where they have to wait. */
  messagesForEach(clients: number, nowMs: number): number {
    return forEach(this.#messages, clients, 0, nowMs);
  }

  bytesForEach(clients: number, nowMs: number): number {
    return forEach(this.#bytes, clients, 0, nowMs);
  }

  /** The same for a client that has sent nothing yet: what was not lent to others that are as new as it. */
  messagesForNew(nowMs: number): number {
    return forEach(this.#messages, 1, this.#lentMessages, nowMs);
  }

  bytesForNew(nowMs: number): number {
    return forEach(this.#bytes, 1, this.#lentBytes, nowMs);
  }

  /** A client that has sent nothing yet was granted this; below 0: it has sent something, or is gone. */
  lend(messages: number, bytes: number): void {
    this.#lentMessages += messages;
    this.#lentBytes += bytes;
  }

  /**
   * How long one who sends without asking has to wait before so much is taken, in ms; 0 where it is taken now, infinite where it
   * never is, because it is too much at once. Such a sender may not live in debt: it does not see it.
   */
  msUntilTaken(messages: number, bytes: number, nowMs: number): number {
    return Math.max(msUntilTaken(this.#messages, messages, nowMs), msUntilTaken(this.#bytes, bytes, nowMs));
  }

  /** How long until clients are told of tokens, in ms. */
  msUntilTokens(nowMs: number): number {
    return Math.max(msUntil(this.#messages, nowMs), msUntil(this.#bytes, nowMs));
  }

  /** Room that is left in its share of the outbox; undefined where it may have all. */
  get room(): Held | undefined {
    const { outboxShare } = this.limits;
    if (outboxShare === undefined) return undefined;
    return this.#holdings.roomOf(this.whose === 'tenant' ? `${this.name}/` : this.name, outboxShare);
  }

  /** Room for each of so many clients, once the share of it that is free is as large as `from`; nothing before. */
  roomForEach(clients: number, from: number): Held | undefined {
    const { room } = this;
    if (room === undefined) return undefined;
    const { outboxShare = 1 } = this.limits;
    const all = this.#holdings.most(outboxShare);
    const reserve = 1 - CREDIT_ENDS_AT;
    const rows = room.rows - all.rows * reserve;
    const bytes = room.bytes - all.bytes * reserve;
    if (rows < 1 || bytes < 1 || room.rows < all.rows * from || room.bytes < all.bytes * from)
      return { rows: 0, bytes: 0 };
    return {
      rows: Math.max(1, Math.floor(rows / clients)),
      bytes: Math.max(1, Math.floor(bytes / clients)),
    };
  }

  /** True where clients have to wait for tokens. */
  isScarce(nowMs: number): boolean {
    return this.messagesForEach(1, nowMs) === 0 || this.bytesForEach(1, nowMs) === 0;
  }

  /** True where nothing is lost when it is forgotten. */
  isAtRest(nowMs: number): boolean {
    return (
      this.sockets === 0 && this.#messages?.isFull(nowMs) !== false && this.#bytes?.isFull(nowMs) !== false
    );
  }

  /** Its rates, for people: `100 messages a second`. */
  get rateText(): string {
    const { messagesPerSecond, bytesPerSecond } = this.limits;
    const rates: string[] = [];
    if (messagesPerSecond !== undefined) rates.push(`${messagesPerSecond} messages a second`);
    if (bytesPerSecond !== undefined) rates.push(`${bytesPerSecond} bytes a second`);
    return rates.join(' and ');
  }
}

function resized(
  bucket: TokenBucket | undefined,
  perSecond: number | undefined,
  atLeast: number,
  nowMs: number,
): TokenBucket | undefined {
  if (perSecond === undefined) return undefined;
  const size = { perSecond, debt: Math.max(perSecond, atLeast) };
  if (bucket === undefined) return new TokenBucket(size, nowMs);
  if (bucket.perSecond !== perSecond) bucket.resize(size, nowMs);
  return bucket;
}

function forEach(bucket: TokenBucket | undefined, clients: number, lent: number, nowMs: number): number {
  if (bucket === undefined) return Number.POSITIVE_INFINITY;
  const level = bucket.level(nowMs);
  if (level < Math.max(1, bucket.burst * WAITS_BELOW)) return 0;
  return Math.max(1, Math.floor((level - lent) / clients));
}

function msUntilTaken(bucket: TokenBucket | undefined, amount: number, nowMs: number): number {
  if (bucket === undefined) return 0;
  // What it holds has to be above nothing, by however little.
  const debtMs = bucket.level(nowMs) > 0 ? 0 : Math.max(1, bucket.msUntil(bucket.burst * TELLS_FROM, nowMs));
  return Math.max(debtMs, bucket.msUntilAllowed(amount, nowMs));
}

function msUntil(bucket: TokenBucket | undefined, nowMs: number): number {
  return bucket === undefined ? 0 : bucket.msUntil(Math.max(1, bucket.burst * TELLS_FROM), nowMs);
}
