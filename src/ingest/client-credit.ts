/** What one client may send, as it was last told; and whether it keeps to that. */

import { MAX_CREDIT_BYTES, MAX_OVER_CREDIT } from '../core/limits.ts';
import type { Credit } from '../protocol/sluice-v1.ts';
import { NO_CREDIT } from './credit.ts';

/** How far beyond the last credit a client may be before its batches are refused: what was on its way. */
const CREDIT_SLACK = 1.25;

export class ClientCredit {
  readonly #maxMessageBytes: number;
  /** What the client was last told. */
  #credit: Credit | undefined;
  #lastWindowBytes = 0;
  /** What it sent since the credit fell to nothing. */
  #bytesWithout = 0;
  #refusals = 0;

  /** @param maxMessageBytes a client may always have one message on its way */
  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** True while the client believes that it may send nothing. */
  get isNone(): boolean {
    return this.#credit !== undefined && this.#credit.bytes === 0;
  }

  /** Messages that the client was last told it may send. */
  get messages(): number {
    return this.#credit?.messages ?? 0;
  }

  /** The client is told this credit. */
  note(credit: Credit): void {
    if (credit.bytes > 0) {
      this.#lastWindowBytes = Math.max(credit.bytes, this.#lastWindowBytes / 2);
      this.#bytesWithout = 0;
      this.#refusals = 0;
    }
    this.#credit = credit;
  }

  /** Nobody knows what the client was told: perhaps that it may send nothing, after the widest window. */
  assumeNone(): void {
    this.#credit = NO_CREDIT;
    this.#lastWindowBytes = MAX_CREDIT_BYTES;
  }

  /**
   * Counts a frame with new messages. A client that was told to send nothing has at most on its way what it was granted
   * before.
   *
   * @returns true where the frame is beyond that, and to be refused
   */
  isOverrunBy(bytes: number): boolean {
    if (!this.isNone) return false;
    this.#bytesWithout += bytes;
    return this.#bytesWithout > this.#lastWindowBytes * CREDIT_SLACK + this.#maxMessageBytes;
  }

  /** Counts a frame that was refused for it. True where there were too many since the last credit. */
  isIgnored(): boolean {
    this.#refusals += 1;
    return this.#refusals >= MAX_OVER_CREDIT;
  }
}
