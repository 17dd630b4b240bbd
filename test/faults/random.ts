/** Chance that can be repeated: the same seed makes the same choices. */

export class Random {
  #state: number;

  /** @param seed 0 to 2^32 - 1 */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to below 1 (Mulberry32, Tommy Ettinger, public domain). */
  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick<Choice>(choices: readonly Choice[]): Choice {
    return choices[this.integer(0, choices.length - 1)] as Choice;
  }

  /** All of them, in any order. */
  shuffled<Choice>(choices: readonly Choice[]): Choice[] {
    const left = [...choices];
    return choices.map(() => left.splice(this.integer(0, left.length - 1), 1)[0] as Choice);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** Another one, whose use does not change what this one gives. */
  fork(): Random {
    return new Random(Math.floor(this.next() * 2 ** 32));
  }
}
