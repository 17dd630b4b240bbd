/**
 * Whether a client reads what it is sent. A Durable Object cannot see how much waits in a socket (`bufferedAmount` is not
 * implemented), so the client is asked by a ping after a while, and what came before its pong is read.
 */

import {
  MAX_UNCONFIRMED_BYTES,
  PING_AFTER_BYTES,
  PONG_TIME_LIMIT_MS,
  SLOW_READER_BYTES,
} from '../core/limits.ts';

/** `ask`: send the ping `pingId` now. `slow`: the client does not read, close it. */
export type ReaderState = 'reads' | 'ask' | 'slow';

export class ReaderCheck {
  #sentBytes = 0;
  #confirmedBytes = 0;
  /** Where the ping stood that waits for its pong; at most one is out. */
  #pingedAtBytes: number | undefined;
  #pingedAtMs = 0;
  #pingId = 0;

  /** The number of the last ping. */
  get pingId(): number {
    return this.#pingId;
  }

  /** What waits to be read as far as that is known: of a client that reads, nothing. */
  get unreadBytes(): number {
    return Math.max(0, this.#sentBytes - this.#confirmedBytes - 2 * PING_AFTER_BYTES);
  }

  /** Counts a frame of so many characters that was sent. */
  sent(characters: number, nowMs: number): ReaderState {
    this.#sentBytes += characters;
    const unconfirmed = this.#sentBytes - this.#confirmedBytes;
    const isSilent = this.#pingedAtBytes !== undefined && nowMs - this.#pingedAtMs >= PONG_TIME_LIMIT_MS;
    if (unconfirmed > MAX_UNCONFIRMED_BYTES || (isSilent && unconfirmed > SLOW_READER_BYTES)) return 'slow';
    if (unconfirmed <= PING_AFTER_BYTES || this.#pingedAtBytes !== undefined) return 'reads';
    this.#pingId += 1;
    this.#pingedAtBytes = this.#sentBytes;
    this.#pingedAtMs = nowMs;
    return 'ask';
  }

  /** A pong came. Those that answer no open ping say nothing. */
  pong(id: number): void {
    if (id !== this.#pingId || this.#pingedAtBytes === undefined) return;
    this.#confirmedBytes = this.#pingedAtBytes;
    this.#pingedAtBytes = undefined;
  }
}
