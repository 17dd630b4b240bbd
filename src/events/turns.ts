/** Lets so many go on at a time; the others wait in their order. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** @param count of turns at a time, at least 1 */
  constructor(count: number) {
    this.#free = count;
  }

  /** What gives the turn back, or undefined where none is free. To call it again does nothing. */
  takeFree(): (() => void) | undefined {
    if (this.#free === 0) return undefined;
    this.#free -= 1;
    return this.#giveBack();
  }

  /** As `takeFree`, once one is free. */
  async take(): Promise<() => void> {
    const free = this.takeFree();
    if (free !== undefined) return free;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.#giveBack();
  }

  #giveBack(): () => void {
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    };
  }
}
