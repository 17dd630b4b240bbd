/** Adds up the time of parts that take turns. */

export class Stopwatch {
  readonly #now: () => number;
  #totalMs = 0;

  /** @param now milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  get totalMs(): number {
    return this.#totalMs;
  }

  /** Runs a part on the clock. */
  run<Value>(part: () => Value): Value {
    const startedAtMs = this.#now();
    try {
      return part();
    } finally {
      this.#totalMs += this.#now() - startedAtMs;
    }
  }

  /** Waits for a part on the clock. */
  async wait<Value>(part: () => Promise<Value>): Promise<Value> {
    const startedAtMs = this.#now();
    try {
      return await part();
    } finally {
      this.#totalMs += this.#now() - startedAtMs;
    }
  }
}
