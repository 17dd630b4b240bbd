/** A counting semaphore: lets so many in at a time; the others wait in their order. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** @param permits how many may be held at a time, at least 1 */
  constructor(permits: number) {
    this.#free = permits;
  }

  /** @returns what releases the permit (a second call does nothing), or undefined where none is free */
  tryAcquire(): (() => void) | undefined {
    if (this.#free === 0) return undefined;
    this.#free -= 1;
    return this.#releaseOnce();
  }

  /** As `tryAcquire`, but waits until a permit is free. */
  async acquire(): Promise<() => void> {
    const release = this.tryAcquire();
    if (release !== undefined) return release;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.#releaseOnce();
  }

  #releaseOnce(): () => void {
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    };
  }
}
