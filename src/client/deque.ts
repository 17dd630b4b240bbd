/** Things in a row with an index from the first, which are taken away in front without moving the rest. */
export class Deque<T> {
  #items: T[] = [];
  #head = 0;

  get amount(): number {
    return this.#items.length - this.#head;
  }

  at(index: number): T | undefined {
    return this.#items[this.#head + index];
  }

  get last(): T | undefined {
    return this.amount > 0 ? this.#items.at(-1) : undefined;
  }

  /** A copy of `count` from an index on, or of all. */
  slice(index = 0, count = this.amount): T[] {
    return this.#items.slice(this.#head + index, this.#head + index + count);
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Puts one before what is at an index, or in the place of so many. */
  insert(index: number, item: T, replaced = 0): void {
    this.#items.splice(this.#head + index, replaced, item);
  }

  /** Keeps the first `length`. */
  truncate(length: number): void {
    this.#items.length = this.#head + length;
  }

  /** Takes away the first ones. */
  shift(count = 1): void {
    this.#head += count;
    // What lies before the head goes in pieces, so that taking away the first costs nothing.
    if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.slice();
      this.#head = 0;
    }
  }

  /** Index of the first that is not before what is looked for, by halving: the items have to be in order. */
  search(isBefore: (item: T) => boolean): number {
    let low = 0;
    let high = this.amount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.at(middle) as T)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
