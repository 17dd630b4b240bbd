import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Flusher, type FlusherOptions } from '../../../src/ingest/flusher.ts';
import type { MessageBatch } from '../../../src/ingest/message-batch.ts';
import { MESSAGE_OVERHEAD_BYTES, MemoryBuffer } from '../../../src/ingest/message-buffer.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';

const SIZE = MESSAGE_OVERHEAD_BYTES + 6;

/** A database whose every answer the test gives. */
class Bench {
  readonly timers = new FakeTimers();
  readonly buffer = new MemoryBuffer();
  readonly flusher: Flusher;
  /** What Postgres has committed, in the order of the commits. */
  readonly committed: string[] = [];
  readonly inFlight: { payloads: string[]; worker: number; resolve(): void; reject(error: unknown): void }[] =
    [];
  /** Messages of batches that were prepared, in their order; more than were sent where one was prepared ahead. */
  readonly prepared: string[][] = [];
  mostInFlight = 0;
  sent = 0;
  appended = 0;
  /** Thrown by the next `prepare`. */
  prepareError: Error | undefined;

  constructor(options: Partial<FlusherOptions> = {}) {
    this.flusher = new Flusher({
      buffer: this.buffer,
      prepare: (batch, worker) => this.#prepare(batch, worker),
      triggerRows: 5,
      maxRows: 5,
      batchBytes: 1_000_000,
      lingerMs: 100,
      workers: 1,
      timers: this.timers,
      random: () => 0.5,
      ...options,
    });
  }

  #prepare({ columns, from, to }: MessageBatch, worker: number): () => Promise<void> {
    const error = this.prepareError;
    this.prepareError = undefined;
    if (error !== undefined) throw error;
    const payloads = columns.payloads.slice(from, to);
    this.prepared.push(payloads);
    return () =>
      new Promise((resolve, reject) => {
        this.sent += 1;
        const entry = {
          payloads,
          worker,
          resolve: () => {
            this.inFlight.splice(this.inFlight.indexOf(entry), 1);
            this.committed.push(...payloads);
            resolve();
          },
          reject: (error: unknown) => {
            this.inFlight.splice(this.inFlight.indexOf(entry), 1);
            reject(error);
          },
        };
        this.inFlight.push(entry);
        this.mostInFlight = Math.max(this.mostInFlight, this.inFlight.length);
      });
  }

  /** Appends messages `m00001`, `m00002` and so on, and tells the flusher. */
  append(count: number): void {
    const payloads = numbered(this.appended + 1, this.appended + count);
    this.appended += count;
    this.buffer.append({
      producer: 'p',
      firstSequence: 1,
      payloads,
      plain: payloads.map(() => true),
      receivedAtMs: this.timers.now(),
    });
    this.flusher.notify();
  }

  /** The messages under way, batch by batch. */
  get batches(): string[][] {
    return this.inFlight.map(({ payloads }) => payloads);
  }

  async commit(): Promise<void> {
    this.inFlight[0]?.resolve();
    await settled();
  }

  async fail(error: unknown = new Error('connection lost')): Promise<void> {
    this.inFlight[0]?.reject(error);
    await settled();
  }
}

function numbered(from: number, to: number): string[] {
  return Array.from(
    { length: Math.max(0, to - from + 1) },
    (_, index) => `m${String(from + index).padStart(5, '0')}`,
  );
}

describe('what starts a flush', () => {
  test('the row that reaches triggerRows does, and the one before does not', () => {
    const bench = new Bench();
    bench.append(4);
    expect(bench.batches).toEqual([]);
    bench.append(1);
    expect(bench.batches).toEqual([numbered(1, 5)]);
  });

  test('the byte that reaches batchBytes does, and one less does not', () => {
    const below = new Bench({ batchBytes: 3 * SIZE + 1 });
    below.append(3);
    expect(below.batches).toEqual([]);
    const at = new Bench({ batchBytes: 3 * SIZE });
    at.append(3);
    expect(at.batches).toEqual([numbered(1, 3)]);
  });

  test('the oldest message does once it has waited for lingerMs, and not a millisecond before', () => {
    const bench = new Bench();
    bench.append(1);
    bench.timers.advance(60);
    bench.append(1);
    bench.timers.advance(39);
    expect(bench.batches).toEqual([]);
    bench.timers.advance(1);
    expect(bench.batches).toEqual([numbered(1, 2)]);
  });

  test('anything does where lingerMs is 0', () => {
    const bench = new Bench({ lingerMs: 0 });
    bench.append(1);
    expect(bench.batches).toEqual([numbered(1, 1)]);
  });

  test('flush() does, whatever the age, and once for what is there', async () => {
    const bench = new Bench();
    bench.append(2);
    bench.flusher.flush();
    expect(bench.batches).toEqual([numbered(1, 2)]);
    await bench.commit();
    bench.append(1);
    expect(bench.batches).toEqual([]);
    bench.timers.advance(100);
    expect(bench.batches).toEqual([numbered(3, 3)]);
  });

  test('flush() reaches what waits behind a batch in flight', async () => {
    const bench = new Bench({ lingerMs: 60_000 });
    bench.append(5);
    bench.append(2);
    bench.flusher.flush();
    await bench.commit();
    expect(bench.batches).toEqual([numbered(6, 7)]);
  });

  test('messages that came in while a batch was under way go out when they are old enough', async () => {
    const bench = new Bench();
    bench.append(5);
    bench.append(2);
    bench.timers.advance(30);
    await bench.commit();
    expect(bench.batches).toEqual([]);
    bench.timers.advance(70);
    expect(bench.batches).toEqual([numbered(6, 7)]);
  });

  test('an empty buffer sets no timer and sends nothing', () => {
    const bench = new Bench({ lingerMs: 0 });
    bench.flusher.notify();
    bench.flusher.flush();
    expect([bench.timers.pending, bench.sent]).toEqual([0, 0]);
  });
});

describe('batches', () => {
  test('hold at most maxRows and batchBytes', async () => {
    const bench = new Bench({ triggerRows: 3, maxRows: 4, batchBytes: 3 * SIZE });
    bench.append(10);
    const sizes: number[] = [];
    while (bench.inFlight.length > 0) {
      sizes.push((bench.batches[0] as string[]).length);
      await bench.commit();
      bench.timers.advance(100);
    }
    expect(sizes).toEqual([3, 3, 3, 1]);
  });

  test('one worker has one batch in flight, and the next one ready', async () => {
    const bench = new Bench();
    bench.append(5);
    bench.append(12);
    expect(bench.batches).toEqual([numbered(1, 5)]);
    expect(bench.prepared).toEqual([numbered(1, 5), numbered(6, 10)]);
    expect(bench.flusher.isWriting).toBe(true);
    await bench.commit();
    expect(bench.batches).toEqual([numbered(6, 10)]);
    expect(bench.mostInFlight).toBe(1);
  });

  test('a batch that may still grow is not prepared ahead', async () => {
    const bench = new Bench();
    bench.append(5);
    bench.append(4);
    expect(bench.prepared).toEqual([numbered(1, 5)]);
    bench.append(1);
    expect(bench.prepared).toEqual([numbered(1, 5), numbered(6, 10)]);
  });

  test('several workers have a batch each in flight, and no more', async () => {
    const bench = new Bench({ workers: 3, triggerRows: 1, maxRows: 1, lingerMs: 0 });
    bench.append(5);
    expect(bench.batches).toEqual([['m00001'], ['m00002'], ['m00003']]);
    expect(bench.inFlight.map(({ worker }) => worker).sort()).toEqual([0, 1, 2]);
    await bench.commit();
    expect(bench.batches).toEqual([['m00002'], ['m00003'], ['m00004']]);
    expect(bench.mostInFlight).toBe(3);
  });
});

describe('failures', () => {
  test('a failed batch goes out again, before anything else, and the one prepared behind it follows', async () => {
    const bench = new Bench();
    bench.append(5);
    bench.append(7);
    await bench.fail();
    expect(bench.batches).toEqual([]);
    expect(bench.buffer.waitingRows).toBe(12);
    bench.flusher.flush();
    expect(bench.batches).toEqual([numbered(1, 5)]);
    await bench.commit();
    await bench.commit();
    await bench.commit();
    expect(bench.committed).toEqual(numbered(1, 12));
  });

  test('the order holds where a batch fails twice with another one waiting behind it', async () => {
    const bench = new Bench();
    bench.append(5);
    bench.append(5);
    await bench.fail();
    bench.flusher.flush();
    await bench.fail();
    bench.flusher.flush();
    expect(bench.batches).toEqual([numbered(1, 5)]);
    await bench.commit();
    expect(bench.batches).toEqual([numbered(6, 10)]);
    await bench.commit();
    expect(bench.committed).toEqual(numbered(1, 10));
  });

  test('the next try comes when the backoff ends, and not before', async () => {
    const bench = new Bench({ backoff: { baseMs: 1_000, maxMs: 30_000 }, random: () => 1 });
    bench.append(5);
    await bench.fail();
    bench.timers.advance(999);
    bench.append(5);
    expect(bench.batches).toEqual([]);
    bench.timers.advance(1);
    expect(bench.batches).toEqual([numbered(1, 5)]);
    await bench.fail();
    bench.timers.advance(1_999);
    expect(bench.batches).toEqual([]);
    bench.timers.advance(1);
    expect(bench.batches).toEqual([numbered(1, 5)]);
  });

  test.each([
    ['by its rows', 5],
    ['by flush()', 2],
  ])(
    'a batch that was due %s is tried again when the backoff ends, however long the linger',
    async (_, rows) => {
      const bench = new Bench({
        backoff: { baseMs: 1_000, maxMs: 30_000 },
        random: () => 1,
        lingerMs: 60_000,
      });
      bench.append(rows);
      bench.flusher.flush();
      await bench.fail();
      bench.timers.advance(999);
      expect(bench.batches).toEqual([]);
      bench.timers.advance(1);
      expect(bench.batches).toEqual([numbered(1, rows)]);
    },
  );

  test('a success ends the row of failures, so that the next backoff begins small again', async () => {
    const bench = new Bench({ backoff: { baseMs: 1_000, maxMs: 30_000 }, random: () => 1 });
    bench.append(5);
    await bench.fail();
    bench.timers.advance(1_000);
    await bench.fail();
    bench.timers.advance(2_000);
    await bench.commit();
    expect(bench.flusher.stats).toMatchObject({ failures: 2, failuresInARow: 0, flushed: 5, flushes: 1 });
    bench.append(5);
    await bench.fail();
    bench.timers.advance(1_000);
    expect(bench.batches).toEqual([numbered(6, 10)]);
  });

  test('flush() does not wait for the backoff', async () => {
    const bench = new Bench({ backoff: { baseMs: 30_000, maxMs: 30_000 } });
    bench.append(5);
    await bench.fail();
    expect(bench.batches).toEqual([]);
    bench.flusher.flush();
    expect(bench.batches).toEqual([numbered(1, 5)]);
  });

  test('the last failure stays readable after recovery', async () => {
    const bench = new Bench();
    expect(bench.flusher.stats).toMatchObject({ lastError: null, lastErrorAtMs: null });
    bench.append(5);
    await bench.fail(new Error('no route', { cause: new Error('to host') }));
    const failedAtMs = bench.timers.now();
    bench.timers.advance(60_000);
    await bench.commit();
    expect(bench.flusher.stats).toMatchObject({ lastError: 'no route: to host', lastErrorAtMs: failedAtMs });
  });

  test('a prepare that throws is a failed try: nothing is lost and nothing stops', async () => {
    const bench = new Bench();
    bench.prepareError = new Error('compute threw');
    bench.append(5);
    await settled();
    expect(bench.flusher.stats).toMatchObject({ failures: 1, lastError: 'compute threw' });
    expect(bench.buffer.waitingRows).toBe(5);
    bench.flusher.flush();
    await bench.commit();
    expect(bench.committed).toEqual(numbered(1, 5));
  });

  test('a prepare ahead that throws harms neither the batch before it nor the one it was for', async () => {
    const bench = new Bench();
    bench.append(5);
    bench.append(5);
    bench.append(5);
    bench.prepareError = new Error('compute threw');
    await bench.commit();
    expect(bench.committed).toEqual(numbered(1, 5));
    await bench.commit();
    await settled();
    bench.flusher.flush();
    await bench.commit();
    expect(bench.committed).toEqual(numbered(1, 15));
    expect(bench.flusher.stats.flushed).toBe(15);
  });
});

describe('drained()', () => {
  test('resolves at once where nothing is buffered', async () => {
    await new Bench().flusher.drained();
  });

  test('resolves once all is committed, through failures, and not before', async () => {
    const bench = new Bench();
    bench.append(7);
    let isDrained = false;
    void bench.flusher.drained().then(() => {
      isDrained = true;
    });
    bench.flusher.flush();
    await bench.fail();
    expect(isDrained).toBe(false);
    bench.timers.advance(60_000);
    await bench.commit();
    expect(isDrained).toBe(false);
    await bench.commit();
    expect(isDrained).toBe(true);
    expect(bench.committed).toEqual(numbered(1, 7));
  });
});

test('close() cancels the timer and leaves the messages where they are', () => {
  const bench = new Bench();
  bench.append(2);
  bench.flusher.close();
  bench.timers.advance(1_000);
  expect(bench.batches).toEqual([]);
  bench.flusher.flush();
  expect(bench.batches).toEqual([numbered(1, 2)]);
});

test('onProgress is called after each batch, settled or put back', async () => {
  let calls = 0;
  const bench = new Bench({ onProgress: () => (calls += 1) });
  bench.append(5);
  expect(calls).toBe(0);
  await bench.fail();
  expect(calls).toBe(1);
  bench.flusher.flush();
  bench.append(5);
  await bench.commit();
  expect(calls).toBe(2);
  await bench.commit();
  expect(calls).toBe(3);
});

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 3, arbitrary: fc.constant({ do: 'commit' as const }) },
  { weight: 3, arbitrary: fc.constant({ do: 'fail' as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(400) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'flush' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'prepareThrows' as const }) },
);

describe('under random arrivals, failures and times', () => {
  test.each([1, 3])(
    'with %i workers nothing is lost or doubled, and one worker keeps the order',
    async (workers) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(200), async (steps, lingerMs) => {
          const bench = new Bench({ workers, lingerMs, batchBytes: 4 * SIZE });
          for (const action of steps) {
            if (action.do === 'append') bench.append(action.count);
            else if (action.do === 'commit') await bench.commit();
            else if (action.do === 'fail') await bench.fail();
            else if (action.do === 'advance') bench.timers.advance(action.ms);
            else if (action.do === 'flush') bench.flusher.flush();
            else bench.prepareError = new Error('compute threw');
            await settled();
            // Whoever waits is looked after: by a batch in flight whose end starts the next, or by a timer.
            if (bench.buffer.rows > 0)
              expect(bench.inFlight.length + bench.timers.pending).toBeGreaterThan(0);
          }
          bench.prepareError = undefined;
          const drained = bench.flusher.drained();
          for (let round = 0; bench.buffer.rows > 0; round += 1) {
            expect(round).toBeLessThan(1_000);
            bench.timers.advance(60_000);
            await bench.commit();
          }
          await drained;
          expect(bench.mostInFlight).toBeLessThanOrEqual(workers);
          const all = numbered(1, bench.appended);
          if (workers === 1) expect(bench.committed).toEqual(all);
          else expect(bench.committed.toSorted()).toEqual(all);
          expect(bench.flusher.stats.flushed).toBe(all.length);
        }),
        { numRuns: 300 },
      );
    },
  );
});
