/** Lets callers wait until something more was written, or a try to write has failed. */
export class Progress {
  readonly #waiters: (() => void)[] = [];

  /** Resolves when a batch was written or has failed. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** A batch was written or has failed. */
  tell(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}
