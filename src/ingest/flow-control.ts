/** Tells the clients of a shard how much they may send, so that it is never asked to hold more than it can. */

import type { Timers } from '../core/timers.ts';
import { type Credit, encodeCredit } from '../protocol/sluice-v1.ts';
import type { Capacity } from './capacity.ts';
import { creditOf, NO_CREDIT } from './credit.ts';
import type { Measurements } from './measurements.ts';
import { MEMORY_RETRY_MS, type MemoryHold } from './memory-hold.ts';
import type { Quotas } from './quotas.ts';
import type { ShardSession } from './session-port.ts';
import type { Sessions } from './sessions.ts';

/** Sessions that had no credit are told of it again once the room has grown to this share of what ends the credit. */
const CREDIT_RETURNS_AT = 0.75;

export interface FlowControlOptions {
  capacity: Capacity;
  sessions: Sessions;
  quotas: Quotas;
  memory: MemoryHold;
  timers: Timers;
  measured: Measurements;
  /** True where new messages go to the outbox. */
  hasOutbox: boolean;
}

export class FlowControl {
  readonly #options: FlowControlOptions;
  #hasSessionWithoutCredit = false;
  #isAskingAgain = false;

  constructor(options: FlowControlOptions) {
    this.#options = options;
    options.quotas.onTokens = () => this.#tellOfTokens();
  }

  /** What a session may have on its way. One that is told that it is nothing hears of it again once there is room. */
  grant(session: ShardSession): Credit {
    return this.#options.quotas.grant(session, this.#grant());
  }

  /** The share of a session that no limit bounds. */
  #grant(): Credit {
    const { capacity, sessions, memory } = this.#options;
    if (memory.isTight) {
      this.#stall();
      this.#askAgain();
      return NO_CREDIT;
    }
    const credit = creditOf(capacity.usage(), Math.max(1, sessions.size));
    if (credit.bytes === 0) this.#stall();
    return credit;
  }

  #stall(): void {
    if (!this.#hasSessionWithoutCredit) this.#options.measured.creditStalls += 1;
    this.#hasSessionWithoutCredit = true;
  }

  // What the isolate's other objects hold is none of this shard's events: it has to look by itself. It does so only while there are
  // sessions that wait for it.
  #askAgain(): void {
    if (this.#isAskingAgain) return;
    const { timers, sessions } = this.#options;
    this.#isAskingAgain = true;
    timers.after(MEMORY_RETRY_MS, () => {
      this.#isAskingAgain = false;
      if (!this.#hasSessionWithoutCredit || sessions.size === 0) return;
      if (this.#options.memory.isTight) this.#askAgain();
      else this.tellOfRoom();
    });
  }

  /** Acks sessions, with the credit that each has now. */
  sendAcks(sessions: readonly ShardSession[]): void {
    const credit = this.#grant();
    const creditText = encodeCredit(credit);
    for (const session of sessions) {
      if (session.quota === undefined) session.sendAck(credit, creditText);
      else this.#ackLimited(session, credit, creditText);
    }
  }

  #ackLimited(session: ShardSession, credit: Credit, creditText: string): void {
    const own = this.#options.quotas.grant(session, credit);
    session.sendAck(own, own === credit ? creditText : encodeCredit(own));
    if (session.quota?.isUntold === true) this.#sayRate(session, NO_CREDIT);
  }

  // An ack carries the credit and no reason. It is said once for each wait.
  #sayRate(session: ShardSession, credit: Credit): void {
    const isFull = session.quota?.waitsForRoom === true;
    if (session.quota !== undefined) session.quota.isUntold = false;
    if (isFull) this.#sayFull(session, credit);
    else session.sendFlow(credit, 'rate');
  }

  /** `SessionPort.sendFlow`. */
  sendFlow(session: ShardSession, isLimited: boolean): void {
    const credit = this.grant(session);
    if (isLimited || session.quota?.isUntold === true) this.#sayRate(session, credit);
    else this.#sayFull(session, credit);
  }

  #sayFull(session: ShardSession, credit: Credit): void {
    const { memory, hasOutbox } = this.#options;
    if (memory.isTight) session.sendFlow(credit, 'memory_full', MEMORY_RETRY_MS);
    else session.sendFlow(credit, hasOutbox ? 'outbox_full' : 'memory_full');
  }

  /** A session wakes up. Where it may have been told that there is no credit, it will hear of it once there is room. */
  wake(session: ShardSession): void {
    const isLimited = session.quota !== undefined && this.grant(session).bytes === 0;
    if (this.#hasRoomAgain() && !isLimited) return;
    this.#hasSessionWithoutCredit = true;
    session.credit.assumeNone();
  }

  /** Something was written: sessions without credit hear of the room. */
  tellOfRoom(): void {
    if (this.#options.quotas.hasWaiting) this.#tellOfTokens();
    if (!this.#hasSessionWithoutCredit || !this.#hasRoomAgain()) return;
    this.#hasSessionWithoutCredit = false;
    const credit = this.#grant();
    if (credit.bytes === 0) return;
    const { sessions, quotas } = this.#options;
    for (const session of sessions.all) {
      if (!session.credit.isNone) continue;
      const own = quotas.grant(session, credit);
      if (own.bytes > 0) session.sendFlow(own, 'room');
      else if (session.quota?.isUntold === true) this.#sayRate(session, own);
    }
  }

  #tellOfTokens(): void {
    const { quotas } = this.#options;
    const credit = this.#grant();
    // They hear of it with all others, once there is room.
    if (credit.bytes === 0) quotas.forgetAll();
    else for (const ready of quotas.takeReady(credit)) ready.session.sendFlow(ready.credit, 'room');
  }

  #hasRoomAgain(): boolean {
    const { rows, maxRows, bytes, maxBytes } = this.#options.capacity.usage();
    if (this.#options.memory.isTight) return false;
    return rows <= maxRows * CREDIT_RETURNS_AT && bytes <= maxBytes * CREDIT_RETURNS_AT;
  }
}
