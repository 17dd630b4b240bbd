/**
 * Settled groups that stay in the outbox for a while: a database that fails over to a copy that lags behind can then be
 * given again what the copy does not have. What is kept is the end of what is settled, without holes.
 */

import { TRIM_BYTES, TRIM_INTERVAL_MS } from '../core/limits.ts';

/** Groups that were settled at about the same time. One entry for many, so that a busy lane has few. */
interface Entry {
  /** Position after the last message. */
  end: bigint;
  bytes: number;
  firstAtMs: number;
  lastAtMs: number;
}

export interface KeptGroupsOptions {
  /** How long a group is kept at least; 0: not at all. */
  keepMs: number;
  /** Text that is kept at most; the oldest goes first. */
  maxBytes: number;
}

export class KeptGroups {
  readonly #keepMs: number;
  readonly #maxBytes: number;
  // Oldest first.
  #entries: Entry[] = [];
  #bytes = 0;

  constructor({ keepMs, maxBytes }: KeptGroupsOptions) {
    this.#keepMs = keepMs;
    this.#maxBytes = maxBytes;
  }

  /** False where nothing is ever kept. */
  get isKeeping(): boolean {
    return this.#keepMs > 0 && this.#maxBytes > 0;
  }

  /** Text of the groups that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds groups that are settled, up to a position. */
  add(end: bigint, bytes: number, nowMs: number): void {
    this.#bytes += bytes;
    const last = this.#entries[this.#entries.length - 1];
    if (
      last !== undefined &&
      nowMs - last.firstAtMs < TRIM_INTERVAL_MS &&
      last.bytes + bytes <= Math.min(TRIM_BYTES, this.#maxBytes / 2)
    ) {
      last.end = end;
      last.bytes += bytes;
      last.lastAtMs = nowMs;
    } else this.#entries.push({ end, bytes, firstAtMs: nowMs, lastAtMs: nowMs });
  }

  /**
   * Gives up what need not be kept any more. To be called when Postgres has just committed something: a database that has
   * not answered since a group was settled may have lost it.
   *
   * @returns the position up to which groups are to be deleted; undefined where there is none
   */
  release(nowMs: number): bigint | undefined {
    let end: bigint | undefined;
    let released = 0;
    for (const entry of this.#entries) {
      const isOver = !this.isKeeping || this.#bytes > this.#maxBytes;
      if (!isOver && nowMs - entry.lastAtMs < this.#keepMs) break;
      end = entry.end;
      this.#bytes -= entry.bytes;
      released += 1;
    }
    if (released > 0) this.#entries = this.#entries.slice(released);
    return end;
  }

  /** Forgets all: they are no longer settled, or are counted again. */
  clear(): void {
    this.#entries = [];
    this.#bytes = 0;
  }
}
