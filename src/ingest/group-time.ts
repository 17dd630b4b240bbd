/**
 * How long messages are gathered before they are stored and acked.
 *
 * The shard's thread waits about a millisecond for the disk with each group. At a low rate that is nothing, and acks
 * leave soon. At a high rate it is time that frames wait for: groups of 2 ms would take a third of the thread, so they
 * become longer the more comes in.
 */

/** Up to this rate, groups have the time that the sink asks for. */
const STEADY_ROWS_PER_MS = 10;
const MAX_GROUP_MS = 40;
/** The rate is that of so long a time at least: a burst of one frame is no high rate. */
const WINDOW_MS = 50;

export class GroupTime {
  /** Milliseconds that the group of now may wait. */
  ms: number;
  readonly #leastMs: number;
  #windowSinceMs = 0;
  #windowRows = 0;

  /** @param groupMs what the sink asks for: the time of a group at a low rate; 0: every frame is a group */
  constructor(groupMs: number) {
    this.ms = groupMs;
    this.#leastMs = groupMs;
  }

  /** A group was stored. */
  stored(rows: number, nowMs: number): void {
    this.#windowRows += rows;
    const elapsedMs = nowMs - this.#windowSinceMs;
    if (elapsedMs < WINDOW_MS) return;
    // Squared: at three times the steady rate groups are nine times as long.
    const excess = this.#windowRows / elapsedMs / STEADY_ROWS_PER_MS;
    const longerMs = this.#leastMs * Math.max(1, excess * excess);
    this.ms = Math.max(this.#leastMs, Math.min(MAX_GROUP_MS, longerMs));
    this.#windowSinceMs = nowMs;
    this.#windowRows = 0;
  }
}
