/** Things in a row with an index from the first, which are taken away in front without moving the rest. */
export class Deque<T> {
  #items: T[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  at(index: number): T | undefined {
    return this.#items[this.#head + index];
  }

  get last(): T | undefined {
    return this.length > 0 ? this.#items.at(-1) : undefined;
  }

  /** A copy of all, from the first on. */
  slice(): T[] {
    return this.#items.slice(this.#head);
  }

  push(item: T): void {
    this.#items.push(item);
  }

  insert(index: number, item: T): void {
    this.#items.splice(this.#head + index, 0, item);
  }

  /** Keeps the first `length`. */
  truncate(length: number): void {
    this.#items.length = this.#head + length;
  }

  /** Takes away the first. */
  shift(): void {
    this.#head += 1;
    // What lies before the head goes in pieces, so that taking away the first costs nothing.
    if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.slice();
      this.#head = 0;
    }
  }

  /** Index of the first that is not before what is looked for, by halving: the items have to be in order. */
  search(isBefore: (item: T) => boolean): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.at(middle) as T)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
