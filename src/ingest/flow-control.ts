/** Tells the clients of a shard how much they may send, so that it is never asked to hold more than it can. */

import { type Credit, encodeCredit } from '../protocol/sluice-v1.ts';
import type { Capacity } from './capacity.ts';
import { creditOf } from './credit.ts';
import type { ShardSession } from './session-port.ts';
import type { Sessions } from './sessions.ts';

/** Sessions that had no credit are told of it again once the room has grown to this share of what ends the credit. */
const CREDIT_RETURNS_AT = 0.75;

export interface FlowControlOptions {
  capacity: Capacity;
  sessions: Sessions;
  /** True where new messages go to the outbox. */
  hasOutbox: boolean;
}

export class FlowControl {
  readonly #options: FlowControlOptions;
  #hasSessionWithoutCredit = false;

  constructor(options: FlowControlOptions) {
    this.#options = options;
  }

  /** What each session may have on its way. Who is told that it is nothing hears of it again once there is room. */
  grant(): Credit {
    const { capacity, sessions } = this.#options;
    const credit = creditOf(capacity.usage(), Math.max(1, sessions.size));
    if (credit.bytes === 0) this.#hasSessionWithoutCredit = true;
    return credit;
  }

  /** Acks sessions, with the credit that each has now. */
  sendAcks(sessions: readonly ShardSession[]): void {
    const credit = this.grant();
    const creditText = encodeCredit(credit);
    for (const session of sessions) session.sendAck(credit, creditText);
  }

  /** Tells a session whose batch found no room what it may send instead. */
  sendFlow(session: ShardSession): void {
    session.sendFlow(this.grant(), this.#options.hasOutbox ? 'outbox_full' : 'memory_full');
  }

  /** A session wakes up. Where it may have been told that there is no credit, it will hear of it once there is room. */
  wake(session: ShardSession): void {
    if (this.#hasRoomAgain()) return;
    this.#hasSessionWithoutCredit = true;
    session.credit.assumeNone();
  }

  /** Something was written: sessions without credit hear of the room. */
  tellOfRoom(): void {
    if (!this.#hasSessionWithoutCredit || !this.#hasRoomAgain()) return;
    this.#hasSessionWithoutCredit = false;
    const credit = this.grant();
    if (credit.bytes === 0) return;
    for (const session of this.#options.sessions.all) {
      if (session.credit.isNone) session.sendFlow(credit, 'room');
    }
  }

  #hasRoomAgain(): boolean {
    const { rows, maxRows, bytes, maxBytes } = this.#options.capacity.usage();
    return rows <= maxRows * CREDIT_RETURNS_AT && bytes <= maxBytes * CREDIT_RETURNS_AT;
  }
}
