import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Judgement } from '../../../src/ingest/evidence.ts';
import type { FlushFault } from '../../../src/ingest/flush-faults.ts';
import { Flusher } from '../../../src/ingest/flusher.ts';
import type { FlusherOptions, WriteEnd } from '../../../src/ingest/flusher-options.ts';
import type { LaneFault } from '../../../src/outbox/lane-faults.ts';
import { MemoryBuffer } from '../../../src/outbox/message-buffer.ts';
import { MESSAGE_OVERHEAD_BYTES, type MessageBatch } from '../../../src/sinks/message-batch.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';

/** What a database says against a batch, with what is to be done about it. */
class Fault extends Error {
  readonly fault: FlushFault;
  constructor(fault: FlushFault, message: string = fault) {
    super(message);
    this.fault = fault;
  }
}

const SIZE = MESSAGE_OVERHEAD_BYTES + 6;

/** A database whose every answer the test gives. */
class Bench {
  readonly timers = new FakeTimers();
  readonly buffer = new MemoryBuffer();
  readonly flusher: Flusher;
  /** What Postgres has committed, in the order of the commits. */
  readonly committed: string[] = [];
  readonly inFlight: {
    payloads: string[];
    worker: number;
    resolve(end?: WriteEnd): void;
    reject(error: unknown): void;
  }[] = [];
  /** Messages given up, in the order in which they were. */
  readonly dead: string[] = [];
  /** How many more may be given up. */
  graves = Number.POSITIVE_INFINITY;
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
      classify: (error) => (error instanceof Fault ? error.fault : 'retry'),
      deadLetter: ({ columns, from, to, ...batch }) => {
        expect(to - from).toBe(1);
        if (this.graves === 0) return false;
        this.graves -= 1;
        this.dead.push(columns.payloads[from] as string);
        this.buffer.settle({ columns, from, to, ...batch });
        return true;
      },
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

  #prepare({ columns, from, to }: MessageBatch, worker: number): () => Promise<WriteEnd> {
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
          resolve: (end: WriteEnd = { state: 'committed' }) => {
            this.inFlight.splice(this.inFlight.indexOf(entry), 1);
            if (end.state === 'committed') this.committed.push(...payloads);
            resolve(end);
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
      epoch: 0,
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

  /** Commits the oldest batch, or refuses it where it holds a message of `poison`. */
  async answer(poison: readonly string[]): Promise<void> {
    const isRefused = this.batches[0]?.some((payload) => poison.includes(payload));
    await (isRefused === true ? this.fail(new Fault('isolate')) : this.commit());
  }

  /** The same with all that is sent, until nothing is. */
  async answerAll(poison: readonly string[] = []): Promise<void> {
    while (this.inFlight.length > 0) await this.answer(poison);
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
    expect(bench.flusher.stats).toMatchObject({ failures: 2, failuresInARow: 0, committed: 5, flushes: 1 });
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
    expect(bench.flusher.stats.committed).toBe(15);
  });
});

describe('a batch that takes too long', () => {
  const tooLong = (): Error =>
    Object.assign(new Error('canceling statement due to statement timeout'), {
      code: '57014',
      severity: 'ERROR',
    });

  /** A database in which `fits` rows are written in time, asked until all is committed. */
  async function writeAll(bench: Bench, fits: number): Promise<number[]> {
    const sizes: number[] = [];
    while (bench.buffer.rows > 0) {
      const [batch] = bench.batches;
      if (batch === undefined) bench.timers.advance(100);
      else {
        sizes.push(batch.length);
        if (batch.length > fits) await bench.fail(tooLong());
        else await bench.commit();
      }
    }
    return sizes;
  }

  test('becomes smaller until it fits, in the order of its messages, and grows again', async () => {
    const bench = new Bench({ maxRows: 64, triggerRows: 64 });
    bench.append(64);
    bench.append(64);
    const sizes = await writeAll(bench, 10);
    expect(sizes.slice(0, 4)).toEqual([64, 16, 4, 8]);
    expect(Math.max(...sizes.slice(4))).toBe(8);
    expect(bench.committed).toEqual(numbered(1, 128));
    expect(bench.flusher.stats).toMatchObject({ state: 'running', maxBatchRows: 8, failuresInARow: 0 });
    expect(bench.dead).toEqual([]);
  });

  test('is tried again soon: tries before it are no reason to wait longer', async () => {
    const bench = new Bench({
      maxRows: 4_096,
      triggerRows: 4_096,
      backoff: { baseMs: 100, maxMs: 30_000 },
      random: () => 1,
    });
    bench.append(4_096);
    for (let tries = 0; tries < 6; tries += 1) {
      await bench.fail(tooLong());
      expect(bench.batches).toEqual([]);
      bench.timers.advance(100);
    }
    expect(bench.batches).toEqual([numbered(1, 1)]);
    // The control: of one message, it is an outage like any other.
    await bench.fail(tooLong());
    bench.timers.advance(100);
    await bench.fail(tooLong());
    bench.timers.advance(100);
    expect(bench.batches).toEqual([]);
    bench.timers.advance(100);
    expect(bench.batches).toEqual([numbered(1, 1)]);
  });

  test('does not make others smaller for another reason to fail', async () => {
    const bench = new Bench();
    bench.append(5);
    await bench.fail(new Fault('retry'));
    bench.flusher.flush();
    expect(bench.batches).toEqual([numbered(1, 5)]);
    expect(bench.flusher.stats.maxBatchRows).toBeNull();
  });
});

describe('a batch that is refused for what is in it', () => {
  test('is written without the message at fault, which is given up', async () => {
    const bench = new Bench();
    bench.append(5);
    await bench.answerAll(['m00003']);
    expect(bench.committed).toEqual(['m00001', 'm00002', 'm00004', 'm00005']);
    expect(bench.dead).toEqual(['m00003']);
    expect(bench.buffer.rows).toBe(0);
    expect(bench.flusher.stats).toMatchObject({ state: 'running', committed: 4, dead: 1, failuresInARow: 0 });
  });

  test('that is one message alone is given up at once', async () => {
    const bench = new Bench({ triggerRows: 1, maxRows: 1 });
    bench.append(1);
    await bench.answerAll(['m00001']);
    expect([bench.dead, bench.sent, bench.buffer.rows]).toEqual([['m00001'], 1, 0]);
  });

  test('goes before the one that was prepared behind it, and that one before all that came later', async () => {
    const bench = new Bench();
    bench.append(5);
    bench.append(5);
    bench.append(5);
    expect(bench.prepared, 'the control: one is prepared ahead').toHaveLength(2);
    await bench.answerAll(['m00002', 'm00014']);
    expect(bench.committed).toEqual(numbered(1, 15).filter((payload) => !/(02|14)$/.test(payload)));
    expect(bench.dead).toEqual(['m00002', 'm00014']);
    expect(bench.buffer.rows).toBe(0);
    expect(bench.flusher.stats).toMatchObject({ state: 'running', committed: 13, dead: 2 });
  });

  test('whose connection is lost on the way gives up nothing more: the rest is tried again as one', async () => {
    const bench = new Bench();
    bench.append(5);
    await bench.fail(new Fault('isolate'));
    expect(bench.batches, 'the left half first').toEqual([numbered(1, 2)]);
    await bench.commit();
    await bench.fail();
    expect(bench.dead).toEqual([]);
    expect(bench.flusher.stats).toMatchObject({ state: 'retrying', committed: 2, dead: 0 });
    expect(bench.buffer.waitingRows).toBe(3);
    bench.flusher.flush();
    expect(bench.batches).toEqual([numbered(3, 5)]);
    await bench.answerAll(['m00004']);
    expect([bench.committed, bench.dead]).toEqual([['m00001', 'm00002', 'm00003', 'm00005'], ['m00004']]);
  });

  test('pauses where there is no room for what would be given up, and goes on when there is', async () => {
    const bench = new Bench();
    bench.graves = 1;
    bench.append(5);
    await bench.answerAll(['m00001', 'm00004']);
    expect([bench.committed, bench.dead]).toEqual([['m00002', 'm00003'], ['m00001']]);
    expect(bench.buffer.waitingRows).toBe(2);
    expect(bench.flusher.stats).toMatchObject({
      state: 'paused',
      lastErrorCode: 'dead_letters_full',
      lastError: expect.stringContaining('no room for another dead letter'),
    });
    bench.graves = 1;
    bench.flusher.flush();
    await bench.answerAll(['m00001', 'm00004']);
    expect([bench.committed, bench.dead]).toEqual([
      ['m00002', 'm00003', 'm00005'],
      ['m00001', 'm00004'],
    ]);
    expect(bench.flusher.stats.state).toBe('running');
  });

  test('is tried for ever where nothing takes what would be given up', async () => {
    const { buffer, timers } = new Bench();
    let tries = 0;
    const flusher = new Flusher({
      buffer,
      prepare: () => async () => {
        tries += 1;
        throw new Fault('isolate');
      },
      classify: () => 'isolate',
      triggerRows: 1,
      maxRows: 5,
      batchBytes: 1_000_000,
      lingerMs: 0,
      workers: 1,
      timers,
      random: () => 0.5,
    });
    const rows = { producer: 'p', firstSequence: 1, epoch: 0, receivedAtMs: 0 };
    buffer.append({ ...rows, payloads: ['1', '2'], plain: [true, true] });
    for (let round = 1; round <= 3; round += 1) {
      flusher.flush();
      await settled();
      expect([tries, buffer.waitingRows]).toEqual([round, 2]);
    }
    expect(flusher.stats).toMatchObject({ failuresInARow: 3, dead: 0, committed: 0 });
  });
});

describe('a pause', () => {
  test('asks again every now and then, keeps everything, and ends with the first success', async () => {
    const bench = new Bench({ random: () => 1, backoff: { baseMs: 1, maxMs: 1 } });
    bench.append(5);
    await bench.fail(new Fault('pause', 'relation does not exist'));
    expect(bench.flusher.stats).toMatchObject({ state: 'paused', lastError: 'relation does not exist' });
    bench.timers.advance(999);
    expect(bench.batches).toEqual([]);
    bench.timers.advance(1);
    expect(bench.batches).toEqual([numbered(1, 5)]);
    for (let failures = 2; failures <= 8; failures += 1) {
      await bench.fail(new Fault('pause'));
      bench.timers.advance(300_000);
      expect(bench.batches, 'however many failures').toEqual([numbered(1, 5)]);
    }
    await bench.commit();
    expect(bench.flusher.stats.state).toBe('running');
    expect(bench.committed).toEqual(numbered(1, 5));
  });

  test('says why all wait, whatever a further try has met so far, until that one has ended', async () => {
    let verdicts: ((verdict: Judgement) => void)[] = [];
    const bench = new Bench({
      workers: 2,
      triggerRows: 1,
      maxRows: 1,
      isolation: () => ({ judge: () => new Promise((resolve) => verdicts.push(resolve)) }),
    });
    const judged = async (verdict: Judgement): Promise<void> => {
      for (const resolve of verdicts) resolve(verdict);
      verdicts = [];
      await settled();
    };
    const shown = () => {
      const { state, lastError, lastErrorAtMs } = bench.flusher.stats;
      return { state, lastError, lastErrorAtMs };
    };
    const missing = new Fault('isolate', 'relation does not exist');
    const waits = new Fault('pause', 'relation does not exist. All of them wait');
    bench.append(2);
    await bench.fail(missing);
    expect(shown(), 'the control: the first one tells at once').toMatchObject({
      state: 'running',
      lastError: missing.message,
    });
    await judged({ do: 'pause', error: waits, isUndecided: false });
    const paused = { state: 'paused', lastError: waits.message, lastErrorAtMs: bench.timers.now() };
    expect(shown()).toEqual(paused);

    bench.timers.advance(1);
    await bench.fail(missing);
    expect(verdicts, 'the control: the other worker has met the same').toHaveLength(1);
    expect(shown()).toEqual(paused);
    expect(bench.flusher.stats.failures, 'and it is counted').toBe(3);
    await judged({ do: 'pause', error: new Fault('pause', 'Still so'), isUndecided: false });
    expect(shown()).toEqual({ ...paused, lastError: 'Still so', lastErrorAtMs: paused.lastErrorAtMs + 1 });

    bench.flusher.flush();
    await bench.fail(missing);
    expect(shown().lastError).toBe('Still so');
    await judged({ do: 'condemn', error: missing });
    expect(shown(), 'a row was at fault').toMatchObject({ state: 'running', lastError: missing.message });
  });

  test('does not keep flush() from trying', async () => {
    const bench = new Bench();
    bench.append(5);
    await bench.fail(new Fault('pause'));
    bench.flusher.flush();
    expect(bench.batches).toEqual([numbered(1, 5)]);
  });
});

describe('a stop', () => {
  test('ends for resume() alone: no time, message or flush() begins a try', async () => {
    const bench = new Bench();
    bench.append(5);
    await bench.fail(new Fault('stop', 'the checkpoint is gone'));
    expect(bench.flusher.stats).toMatchObject({ state: 'stopped', lastError: 'the checkpoint is gone' });
    expect(bench.timers.pending).toBe(0);
    bench.append(20);
    bench.flusher.flush();
    bench.flusher.flushSoon();
    bench.timers.advance(10 * 60_000);
    expect([bench.batches, bench.sent, bench.buffer.waitingRows]).toEqual([[], 1, 25]);
    bench.flusher.resume();
    await bench.answerAll();
    expect(bench.committed).toEqual(numbered(1, 25));
    expect(bench.flusher.stats).toMatchObject({ state: 'running', committed: 25 });
  });
});

describe('a pause that an operator wants', () => {
  const paused = { state: 'stopped', lastErrorCode: 'paused_by_operator' };

  test('keeps all that waits, also what was prepared; what is on its way ends, and changes nothing of it', async () => {
    for (const end of ['commit', 'fail'] as const) {
      const bench = new Bench();
      bench.append(6);
      bench.append(6);
      expect([bench.sent, bench.prepared.length], 'one is on its way, and one is prepared').toEqual([1, 2]);
      bench.flusher.pauseByOperator();
      await bench[end]();
      bench.append(10);
      bench.flusher.flush();
      bench.timers.advance(10 * 60_000);
      expect([bench.sent, bench.buffer.waitingRows]).toEqual([1, end === 'commit' ? 17 : 22]);
      expect(bench.flusher.stats).toMatchObject(paused);
      expect(bench.timers.pending).toBe(0);
      bench.flusher.resume();
      await bench.answerAll();
      expect(bench.committed, 'in their order').toEqual(numbered(1, 22));
      expect(bench.flusher.stats.state).toBe('running');
    }
  });

  test('outlives the flusher, and ends with resume()', async () => {
    const kept: (LaneFault | undefined)[] = [];
    const onFault = (fault: LaneFault | undefined): void => void kept.push(fault);
    new Bench({ onFault }).flusher.pauseByOperator();
    const [fault] = kept;
    expect(fault).toMatchObject({ state: 'stopped', code: 'paused_by_operator' });
    const next = new Bench({ fault, onFault });
    next.append(5);
    expect([next.sent, next.flusher.isPausedByOperator]).toEqual([0, true]);
    next.flusher.resume();
    expect([kept.at(-1), next.flusher.isPausedByOperator]).toEqual([undefined, false]);
    await next.answerAll();
    expect(next.flusher.stats).toMatchObject({ state: 'running', committed: 5 });
  });

  test('leaves a stop as it is: somebody has to decide about that', async () => {
    const bench = new Bench();
    bench.append(5);
    await bench.fail(new Fault('stop', 'the checkpoint is gone'));
    bench.flusher.pauseByOperator();
    expect(bench.flusher.stats).toMatchObject({ state: 'stopped', lastError: 'the checkpoint is gone' });
    expect(bench.flusher.isPausedByOperator).toBe(false);
  });
});

describe('a fault that outlives the flusher', () => {
  const kept: (LaneFault | undefined)[] = [];
  const onFault = (fault: LaneFault | undefined): void => {
    kept.push(fault);
  };

  test('is told from the first long backoff on, and once it is over', async () => {
    kept.length = 0;
    const bench = new Bench({ random: () => 1, backoff: { baseMs: 300, maxMs: 30_000 }, onFault });
    bench.append(5);
    await bench.fail();
    bench.timers.advance(300);
    await bench.fail();
    bench.timers.advance(600);
    expect(kept, 'short ones are not worth a row').toEqual([]);
    await bench.fail();
    expect(kept).toMatchObject([
      { state: 'retrying', failuresInARow: 3, retryAtMs: bench.timers.now() + 1_200 },
    ]);
    bench.timers.advance(1_200);
    await bench.fail(new Fault('pause', 'the password is wrong'));
    expect(kept[1]).toMatchObject({ state: 'paused', failuresInARow: 4, message: 'the password is wrong' });
    bench.timers.advance(300_000);
    await bench.commit();
    bench.append(5);
    await bench.commit();
    expect(kept.slice(2)).toEqual([undefined]);
  });

  test('goes on in the next life: with its backoff, and not at full pace', async () => {
    kept.length = 0;
    const fault: LaneFault = {
      state: 'paused',
      failuresInARow: 9,
      retryAtMs: new FakeTimers().now() + 200_000,
      code: 'database_unreachable',
      message: 'the password is wrong',
      atMs: 5,
      details: null,
    };
    const bench = new Bench({ random: () => 1, fault, onFault });
    expect(bench.flusher.stats).toMatchObject({
      state: 'paused',
      failuresInARow: 9,
      lastError: 'the password is wrong',
      lastErrorCode: 'database_unreachable',
      lastErrorAtMs: 5,
    });
    bench.append(20);
    bench.flusher.flushSoon();
    bench.timers.advance(199_999);
    expect(bench.sent).toBe(0);
    bench.timers.advance(1);
    expect(bench.sent).toBe(1);
    await bench.fail(new Fault('pause'));
    bench.timers.advance(255_999);
    expect(bench.sent, 'the tenth pause is longer than the ninth').toBe(1);
    bench.timers.advance(1_000_000);
    await bench.answerAll();
    expect(kept.at(-1)).toBeUndefined();
    expect(bench.flusher.stats.state).toBe('running');
  });

  test('ends with resume(), be it a stop', async () => {
    kept.length = 0;
    const first = new Bench({ onFault });
    first.append(5);
    await first.fail(new Fault('stop', 'the checkpoint is gone'));
    const [fault] = kept;
    expect(fault).toMatchObject({ state: 'stopped' });
    const next = new Bench({ fault, onFault });
    next.append(5);
    next.flusher.flush();
    next.timers.advance(600_000);
    expect([next.sent, next.flusher.stats.state]).toEqual([0, 'stopped']);
    next.flusher.resume();
    expect(kept.at(-1)).toBeUndefined();
    await next.answerAll();
    expect(next.flusher.stats).toMatchObject({ state: 'running', committed: 5 });
  });
});

test('flushSoon() waits for the backoff, and not for the age', async () => {
  const bench = new Bench({ backoff: { baseMs: 1_000, maxMs: 30_000 }, random: () => 1, lingerMs: 60_000 });
  bench.append(2);
  bench.flusher.flushSoon();
  await bench.fail();
  bench.flusher.flushSoon();
  bench.timers.advance(999);
  expect(bench.batches).toEqual([]);
  bench.timers.advance(1);
  expect(bench.batches).toEqual([numbered(1, 2)]);
});

test('a batch that turns out to be settled elsewhere voids the one prepared behind it', async () => {
  const bench = new Bench();
  bench.append(5);
  bench.append(5);
  expect(bench.prepared, 'the control: it was prepared').toHaveLength(2);
  bench.inFlight[0]?.resolve({ state: 'moved', settledRows: 7 });
  await settled();
  expect(bench.batches, 'what was taken from the old state is not sent').toEqual([]);
  expect(bench.flusher.stats).toMatchObject({ state: 'running', committed: 7 });
  bench.append(5);
  expect(bench.batches).toEqual([numbered(11, 15)]);
});

describe('a buffer that fails', () => {
  const full = new Error('disk full');
  const fail = (): never => {
    throw full;
  };

  test('to hand out a batch is reported, and nothing is sent', () => {
    const failures: unknown[] = [];
    const bench = new Bench({ onBufferFailure: (error) => failures.push(error) });
    bench.buffer.take = fail;
    bench.append(5);
    expect([failures, bench.sent]).toEqual([[full], 0]);
  });

  test.each([
    ['to settle a batch', 'settle', (bench: Bench) => bench.commit()],
    ['to take one back', 'putBack', (bench: Bench) => bench.fail()],
    ['to give up a message', 'settle', (bench: Bench) => bench.answerAll(['m00001'])],
  ] as const)(
    '%s is reported once, and nothing more is sent: nobody knows what it holds',
    async (_, step, act) => {
      const failures: unknown[] = [];
      const bench = new Bench({ onBufferFailure: (error) => failures.push(error) });
      bench.append(5);
      bench.append(5);
      bench.buffer[step] = fail;
      await act(bench);
      const { sent } = bench;
      bench.append(20);
      bench.flusher.flush();
      bench.timers.advance(60_000);
      await settled();
      expect([failures, bench.sent]).toEqual([[full], sent]);
    },
  );
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
  { weight: 3, arbitrary: fc.constant({ do: 'answer' as const }) },
  { weight: 3, arbitrary: fc.constant({ do: 'fail' as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(400) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'pause' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dig' as const), graves: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'flush' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'prepareThrows' as const }) },
);

const scenario = fc.record({
  steps: fc.array(step, { maxLength: 60 }),
  lingerMs: fc.nat(200),
  // Every message, one of a few, or none.
  poisonEvery: fc.constantFrom(1, 2, 3, 7, 20, 1_000_000),
  graves: fc.nat(20),
});

describe('under random arrivals, failures, refusals and times', () => {
  test.each([1, 3])(
    'with %i workers nothing is lost or doubled, nothing good is given up, and one worker keeps the order',
    async (workers) => {
      await fc.assert(
        fc.asyncProperty(scenario, async ({ steps, lingerMs, poisonEvery, graves }) => {
          const bench = new Bench({ workers, lingerMs, batchBytes: 4 * SIZE });
          bench.graves = graves;
          const isPoison = (payload: string): boolean => Number(payload.slice(1)) % poisonEvery === 0;
          const poison = numbered(1, 600).filter(isPoison);
          for (const action of steps) {
            if (action.do === 'append') bench.append(action.count);
            else if (action.do === 'answer') await bench.answer(poison);
            else if (action.do === 'pause') await bench.fail(new Fault('pause'));
            else if (action.do === 'dig') bench.graves += action.graves;
            else if (action.do === 'fail') await bench.fail();
            else if (action.do === 'advance') bench.timers.advance(action.ms);
            else if (action.do === 'flush') bench.flusher.flush();
            else bench.prepareError = new Error('compute threw');
            await settled();
            // Those who wait are looked after: by a batch in flight whose end starts the next, or by a timer.
            if (bench.buffer.rows > 0)
              expect(bench.inFlight.length + bench.timers.pending).toBeGreaterThan(0);
          }
          bench.prepareError = undefined;
          bench.graves = Number.POSITIVE_INFINITY;
          const drained = bench.flusher.drained();
          for (let round = 0; bench.buffer.rows > 0; round += 1) {
            expect(round).toBeLessThan(1_000);
            bench.timers.advance(60_000);
            await bench.answer(poison);
          }
          await drained;
          expect(bench.mostInFlight).toBeLessThanOrEqual(workers);
          const all = numbered(1, bench.appended);
          const good = all.filter((payload) => !isPoison(payload));
          if (workers === 1) expect(bench.committed).toEqual(good);
          else expect(bench.committed.toSorted()).toEqual(good);
          expect(bench.dead.toSorted()).toEqual(all.filter(isPoison));
          expect(bench.flusher.stats).toMatchObject({
            state: 'running',
            committed: good.length,
            dead: all.length - good.length,
          });
        }),
        { numRuns: 300 },
      );
    },
  );
});

describe('a buffer whose storage cannot be written', () => {
  test('is told of where it takes a batch, and where it settles one', async () => {
    const failures: unknown[] = [];
    const bench = new Bench({ onBufferFailure: (error) => failures.push(error) });
    bench.append(10);
    expect(failures, 'the control: while it works, nothing is told').toEqual([]);
    const full = new Error('database or disk is full');
    bench.buffer.settle = () => {
      throw full;
    };
    await bench.commit();
    expect(failures).toEqual([full]);

    const other = new Bench({ onBufferFailure: (error) => failures.push(error) });
    other.buffer.take = () => {
      throw full;
    };
    other.append(5);
    expect(failures).toEqual([full, full]);
    expect(other.batches).toEqual([]);
  });
});
