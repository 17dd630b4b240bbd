/** Counts units by windows of time, to show whether a rate was steady. */

import { WINDOW_MS } from '../result.ts';

/** Windows that are kept: four minutes. What comes later is not counted. */
const MAX_WINDOWS = 1_000;

export class WindowCounter {
  readonly #now: () => number;
  readonly #startedAtMs: number;
  readonly #windows: number[] = [];
  #done: number;
  #toldAtMs = 0;

  /**
   * @param now milliseconds; the first window begins with this call
   * @param done units that were done before it
   */
  constructor(now: () => number, done = 0) {
    this.#now = now;
    this.#startedAtMs = now();
    this.#done = done;
  }

  /**
   * So many units are done, of all together. What was done since the last call is spread evenly over the time since: who
   * is asked every half second would otherwise seem to do nothing in every other window.
   */
  reached(done: number): void {
    const fromMs = this.#toldAtMs;
    const toMs = this.#now() - this.#startedAtMs;
    const last = Math.floor(toMs / WINDOW_MS);
    if (last >= MAX_WINDOWS) return;
    const gained = Math.max(0, done - this.#done);
    this.#done = done;
    this.#toldAtMs = toMs;
    let counted = 0;
    for (let window = Math.floor(fromMs / WINDOW_MS); window <= last; window += 1) {
      const share = window === last ? 1 : ((window + 1) * WINDOW_MS - fromMs) / (toMs - fromMs);
      const reached = Math.round(gained * share);
      this.#windows[window] = (this.#windows[window] ?? 0) + reached - counted;
      counted = reached;
    }
  }

  /** Units of each window. */
  get windows(): number[] {
    return [...this.#windows];
  }
}
