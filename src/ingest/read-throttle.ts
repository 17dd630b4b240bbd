/**
 * When a shard should stop reading its sockets for a moment, and for how long.
 *
 * The platform gives a Durable Object no way to leave frames unread: they are delivered as fast as they arrive, the
 * buffer fills, and meanwhile the answers of Postgres are not even looked for, because a process that always has a
 * frame at hand never polls its other sockets. What does hold frames back is the object's input gate: while it is
 * shut, the runtime stops reading, TCP fills up, and the client waits. So a shard shuts its gate for a moment now and
 * then: for no time at all while a flush is under way, and in every flood (one of pings alone would keep the frames of
 * all others unread), which is enough to let the process look at its other sockets; and for longer the fuller the buffer
 * is.
 *
 * The gate holds back the answers of Postgres too. Therefore a pause only follows a whole round, in which every
 * socket had its turn and everything that queued up during the last pause was delivered.
 */

export interface ReadThrottleOptions {
  /** Share of the buffer from which on pauses take time. Default: 0.25. */
  startFill: number;
  /** Pause at a full buffer. Default: 50. */
  maxPauseMs: number;
  /** While a flush is under way, or in a flood, the longest time without a look at other sockets. Default: 25. */
  reliefMs: number;
  /** Frames since the last pause that are a flood. Default: 1,000, of which a shard takes about 40,000 a second. */
  floodFrames: number;
}

export const DEFAULT_READ_THROTTLE: ReadThrottleOptions = {
  startFill: 0.25,
  maxPauseMs: 50,
  reliefMs: 25,
  floodFrames: 1_000,
};

/**
 * For a shard that holds its frames back while it writes (input-gate-hold.ts): that takes effect first, and the pauses only
 * where there is nothing to hold them back for, because the database is away.
 */
export const THROTTLE_WITH_HOLDS: ReadThrottleOptions = { ...DEFAULT_READ_THROTTLE, startFill: 0.5 };

export class ReadThrottle {
  readonly #options: ReadThrottleOptions;
  #frames = 0;
  #lookAtFrames = 0;
  #lastReliefAtMs = Number.NEGATIVE_INFINITY;
  #isPausing = false;

  constructor(options: ReadThrottleOptions = DEFAULT_READ_THROTTLE) {
    this.#options = options;
  }

  /** Counts a frame since the last pause. True at the end of each round, when a pause may be due. */
  countFrame(sockets: number): boolean {
    this.#frames += 1;
    if (this.#frames < this.#lookAtFrames + sockets || this.#isPausing) return false;
    this.#lookAtFrames = this.#frames;
    return true;
  }

  /**
   * The pause that is due now, in ms, or undefined for none. Call it when a round is over.
   *
   * @param fill share of the buffer in use, 0 to 1
   * @param isWriting whether a flush is under way, which waits for its turn after the frames
   */
  pauseMs(nowMs: number, fill: number, isWriting: boolean): number | undefined {
    const { startFill, maxPauseMs, reliefMs, floodFrames } = this.#options;
    // From 1 ms at the start to the longest at a full buffer, by equal factors for equal shares: the fill settles
    // where as much comes in as goes out, whether a round brings ten messages or ten thousand.
    if (fill >= startFill) return maxPauseMs ** Math.min(1, (fill - startFill) / (1 - startFill));
    const isWaitedFor = isWriting || this.#frames >= floodFrames;
    return isWaitedFor && nowMs - this.#lastReliefAtMs >= reliefMs ? 0 : undefined;
  }

  /** Call when a pause begins and when it has ended. */
  began(): void {
    this.#isPausing = true;
    this.#frames = 0;
    this.#lookAtFrames = 0;
  }

  ended(nowMs: number): void {
    this.#isPausing = false;
    this.#lastReliefAtMs = nowMs;
  }

  /** Call when a timer went off: for that the process had run out of frames, and so looked at its other sockets. */
  timerFired(nowMs: number): void {
    this.#lastReliefAtMs = nowMs;
  }
}
