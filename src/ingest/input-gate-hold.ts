/**
 * Lets the writes of a shard run while no frames are delivered, once its buffer fills up: Postgres then has the
 * processor for itself, its answers wait for nothing, and TCP slows the senders down.
 *
 * An answer that was awaited before the frames were held back is not delivered until they flow again. So a hold begins
 * when no write is under way, and ends when none is; in between, writes follow each other freely. It is short: all
 * else that the shard is asked waits as long.
 */

import type { Timers } from '../core/timers.ts';

export interface InputGateHoldOptions {
  /** Does some work while no frames are delivered. */
  holdFrames: (work: () => Promise<void>) => Promise<void>;
  /** Share of the buffer in use, 0 to 1. */
  fill: () => number;
  timers: Timers;
  /** Share from which on frames are held back. Default: 0.25. */
  startFill?: number;
  /** Share below which they flow again. Default: 0.125. */
  endFill?: number;
  /** The longest hold; a write that takes longer goes on with frames flowing. Default: 500. */
  maxHoldMs?: number;
}

/**
 * - `flowing`: frames are delivered, writes run.
 * - `closing`: new writes wait until those under way are done.
 * - `held`: no frames are delivered, writes run.
 * - `opening`: the same, but new writes wait until frames flow.
 */
type State = 'flowing' | 'closing' | 'held' | 'opening';

export class InputGateHold {
  readonly #options: Required<InputGateHoldOptions>;
  readonly #waiting: (() => void)[] = [];
  #state: State = 'flowing';
  #writes = 0;
  #release: (() => void) | undefined;
  #cancelIdle: (() => void) | undefined;

  constructor(options: InputGateHoldOptions) {
    this.#options = { startFill: 0.25, endFill: 0.125, maxHoldMs: 500, ...options };
  }

  /** Runs one write, at once or when its time has come. */
  async run<Result>(write: () => Promise<Result>): Promise<Result> {
    while (!this.#mayWrite()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    this.#writes += 1;
    try {
      return await write();
    } finally {
      this.#writes -= 1;
      this.#afterWrite();
    }
  }

  #mayWrite(): boolean {
    const { fill, startFill } = this.#options;
    if (this.#state === 'flowing' && fill() >= startFill) {
      this.#state = 'closing';
      if (this.#writes === 0) this.#hold();
    }
    return this.#state === 'flowing' || this.#state === 'held';
  }

  #afterWrite(): void {
    const { fill, endFill, timers } = this.#options;
    if (this.#state === 'held' && fill() < endFill) this.#state = 'opening';
    if (this.#writes > 0) return;
    if (this.#state === 'closing') this.#hold();
    else if (this.#state === 'opening') this.#release?.();
    // The next write follows at once, or not for a while: a failed one waits for its backoff, and frames need not.
    else if (this.#state === 'held') this.#cancelIdle = timers.after(1, () => this.#release?.());
  }

  #hold(): void {
    const { holdFrames, timers, maxHoldMs } = this.#options;
    const flow = (): void => {
      this.#state = 'flowing';
      this.#wake();
    };
    void holdFrames(async () => {
      const released = new Promise<void>((resolve) => {
        this.#release = resolve;
      });
      const cancelLimit = timers.after(maxHoldMs, () => this.#release?.());
      this.#state = 'held';
      this.#wake();
      await released;
      this.#release = undefined;
      this.#cancelIdle?.();
      this.#cancelIdle = undefined;
      cancelLimit();
      // A write that comes now waits for the frames, which have waited long enough.
      this.#state = 'opening';
    }).then(flow, flow);
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
