/** Messages that are in no frame yet, in two columns: one object for each would cost more than the message. */
export class WaitingMessages {
  #texts: string[] = [];
  #sizes: number[] = [];
  #head = 0;
  bytes = 0;

  get length(): number {
    return this.#texts.length - this.#head;
  }

  push(text: string, bytes: number): void {
    this.#texts.push(text);
    this.#sizes.push(bytes);
    this.bytes += bytes;
  }

  textAt(index: number): string {
    return this.#texts[this.#head + index] as string;
  }

  sizeAt(index: number): number {
    return this.#sizes[this.#head + index] as number;
  }

  /** Puts another text into a place. */
  replace(index: number, text: string, bytes: number): void {
    this.bytes += bytes - this.sizeAt(index);
    this.#texts[this.#head + index] = text;
    this.#sizes[this.#head + index] = bytes;
  }

  /** `count` messages from an index on, joined with newlines. */
  join(index: number, count: number): string {
    if (count === 1) return this.textAt(index);
    return this.#texts.slice(this.#head + index, this.#head + index + count).join('\n');
  }

  /** Takes away the first `count`, which are `bytes` in all, and joins them with newlines. */
  takeJoined(count: number, bytes: number): string {
    const text = this.join(0, count);
    this.bytes -= bytes;
    this.#head += count;
    if (this.length === 0) this.truncate(0, 0);
    // What lies before the head goes in pieces, so that taking away the first costs nothing.
    if (this.#head >= 1_024 && this.#head * 2 >= this.#texts.length) {
      this.#texts = this.#texts.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    }
    return text;
  }

  /** Takes away what was pushed after there were `length` messages of `bytes`. */
  truncate(length: number, bytes: number): void {
    if (length === 0) this.#head = 0;
    this.#texts.length = this.#head + length;
    this.#sizes.length = this.#head + length;
    this.bytes = bytes;
  }
}
