import { Deque } from './deque.ts';

/** Messages that are in no frame yet, in two columns: one object for each would cost more than the message. */
export class WaitingMessages {
  readonly #texts = new Deque<string>();
  readonly #sizes = new Deque<number>();
  utf8Size = 0;

  get amount(): number {
    return this.#sizes.amount;
  }

  push(text: string, bytes: number): void {
    this.#texts.push(text);
    this.#sizes.push(bytes);
    this.utf8Size += bytes;
  }

  textAt(index: number): string {
    return this.#texts.at(index) as string;
  }

  sizeAt(index: number): number {
    return this.#sizes.at(index) as number;
  }

  /** Puts another text into a place. */
  replace(index: number, text: string, bytes: number): void {
    this.utf8Size += bytes - this.sizeAt(index);
    this.#texts.insert(index, text, 1);
    this.#sizes.insert(index, bytes, 1);
  }

  /** `count` messages from an index on, joined with newlines. */
  join(index: number, count: number): string {
    return this.#texts.slice(index, count).join('\n');
  }

  /** Takes away the first `count`, which are `bytes` in all, and joins them with newlines. */
  takeJoined(count: number, bytes: number): string {
    const text = this.join(0, count);
    this.utf8Size -= bytes;
    this.#texts.shift(count);
    this.#sizes.shift(count);
    return text;
  }

  /** Takes away what was pushed after there were `length` messages of `bytes`. */
  truncate(length: number, bytes: number): void {
    this.#texts.truncate(length);
    this.#sizes.truncate(length);
    this.utf8Size = bytes;
  }
}
