/**
 * Takes what a source brings in batches: all that has come while the batch before was worked on, and what the source has at hand, up
 * to a bound. Like the groups of appends, batches need no timer: a lonely event goes at once, and under load batches are large.
 */

/**
 * Microtasks in which a source that need not wait for anything brings its next item: an async generator takes three, and one
 * that goes through another one twice as many. Without them, batches would be of one or two items where the work on them is
 * synchronous and nothing can come meanwhile. A source that is slower only makes smaller batches.
 */
const AT_HAND_TURNS = 12;

export class BatchQueue<Item> {
  readonly #maxItems: number;
  readonly #abort = new AbortController();
  readonly #pumped: Promise<void>;
  #waiting: Item[] = [];
  #hasEnded = false;
  #failure: { error: unknown } | undefined;
  #whenMore: (() => void) | undefined;
  #whenTaken: (() => void) | undefined;

  /**
   * @param open opens the source; it has to end it when the signal is aborted
   * @param maxItems that may wait, at least 1; the source is not asked for more
   */
  constructor(open: (signal: AbortSignal) => AsyncIterable<Item>, maxItems: number) {
    this.#maxItems = maxItems;
    this.#pumped = this.#pump(open);
  }

  /**
   * Resolves with what waits, once there is something; with nothing where the source has ended.
   *
   * @throws what the source has failed with, after what came before it was taken
   */
  async take(maxItems: number = this.#maxItems): Promise<Item[]> {
    while (this.#waiting.length === 0 && !this.#hasEnded) {
      await new Promise<void>((resolve) => {
        this.#whenMore = resolve;
      });
    }
    await this.#atHand(maxItems);
    if (this.#waiting.length === 0 && this.#failure !== undefined) throw this.#failure.error;
    const batch = this.#waiting.splice(0, maxItems);
    this.#whenTaken?.();
    return batch;
  }

  /** Ends the source, and resolves when it has ended. What was not taken is gone. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#whenTaken?.();
    await this.#pumped;
  }

  async #atHand(maxItems: number): Promise<void> {
    let count = this.#waiting.length;
    for (let turn = 0; turn < AT_HAND_TURNS; turn += 1) {
      if (count >= maxItems || this.#hasEnded) return;
      await undefined;
      if (this.#waiting.length > count) turn = -1;
      count = this.#waiting.length;
    }
  }

  async #pump(open: (signal: AbortSignal) => AsyncIterable<Item>): Promise<void> {
    const { signal } = this.#abort;
    try {
      for await (const item of open(signal)) {
        if (signal.aborted) break;
        this.#waiting.push(item);
        this.#whenMore?.();
        while (this.#waiting.length >= this.#maxItems && !signal.aborted) {
          await new Promise<void>((resolve) => {
            this.#whenTaken = resolve;
          });
        }
      }
    } catch (error) {
      this.#failure = { error };
    }
    this.#hasEnded = true;
    this.#whenMore?.();
  }
}
