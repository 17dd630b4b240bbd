import { describe, expect, test } from 'vitest';
import { BatchQueue } from '../../../src/events/batch-queue.ts';
import { settled } from '../../support/fake-timers.ts';

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

/** A source that is told what to bring, and counts what it was asked for. */
class Source {
  asked = 0;
  hasEnded = false;
  readonly #waiting: number[] = [];
  #wake: (() => void) | undefined;

  bring(...items: number[]): void {
    this.#waiting.push(...items);
    this.#wake?.();
  }

  async *open(signal: AbortSignal): AsyncGenerator<number, void, undefined> {
    try {
      while (!signal.aborted) {
        this.asked += 1;
        while (this.#waiting.length === 0 && !signal.aborted) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
            signal.addEventListener('abort', () => resolve(), { once: true });
          });
        }
        const next = this.#waiting.shift();
        if (next !== undefined) yield next;
      }
    } finally {
      this.hasEnded = true;
    }
  }
}

describe('a batch queue', () => {
  test('has what came while the batch before was worked on', async () => {
    const source = new Source();
    const queue = new BatchQueue((signal) => source.open(signal), 10);
    const first = queue.take();
    source.bring(1);
    expect(await first).toEqual([1]);
    source.bring(2, 3, 4);
    await settled();
    expect(await queue.take()).toEqual([2, 3, 4]);
    await queue.stop();
  });

  test('have all that the source has at hand', async () => {
    const queue = new BatchQueue(async function* () {
      yield* upTo(250);
      await settled();
      yield 251;
    }, 100);
    expect(await queue.take()).toEqual(upTo(100));
    expect(await queue.take(10)).toEqual(upTo(110).slice(100));
    expect(await queue.take()).toEqual(upTo(210).slice(110));
    expect(await queue.take()).toEqual(upTo(250).slice(210));
    expect(await queue.take()).toEqual([251]);
    await queue.stop();
  });

  test('are no larger than they may be, and the source is asked for no more', async () => {
    const source = new Source();
    const queue = new BatchQueue((signal) => source.open(signal), 3);
    source.bring(1, 2, 3, 4, 5, 6, 7);
    await settled();
    expect(source.asked).toBe(3);
    expect(await queue.take(1)).toEqual([1]);
    await settled();
    expect(source.asked).toBe(4);
    expect(await queue.take()).toEqual([2, 3, 4]);
    await settled();
    expect(await queue.take()).toEqual([5, 6, 7]);
    await queue.stop();
  });

  test('end with the source, after what it has brought', async () => {
    const queue = new BatchQueue(async function* () {
      yield* [1, 2];
    }, 10);
    await settled();
    expect(await queue.take()).toEqual([1, 2]);
    expect(await queue.take()).toEqual([]);
    expect(await queue.take()).toEqual([]);
    await queue.stop();
  });

  test('fail with the source, after what it has brought', async () => {
    const queue = new BatchQueue(async function* () {
      yield 1;
      throw new Error('the source is dry');
    }, 10);
    await settled();
    expect(await queue.take()).toEqual([1]);
    await expect(queue.take()).rejects.toThrow('the source is dry');
    await queue.stop();
  });

  test('fail where the source does not open', async () => {
    const queue = new BatchQueue<number>(() => {
      throw new Error('no such source');
    }, 10);
    await expect(queue.take()).rejects.toThrow('no such source');
    await queue.stop();
  });

  test.each([
    ['waits for more', 0],
    ['waits for room', 3],
  ])('when stopped, end a source that %s', async (_what, items) => {
    const source = new Source();
    const queue = new BatchQueue((signal) => source.open(signal), 2);
    source.bring(...Array.from({ length: items }, (_, index) => index));
    await settled();
    expect(source.hasEnded).toBe(false);
    const waiting = items === 0 ? queue.take() : undefined;
    await queue.stop();
    expect(source.hasEnded).toBe(true);
    if (waiting !== undefined) expect(await waiting).toEqual([]);
  });
});
