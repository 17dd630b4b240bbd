import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Failpoint, Failpoints } from '../../../src/core/failpoints.ts';
import { TRIM_BYTES, TRIM_INTERVAL_MS } from '../../../src/core/limits.ts';
import { OutboxLane } from '../../../src/outbox/outbox-lane.ts';
import { createOutboxTables, forgetSettledLanes, lanesInOutbox } from '../../../src/outbox/outbox-tables.ts';
import { type Producer, RAW_EPOCH, untrackedProducer } from '../../../src/outbox/producer.ts';
import { ProducerRegistry } from '../../../src/outbox/producer-registry.ts';
import {
  MESSAGE_OVERHEAD_BYTES,
  type MessageBatch,
  rowsOf,
  sliceBatch,
} from '../../../src/sinks/message-batch.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

const WIDE = { maxRows: 1_000_000, maxBytes: 1_000_000_000 };

interface BenchOptions {
  lane?: number;
  maxMemoryBytes?: number;
  isFenced?: boolean;
  keepMs?: number;
  keepBytes?: number;
}

/** A lane on a database that outlives it. */
class Bench {
  readonly sqlite: NodeSqlite;
  readonly timers = new FakeTimers();
  readonly options: Required<BenchOptions>;
  /** Producers that have a session. */
  readonly sessions = new Set<Producer>();
  /** Producers whose watermark has moved, in the order of the moves. */
  readonly moved: [name: string, committed: number][] = [];
  readonly hits: Failpoint[] = [];
  producers!: ProducerRegistry;
  lane!: OutboxLane;
  /** Called for each move, as a session would be. */
  onCommitted: ((producer: Producer) => void) | undefined;
  #ids = 0;

  constructor(options: BenchOptions = {}, sqlite = new NodeSqlite()) {
    this.sqlite = sqlite;
    this.options = {
      lane: 0,
      maxMemoryBytes: 1_000_000_000,
      isFenced: true,
      keepMs: 0,
      keepBytes: 1_000_000_000,
      ...options,
    };
    this.restart();
  }

  /** The shard is started again: nothing is left but what SQLite has. */
  restart(options: BenchOptions = {}): void {
    Object.assign(this.options, options);
    const { lane, maxMemoryBytes, isFenced, keepMs, keepBytes } = this.options;
    createOutboxTables(this.sqlite);
    this.producers = new ProducerRegistry(this.sqlite);
    const failpoints: Failpoints = {
      hit: (name) => {
        this.hits.push(name);
      },
      async pass() {},
    };
    this.lane = new OutboxLane({
      sqlite: this.sqlite,
      lane,
      producers: this.producers,
      failpoints,
      maxMemoryBytes,
      isFenced,
      keep: { keepMs, maxBytes: keepBytes },
      now: () => this.timers.now(),
      randomId: () => {
        this.#ids += 1;
        return `life ${this.#ids}`;
      },
      onCommitted: (producer) => {
        this.moved.push([producer.name, producer.committed]);
        this.onCommitted?.(producer);
      },
      hasSession: (producer) => this.sessions.has(producer),
    });
  }

  /** The producer of a name, in epoch 1 where it is new. */
  producer(name: string): Producer {
    return this.producers.find(name) ?? this.producers.begin(name, 1, 1, this.timers.now());
  }

  /** Gathers messages of a producer behind those that it had. */
  gather(producer: Producer, payloads: readonly string[]): void {
    const plain = payloads.map((payload) => !payload.includes('\\'));
    const { nextSequence } = producer;
    if (payloads.length === 1) {
      this.lane.gatherOne(
        producer,
        nextSequence,
        payloads[0] as string,
        plain[0] as boolean,
        this.timers.now(),
      );
    } else {
      this.lane.gather(producer, nextSequence, { payloads, plain, text: undefined }, this.timers.now());
    }
    producer.nextSequence += payloads.length;
  }

  /** The same as a separate group. */
  store(producer: Producer, payloads: readonly string[]): void {
    this.gather(producer, payloads);
    this.lane.store();
  }

  take(maxRows = WIDE.maxRows, maxBytes = WIDE.maxBytes): MessageBatch {
    const batch = this.lane.take({ maxRows, maxBytes });
    if (batch === undefined) throw new Error('there is no batch');
    return batch;
  }

  /** What is left, taken and settled batch by batch. */
  drain(maxRows = WIDE.maxRows, maxBytes = WIDE.maxBytes): string[] {
    const payloads: string[] = [];
    for (;;) {
      const batch = this.lane.take({ maxRows, maxBytes });
      if (batch === undefined) return payloads;
      if (rowsOf(batch) === 0) throw new Error('a batch of nothing');
      payloads.push(...payloadsOf(batch));
      this.lane.settle(batch);
    }
  }

  groups(): { start: number; rows: number; bytes: number }[] {
    return this.sqlite
      .run<{ key: number; rows: number; bytes: number }>(
        'select key, rows, bytes from outbox_groups order by key',
      )
      .map(({ key, ...group }) => ({ start: key - this.options.lane * 2 ** 48, ...group }));
  }

  row(): { incarnation: string; head: number; fence: number | null; cuts: string } {
    return this.sqlite.run<{ incarnation: string; head: number; fence: number | null; cuts: string }>(
      'select incarnation, head, fence, cuts from outbox_lanes where lane = ?',
      this.options.lane,
    )[0] as ReturnType<Bench['row']>;
  }

  /**
   * What the lane counts, held against what SQLite has.
   *
   * @param settledAhead messages that are settled before others in front of them
   */
  check(settledAhead = 0): void {
    const { lane } = this;
    const groups = this.groups();
    const text = groups.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(lane.storedBytes + lane.keptBytes).toBe(text + lane.gatheredCharacters);
    const end = groups.reduce((last, { start, rows }) => Math.max(last, start + rows), Number(lane.head));
    expect(Number(lane.tail)).toBe(end);
    expect(lane.rows).toBe(end - Number(lane.head) - settledAhead + lane.gatheredRows);
    expect(lane.spilledRows).toBeGreaterThanOrEqual(0);
    expect(lane.waitingRows + settledAhead).toBeGreaterThanOrEqual(lane.spilledRows);
    expect(lane.waitingRows).toBeLessThanOrEqual(lane.rows - lane.gatheredRows);
    expect(lane.waitingBytes).toBeGreaterThanOrEqual(lane.spilledRows * MESSAGE_OVERHEAD_BYTES);
    expect(lane.bytes).toBeGreaterThanOrEqual(0);
    if (lane.rows === lane.gatheredRows) expect([lane.bytes, lane.waitingBytes]).toEqual([0, 0]);
  }
}

function payloadsOf({ columns, from, to }: MessageBatch): string[] {
  return columns.payloads.slice(from, to);
}

/** `["name 1"]` to `["name n"]`. */
function numbered(name: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `["${name} ${from + index}"]`);
}

describe('what is gathered', () => {
  test('is one row of SQLite for all producers, and comes back as it was', () => {
    const bench = new Bench();
    const [a, b] = [bench.producer('a'), bench.producer('b')];
    bench.gather(a, ['1', '"\\n"']);
    bench.gather(b, ['{"b":1}']);
    bench.gather(a, ['3']);
    expect(bench.groups()).toEqual([]);
    expect(bench.lane.take(WIDE)).toBeUndefined();
    bench.check();
    bench.lane.store();
    expect(bench.groups()).toMatchObject([{ start: 0, rows: 4 }]);
    bench.check();
    const given = bench.take();
    bench.restart();
    const found = bench.take();
    for (const batch of [given, found]) {
      const { columns, from, to } = batch;
      expect(batch.position).toBe(0n);
      expect(columns.producers.slice(from, to)).toEqual(['a', 'a', 'a', 'b']);
      expect(columns.epochs.slice(from, to)).toEqual([1, 1, 1, 1]);
      expect(columns.sequences.slice(from, to)).toEqual([1, 2, 3, 1]);
      expect(columns.payloads.slice(from, to)).toEqual(['1', '"\\n"', '3', '{"b":1}']);
      expect(columns.plain.slice(from, to)).toEqual([true, false, true, true]);
      expect(columns.receivedAtMs.slice(from, to)).toEqual(Array(4).fill(bench.timers.now()));
    }
  });

  test('one by one, or together, is the same', () => {
    const given = ['1', '"\\n"', '3', '4', '5', '"\\t"', '7'];
    const bodies = [[1, 1, 1, 1, 1, 1, 1], [7], [1, 2, 1, 3], [2, 1, 1, 1, 2]].map((counts) => {
      const bench = new Bench();
      const a = bench.producer('a');
      let from = 0;
      for (const count of counts) {
        bench.gather(a, given.slice(from, from + count));
        from += count;
      }
      expect(bench.lane.gatheredRows).toBe(7);
      bench.lane.store();
      expect(bench.take().columns.payloads).toEqual(given);
      return bench.sqlite.run('select rows, bytes, runs, body from outbox_groups');
    });
    expect(bodies.slice(1)).toEqual(Array(3).fill(bodies[0]));
  });

  test('and not stored is lost with the shard', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), ['1']);
    bench.gather(bench.producer('a'), ['2']);
    bench.restart();
    expect(bench.producer('a').nextSequence).toBe(2);
    expect(bench.drain()).toEqual(['1']);
  });

  test('begins a run where the sequences have a hole, or the epoch is another', () => {
    const bench = new Bench();
    const a = bench.producer('a');
    bench.gather(a, ['1']);
    a.nextSequence = 5;
    bench.gather(a, ['5', '6']);
    const b = bench.producers.begin('a', 7, 1, 0);
    bench.gather(b, ['1 of 7']);
    bench.lane.store();
    expect([a.pendingRuns, b.pendingRuns]).toEqual([2, 1]);
    const { columns } = bench.take();
    expect(columns.sequences).toEqual([1, 5, 6, 1]);
    expect(columns.epochs).toEqual([1, 1, 1, 7]);
  });

  test('counts its runs too, since they are text of the same row', () => {
    const bench = new Bench();
    const names = Array.from({ length: 1_000 }, (_, index) =>
      `producer-with-a-long-name-${index}`.padEnd(128, '-'),
    );
    for (const name of names) bench.gather(bench.producer(name), ['1']);
    const counted = bench.lane.gatheredCharacters;
    bench.lane.store();
    expect(counted).toBeGreaterThanOrEqual(bench.groups()[0]?.bytes as number);
  });

  test('of one producer in many runs does not name it in each', () => {
    const bench = new Bench();
    const name = 'x'.repeat(128);
    const producer = bench.producer(name);
    for (let run = 0; run < 100; run += 1) {
      producer.nextSequence += 1;
      bench.gather(producer, ['1']);
    }
    bench.gather(bench.producer('other'), ['2']);
    bench.gather(untrackedProducer(name, RAW_EPOCH, 5), ['3']);
    bench.lane.store();
    expect(bench.groups()[0]?.bytes).toBeLessThan(100 * 60);
    bench.restart();
    const { columns } = bench.take();
    expect(columns.producers).toEqual([...Array(100).fill(name), 'other', name]);
    expect(columns.epochs.at(-1)).toBe(RAW_EPOCH);
    expect(bench.producer(name).pendingRuns).toBe(100);
  });
});

describe('memory', () => {
  /** A message that counts 1,000 bytes. */
  const message = (index: number) => String(index).padStart(1_000 - MESSAGE_OVERHEAD_BYTES, '1');

  test('holds no more than it may; what does not fit is read back in order', () => {
    const maxMemoryBytes = 20_000;
    const bench = new Bench({ maxMemoryBytes });
    const a = bench.producer('a');
    const all = Array.from({ length: 200 }, (_, index) => message(index));
    for (const payload of all) {
      bench.store(a, [payload]);
      expect(bench.lane.bytes).toBeLessThanOrEqual(maxMemoryBytes);
      bench.check();
    }
    expect(bench.lane.spilledRows).toBeGreaterThan(180);
    expect(bench.lane.waitingRows).toBe(200);
    const seen: string[] = [];
    while (seen.length < 200) {
      // Two batches under way, as with one that is prepared ahead.
      const batches = [bench.take(5, 5_000), bench.lane.take({ maxRows: 5, maxBytes: 5_000 })];
      expect(bench.lane.bytes).toBeLessThanOrEqual(maxMemoryBytes);
      for (const batch of batches) {
        if (batch === undefined) continue;
        seen.push(...payloadsOf(batch));
        bench.lane.settle(batch);
      }
      bench.check();
    }
    expect(seen).toEqual(all);
    expect(bench.lane.rows).toBe(0);
    bench.check();
  });

  test('of tiny messages is bounded by what they take there, not by their text', () => {
    const maxMemoryBytes = 200_000;
    const bench = new Bench({ maxMemoryBytes });
    const a = bench.producer('a');
    for (let group = 0; group < 50; group += 1) bench.store(a, Array(1_000).fill('1'));
    let most = 0;
    for (let batch = bench.take(500, 50_000); ; ) {
      most = Math.max(most, bench.lane.bytes);
      bench.lane.settle(batch);
      const next = bench.lane.take({ maxRows: 500, maxBytes: 50_000 });
      if (next === undefined) break;
      batch = next;
    }
    // A group is read as a whole: here one of 1,000 messages.
    expect(most).toBeLessThanOrEqual(maxMemoryBytes + 1_000 * (MESSAGE_OVERHEAD_BYTES + 3));
    expect(bench.lane.rows).toBe(0);
  });

  test('takes a group that is larger than all of it, alone', () => {
    const bench = new Bench({ maxMemoryBytes: 1_000 });
    const a = bench.producer('a');
    const big = Array.from({ length: 100 }, (_, index) => message(index));
    bench.store(a, big);
    bench.store(a, ['1', '2']);
    expect(bench.lane.bytes).toBe(0);
    expect(bench.drain(7, 3_000)).toEqual([...big, '1', '2']);
    bench.check();
  });

  test('nothing overtakes what had to wait in SQLite', () => {
    const bench = new Bench({ maxMemoryBytes: 3_500 });
    const a = bench.producer('a');
    for (const index of [1, 2, 3, 4]) bench.store(a, [message(index)]);
    expect(bench.lane.spilledRows).toBe(1);
    bench.lane.settle(bench.take(3));
    expect(bench.lane.bytes).toBe(0);
    // There is room now, and an older message that has to come first.
    bench.store(a, [message(5)]);
    expect(bench.lane.spilledRows).toBe(2);
    expect(bench.drain()).toEqual([message(4), message(5)]);
    bench.store(a, [message(6)]);
    expect(bench.lane.spilledRows).toBe(0);
    bench.check();
  });

  test('is due at once where the oldest message is in SQLite only', () => {
    const bench = new Bench({ maxMemoryBytes: 0 });
    expect(bench.lane.oldestWaitingAtMs).toBeUndefined();
    bench.store(bench.producer('a'), ['1']);
    expect(bench.lane.oldestWaitingAtMs).toBe(0);
    const batch = bench.take();
    expect(bench.lane.oldestWaitingAtMs).toBeUndefined();
    bench.lane.putBack(batch);
    expect(bench.lane.oldestWaitingAtMs).toBe(bench.timers.now());
  });
});

describe('after a restart', () => {
  test('goes on at the first message that was not settled, within a group too', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), numbered('a', 1, 10));
    bench.store(bench.producer('b'), numbered('b', 1, 10));
    bench.lane.settle(bench.take(4));
    // Written with the next batch, since nothing was trimmed.
    bench.take(4);
    bench.restart();
    expect(bench.lane.head).toBe(4n);
    expect(bench.lane.rows).toBe(16);
    bench.check();
    const batch = bench.take(9);
    expect(batch.position).toBe(4n);
    expect(batch.columns.sequences.slice(batch.from, batch.to)).toEqual([5, 6, 7, 8]);
    bench.lane.settle(batch);
    expect(bench.drain(5)).toEqual([...numbered('a', 9, 10), ...numbered('b', 1, 10)]);
    expect(bench.producer('a')).toMatchObject({ nextSequence: 11, committed: 10, pendingRuns: 0 });
    expect(bench.groups()).toEqual([]);
    bench.check();
  });

  test('a group that was settled and not deleted is not written again, and its producer is committed', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), numbered('a', 1, 3));
    bench.store(bench.producer('a'), numbered('a', 4, 6));
    bench.store(bench.producer('a'), numbered('a', 7, 8));
    bench.lane.settle(bench.take(4));
    bench.take(2);
    expect(bench.groups()).toHaveLength(3);
    bench.restart();
    expect(bench.producer('a')).toMatchObject({ nextSequence: 9, committed: 3, pendingRuns: 2 });
    bench.check();
    expect(bench.drain()).toEqual(numbered('a', 5, 8));
    expect(bench.groups()).toEqual([]);
    bench.restart();
    expect(bench.producer('a')).toMatchObject({ nextSequence: 9, committed: 8, pendingRuns: 0 });
    expect(bench.lane.rows).toBe(0);
    expect(bench.lane.tail).toBe(8n);
  });

  test('raw and retried messages come back, and move no watermark', () => {
    const bench = new Bench();
    const a = bench.producer('a');
    bench.gather(untrackedProducer('raw', RAW_EPOCH, 1_000), ['"raw"']);
    bench.gather(untrackedProducer('a', 1, 77), ['"retried"']);
    bench.gather(a, ['"own"']);
    bench.lane.store();
    bench.restart();
    expect(bench.producer('a')).toMatchObject({ nextSequence: 2, committed: 0, pendingRuns: 1 });
    expect(bench.producers.find('raw')).toBeUndefined();
    const { columns } = bench.take();
    expect(columns.sequences).toEqual([1_000, 77, 1]);
    expect(columns.epochs).toEqual([0, 1, 1]);
    bench.restart();
    expect(bench.drain()).toEqual(['"raw"', '"retried"', '"own"']);
    expect(bench.moved).toEqual([['a', 1]]);
    expect(bench.producer('a')).toMatchObject({ committed: 1, pendingRuns: 0 });
  });

  test('the lanes that have messages are found, whatever their number', () => {
    const sqlite = new NodeSqlite();
    createOutboxTables(sqlite);
    expect(lanesInOutbox(sqlite)).toBe(0);
    const first = new Bench({ lane: 0 }, sqlite);
    const fourth = new Bench({ lane: 3 }, sqlite);
    first.store(first.producer('a'), ['1', '2']);
    expect(lanesInOutbox(sqlite)).toBe(1);
    fourth.store(fourth.producer('b'), ['3']);
    expect(lanesInOutbox(sqlite)).toBe(4);
    first.restart();
    fourth.restart();
    expect(first.drain()).toEqual(['1', '2']);
    expect(fourth.drain()).toEqual(['3']);
    expect(lanesInOutbox(sqlite)).toBe(0);
  });

  test('the incarnation is the same, and another one only where it is asked for', () => {
    const bench = new Bench();
    expect(bench.lane.incarnation).toBe('life 1');
    bench.store(bench.producer('a'), ['1', '2']);
    bench.lane.settle(bench.take(1));
    bench.restart();
    expect(bench.lane.incarnation).toBe('life 1');
    bench.lane.startIncarnation(bench.lane.proposeIncarnation(), null);
    expect([bench.lane.incarnation, bench.lane.fence]).toEqual(['life 2', null]);
    bench.restart();
    expect([bench.lane.incarnation, bench.lane.fence]).toEqual(['life 2', null]);
    bench.lane.setFence(0n);
    bench.restart();
    expect([bench.lane.incarnation, bench.lane.fence]).toEqual(['life 2', 0n]);
  });
});

describe('the ends of batches', () => {
  test('are stored before a batch is handed out, and batches are cut there again', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), numbered('a', 1, 100));
    expect(bench.row().cuts).toBe('[]');
    bench.take(30);
    expect(bench.row().cuts).toBe('[30]');
    bench.take(20);
    expect(bench.row().cuts).toBe('[30,50]');
    bench.restart();
    expect([rowsOf(bench.take()), rowsOf(bench.take()), rowsOf(bench.take())]).toEqual([30, 20, 50]);
    expect(bench.row().cuts).toBe('[30,50,100]');
  });

  test('are forgotten once they are settled', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), numbered('a', 1, 100));
    const [first, second] = [bench.take(30), bench.take(20)];
    bench.lane.settle(first);
    bench.lane.putBack(second);
    bench.restart();
    expect(bench.lane.head).toBe(0n);
    expect(rowsOf(bench.take(10))).toBe(10);
    expect(rowsOf(bench.take())).toBe(20);
    expect(rowsOf(bench.take())).toBe(20);
    expect(rowsOf(bench.take())).toBe(50);
  });

  test('matter not where batches are not counted', () => {
    const bench = new Bench({ isFenced: false });
    bench.store(bench.producer('a'), numbered('a', 1, 10));
    bench.take(3);
    expect(bench.row().cuts).toBe('[]');
    expect(bench.lane.fence).toBeNull();
    bench.restart();
    expect(rowsOf(bench.take())).toBe(10);
  });

  test('of smaller batches among larger ones never make a batch of nothing', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), numbered('a', 1, 100));
    bench.take(40);
    bench.take(40);
    // As after a deployment with another batchRows.
    bench.restart();
    const first = bench.take(15);
    bench.lane.settle(first);
    bench.take(15);
    bench.restart();
    expect(bench.lane.head).toBe(15n);
    const batches = [bench.take(), bench.take(), bench.take(), bench.take()];
    expect(batches.map(rowsOf)).toEqual([15, 10, 40, 20]);
    for (const batch of batches) bench.lane.settle(batch);
    expect(batches.flatMap(payloadsOf)).toEqual(numbered('a', 16, 100));
    expect(bench.lane.rows).toBe(0);
  });

  test('are the same after a restart that reads back less at a time than memory held', () => {
    const bench = new Bench();
    const a = bench.producer('a');
    // More groups than are looked at in one query.
    for (const payload of numbered('a', 1, 300)) bench.store(a, [payload]);
    bench.take(200);
    bench.take(50);
    for (let restart = 0; restart < 3; restart += 1) {
      bench.restart();
      const batch = bench.take();
      expect(rowsOf(batch)).toBeGreaterThan(0);
      bench.lane.settle(batch);
      bench.take();
    }
    bench.restart();
    const rest = bench.drain();
    expect(rest).toEqual(numbered('a', 300 - rest.length + 1, 300));
    bench.check();
  });
});

describe('settled messages', () => {
  test('are deleted once all is settled, after a while, or when they are many', () => {
    const bench = new Bench();
    const a = bench.producer('a');
    for (let group = 0; group < 4; group += 1) bench.store(a, ['1']);
    bench.lane.settle(bench.take(1));
    expect(bench.groups()).toHaveLength(4);
    expect(bench.producers.find('a')?.isChanged).toBe(true);
    bench.timers.advance(TRIM_INTERVAL_MS);
    expect(bench.groups()).toHaveLength(4);
    bench.lane.settle(bench.take(1));
    expect(bench.groups()).toHaveLength(2);
    bench.check();
    bench.store(a, [`"${'x'.repeat(TRIM_BYTES)}"`]);
    bench.store(a, ['1']);
    bench.lane.settle(bench.take(3));
    expect(bench.groups()).toHaveLength(1);
    bench.lane.settle(bench.take());
    expect(bench.groups()).toEqual([]);
    expect(bench.row()).toMatchObject({ head: 6, fence: 6, cuts: '[]' });
    expect(bench.hits.every((hit) => hit === 'before_outbox_trim')).toBe(true);
    bench.check();
  });

  test('of a group that has others are kept', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), numbered('a', 1, 10));
    bench.lane.settle(bench.take(9));
    bench.timers.advance(TRIM_INTERVAL_MS);
    bench.lane.putBack(bench.take());
    bench.check();
    expect(bench.groups()).toHaveLength(1);
    expect(bench.producer('a').committed).toBe(0);
    bench.drain();
    expect(bench.producer('a').committed).toBe(10);
  });

  test('out of order, as several workers settle them, count up to the first that is not', () => {
    const bench = new Bench({ isFenced: false });
    bench.store(bench.producer('a'), numbered('a', 1, 5));
    bench.store(bench.producer('b'), numbered('b', 1, 5));
    const batches = [bench.take(2), bench.take(2), bench.take(3), bench.take(3)];
    for (const [index, settledAhead] of [
      [3, 3],
      [1, 5],
    ] as const) {
      bench.lane.settle(batches[index] as MessageBatch);
      expect(bench.lane.head).toBe(0n);
      expect(bench.moved).toEqual([]);
      // What is in Postgres waits for nothing.
      expect(bench.lane.rows).toBe(10 - settledAhead);
      bench.check(settledAhead);
    }
    bench.lane.settle(batches[0] as MessageBatch);
    expect(bench.lane.head).toBe(4n);
    bench.check(3);
    bench.lane.settle(batches[2] as MessageBatch);
    expect(bench.lane.head).toBe(10n);
    expect(bench.moved).toEqual([
      ['a', 5],
      ['b', 5],
    ]);
    expect(bench.groups()).toEqual([]);
    bench.check();
  });

  test('that are settled as dead leave the fence where it was, in the same step of storage', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), numbered('a', 1, 3));
    bench.lane.settle(bench.take(1));
    bench.lane.settleAsDead(bench.take(1));
    expect(bench.row()).toMatchObject({ head: 2, fence: 1 });
    bench.lane.settleAsDead(bench.take(1));
    expect(bench.row()).toMatchObject({ head: 3, fence: 1 });
    expect(bench.groups()).toEqual([]);
    expect(bench.producer('a').committed).toBe(3);
    bench.check();
  });

  test('as dead ahead of others, are passed over in the next life, and by a checkpoint that is further', () => {
    for (const then of ['settled', 'restarted', 'advanced'] as const) {
      const bench = new Bench();
      bench.store(bench.producer('a'), numbered('a', 1, 6));
      const batch = bench.take();
      for (const row of [1, 4])
        bench.lane.settleAsDead(sliceBatch(batch, batch.from + row, batch.from + row + 1));
      expect(bench.lane.rows).toBe(4);
      if (then === 'advanced') {
        // The commit of all of them was answered to nobody.
        expect(bench.lane.advanceTo(6n)).toBe(4);
      } else if (then === 'restarted') {
        bench.restart();
        expect(bench.lane.rows).toBe(4);
        expect(bench.drain()).toEqual([1, 3, 4, 6].map((number) => `["a ${number}"]`));
      } else {
        for (const [from, to] of [
          [0, 1],
          [2, 4],
          [5, 6],
        ] as const)
          bench.lane.settle(sliceBatch(batch, batch.from + from, batch.from + to), 6n);
      }
      expect(bench.lane).toMatchObject({ rows: 0, head: 6n, fence: 6n });
      expect(bench.producer('a').committed).toBe(6);
      expect(bench.groups()).toEqual([]);
      expect(bench.sqlite.run('select key from outbox_dead')).toEqual([]);
    }
  });
});

describe('settled messages that are kept', () => {
  const KEEP = { keepMs: 5_000 };

  function world(options: BenchOptions = {}): { bench: Bench } {
    const bench = new Bench({ ...KEEP, ...options });
    const a = bench.producer('a');
    for (let group = 0; group < 4; group += 1) bench.store(a, numbered('a', group * 3 + 1, group * 3 + 3));
    return { bench };
  }

  test('stay until a commit comes long enough after theirs, and take no room', () => {
    const { bench } = world();
    const stored = bench.lane.storedBytes;
    bench.drain(3);
    expect([bench.groups().length, bench.lane.storedBytes, bench.lane.keptBytes]).toEqual([4, 0, stored]);
    expect([bench.lane.rows, bench.lane.head, bench.lane.held]).toEqual([0, 12n, 0n]);
    expect(lanesInOutbox(bench.sqlite), 'nothing has to be written').toBe(0);
    bench.timers.advance(600_000);
    bench.store(bench.producer('a'), ['1']);
    expect(bench.groups(), 'time alone deletes nothing').toHaveLength(5);
    bench.drain();
    expect([bench.groups().length, bench.lane.held]).toEqual([1, 12n]);
    bench.check();
  });

  test('are deleted in lots, and cost no row more than others', () => {
    const costs = [0, 5_000].map((keepMs) => {
      const { bench } = world({ keepMs });
      bench.drain(3);
      for (let group = 0; group < 50; group += 1) {
        for (let time = 0; time < 2; time += 1) bench.store(bench.producer('a'), ['1']);
        bench.timers.advance(TRIM_INTERVAL_MS / 4);
        bench.lane.settle(bench.take(1));
      }
      bench.timers.advance(10_000);
      bench.drain();
      return bench.sqlite.rowsWritten - bench.groups().length;
    });
    expect(costs[1]).toBeLessThanOrEqual(costs[0] as number);
  });

  test('beyond their bytes are deleted', () => {
    const { bench } = world({ keepBytes: 120 });
    bench.drain(3);
    expect(bench.lane.keptBytes).toBeLessThanOrEqual(120);
    expect(bench.groups().length).toBeLessThan(4);
    bench.check();
  });

  test('are written again from any position, after a restart too, and move no watermark back', () => {
    for (const position of [0n, 1n, 3n, 7n, 11n]) {
      for (const isRestarted of [false, true]) {
        const { bench } = world();
        bench.drain(5);
        bench.store(bench.producer('a'), numbered('a', 13, 14));
        expect(bench.lane.missingFrom(position)).toEqual({
          messages: Number(12n - position),
          held: Number(12n - position),
          ranges: [
            {
              producer: 'a',
              epoch: 1,
              firstSequence: Number(position) + 1,
              lastSequence: 12,
              messages: Number(12n - position),
            },
          ],
          unlisted: 0,
        });
        expect(bench.lane.rewindTo(position)).toBe(Number(12n - position));
        expect([bench.lane.head, bench.lane.fence, bench.lane.rows]).toEqual([
          position,
          position,
          Number(14n - position),
        ]);
        bench.check();
        if (isRestarted) bench.restart();
        expect(bench.producer('a')).toMatchObject({ committed: 12, nextSequence: 15 });
        expect(bench.drain(5)).toEqual(numbered('a', Number(position) + 1, 14));
        expect(bench.producer('a')).toMatchObject({ committed: 14, pendingRuns: 0 });
        bench.check();
      }
    }
  });

  test('do not bring a dead letter back', () => {
    for (const isRestarted of [false, true]) {
      const dead = new Set([3, 6, 7]);
      const { bench } = world();
      bench.lane.settle(bench.take(2));
      bench.lane.settleAsDead(bench.take(1));
      bench.lane.settle(bench.take(2));
      bench.lane.settleAsDead(bench.take(1));
      bench.lane.settleAsDead(bench.take(1));
      bench.drain();
      expect(bench.lane.missingFrom(1n)).toMatchObject({ messages: 8, held: 8 });
      expect(bench.lane.rewindTo(1n)).toBe(8);
      if (isRestarted) bench.restart();
      expect(bench.lane.rows).toBe(8);
      bench.check(dead.size);
      expect(bench.drain(4)).toEqual(numbered('a', 2, 12).filter((_, index) => !dead.has(index + 2)));
      expect([bench.lane.rows, bench.lane.head]).toEqual([0, 12n]);
      // Once more, as after a failover and back.
      expect(bench.lane.rewindTo(0n)).toBe(9);
      expect(bench.drain()).toHaveLength(9);
      bench.timers.advance(60_000);
      bench.store(bench.producer('a'), ['1']);
      bench.drain();
      expect(bench.sqlite.run('select key from outbox_dead')).toEqual([]);
      bench.check();
    }
  });

  test('bear witness: the last message of each producer in their last group, and no dead letter', () => {
    const { bench } = world();
    const { lane } = bench;
    lane.settle(bench.take(11));
    lane.settleAsDead(bench.take(1));
    expect(
      lane.lastCommitted().map(({ producer, sequence, payload }) => [producer, sequence, payload]),
    ).toEqual([['a', 11, '["a 11"]']]);
    bench.restart();
    expect(bench.lane.lastCommitted()).toHaveLength(1);
    // The control: where nothing is kept, nothing is known.
    expect(new Bench().lane.lastCommitted()).toEqual([]);
  });

  test('of lanes that are no longer opened are deleted, and others are not', () => {
    const sqlite = new NodeSqlite();
    const lanes = [0, 1, 2].map((lane) => new Bench({ ...KEEP, lane }, sqlite));
    for (const bench of lanes) bench.store(bench.producer(`p${bench.options.lane}`), ['1', '2']);
    (lanes[2] as Bench).drain();
    (lanes[0] as Bench).drain();
    expect(lanesInOutbox(sqlite)).toBe(2);
    forgetSettledLanes(sqlite, 2);
    expect(lanes.map((bench) => bench.groups().length)).toEqual([2, 2, 2]);
    expect(sqlite.run('select key from outbox_groups')).toHaveLength(2);
  });
});

describe('the names of a lane in Postgres', () => {
  test('are all remembered, the proposed ones too, until its count is another one', () => {
    const bench = new Bench();
    const first = bench.lane.incarnation;
    const second = bench.lane.proposeIncarnation();
    bench.restart();
    expect(new Set(bench.lane.incarnations)).toEqual(new Set([first, second]));
    bench.lane.startIncarnation(second, 0n);
    for (let more = 0; more < 100; more += 1)
      bench.lane.startIncarnation(bench.lane.proposeIncarnation(), 0n);
    expect(bench.lane.incarnations.length).toBeLessThan(40);
    bench.lane.startIncarnation(bench.lane.proposeIncarnation(), 0n, true);
    bench.restart();
    expect(bench.lane.incarnations).toEqual([bench.lane.incarnation]);
  });
});

describe('producers', () => {
  test('are forgotten once nothing of them is left, whatever became of their epochs', () => {
    const bench = new Bench();
    for (let index = 0; index < 50; index += 1) {
      const name = `p${index}`;
      const producer = bench.producer(name);
      bench.store(producer, ['1']);
      // It came back in a new epoch and left again: the messages of the one before move no watermark.
      bench.producers.begin(name, 2, 1, 0);
      bench.producers.release(producer);
    }
    expect(bench.producers.active).toBe(50);
    bench.drain();
    expect(bench.producers.active).toBe(0);
  });

  test('that skipped sequences are forgotten too', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), ['1']);
    bench.producers.skipSequences([bench.producer('a')], 0, 100);
    bench.drain();
    expect(bench.producers.active).toBe(0);
  });

  test('that have a session stay', () => {
    const bench = new Bench();
    const a = bench.producer('a');
    bench.sessions.add(a);
    bench.store(a, ['1']);
    bench.drain();
    expect(bench.producers.find('a')).toBe(a);
    expect(a.isChanged).toBe(false);
  });

  test('are not written back to an epoch that is over', () => {
    const bench = new Bench();
    const before = bench.producer('a');
    bench.store(before, ['1']);
    bench.store(bench.producer('b'), ['1']);
    // Its messages are settled, and that is not stored yet, when it begins a new epoch and leaves.
    bench.lane.settle(bench.take(1));
    bench.producers.begin('a', 2, 1, 0);
    bench.producers.release(before);
    // Read again, it is another object, which has a session.
    const after = bench.producers.begin('a', 3, 1, 0);
    bench.sessions.add(after);
    bench.store(bench.producer('b'), ['2']);
    bench.timers.advance(TRIM_INTERVAL_MS);
    bench.lane.settle(bench.take(1));
    expect(bench.groups()).toHaveLength(1);
    expect(bench.producers.find('a')).toBe(after);
    bench.restart();
    expect(bench.producer('a')).toMatchObject({ epoch: 3, nextSequence: 1, committed: 0 });
  });

  test('of which storage has no row any more are no further committed than their first message', () => {
    const bench = new Bench();
    bench.store(bench.producer('a'), numbered('a', 1, 3));
    bench.producers.begin('a', 5, 1, 0);
    bench.store(bench.producer('a'), numbered('a', 1, 2));
    bench.store(bench.producer('a'), numbered('a', 3, 4));
    bench.sqlite.run('delete from producers');
    bench.restart();
    expect(bench.producer('a')).toMatchObject({ epoch: 5, nextSequence: 5, committed: 0, pendingRuns: 2 });
    bench.drain();
    expect(bench.moved.at(-1)).toEqual(['a', 4]);
    expect(bench.producer('a')).toMatchObject({ epoch: 5, nextSequence: 5, committed: 4, pendingRuns: 0 });
  });
});

describe('moved on by another instance', () => {
  /** Three groups of four messages: a1 a2 b1 b2, a3 … b4, a5 … b6. */
  function threeGroups(options: BenchOptions = {}): Bench {
    const bench = new Bench(options);
    for (const first of [1, 3, 5]) {
      bench.gather(bench.producer('a'), numbered('a', first, first + 1));
      bench.gather(bench.producer('b'), numbered('b', first, first + 1));
      bench.lane.store();
    }
    return bench;
  }
  const all = [1, 3, 5].flatMap((first) => [
    ...numbered('a', first, first + 1),
    ...numbered('b', first, first + 1),
  ]);

  for (const memory of ['all in memory', 'some spilled', 'all spilled'] as const) {
    for (let position = 0; position <= 12; position += 1) {
      test(`to ${position}, ${memory}`, () => {
        const maxMemoryBytes = { 'all in memory': 1e9, 'some spilled': 5 * 170, 'all spilled': 0 }[memory];
        for (let settled = 0; settled <= Math.min(position, 5); settled += 1) {
          const bench = threeGroups({ maxMemoryBytes });
          while (bench.lane.head < settled) {
            bench.lane.settle(bench.take(settled - Number(bench.lane.head)));
          }
          const batch = bench.lane.take({ maxRows: 3, maxBytes: 1e9 });
          expect(batch).toBeDefined();
          expect(bench.lane.advanceTo(BigInt(position))).toBe(position - settled);
          bench.check();
          const { head, fence, tail } = bench.lane;
          expect([head, fence, tail]).toEqual([BigInt(position), BigInt(position), 12n]);
          expect(bench.row()).toMatchObject({ head: position, fence: position, cuts: '[]' });
          expect(bench.lane.waitingRows).toBe(12 - position);
          // A run counts once all of it is settled.
          const runs = Math.floor(position / 2);
          expect(bench.producer('a').committed).toBe(2 * Math.ceil(runs / 2));
          expect(bench.producer('b').committed).toBe(2 * Math.floor(runs / 2));
          if (position % 2 === 0) bench.restart();
          expect(bench.drain(5)).toEqual(all.slice(position));
          for (const name of ['a', 'b']) {
            expect(bench.producer(name)).toMatchObject({ committed: 6, nextSequence: 7, pendingRuns: 0 });
          }
          expect(bench.groups()).toEqual([]);
          bench.check();
        }
      });
    }
  }

  test('keeps what is being gathered', () => {
    const bench = threeGroups();
    bench.gather(bench.producer('a'), ['"last"']);
    bench.lane.advanceTo(7n);
    bench.check();
    bench.lane.store();
    expect(bench.drain()).toEqual([...all.slice(7), '"last"']);
  });

  test.each([2, 4, 6, 8, 12])(
    'to %i, and stored to by those who hear of the commit, it loses nothing',
    (position) => {
      const bench = threeGroups();
      bench.gather(bench.producer('a'), ['"last"']);
      bench.onCommitted = () => bench.lane.store();
      bench.lane.advanceTo(BigInt(position));
      bench.check();
      expect(bench.lane.waitingRows).toBe(13 - position);
      expect(bench.drain()).toEqual([...all.slice(position), '"last"']);
      expect(bench.producer('a')).toMatchObject({ committed: 7, pendingRuns: 0 });
    },
  );

  test('a fence below the head is stored too', () => {
    const bench = threeGroups();
    bench.lane.settleAsDead(bench.take(3));
    bench.lane.advanceTo(3n);
    bench.lane.setFence(2n);
    bench.restart();
    expect([bench.lane.head, bench.lane.fence]).toEqual([3n, 2n]);
  });
});

/** A database that takes batches as write-once.ts does. */
class Postgres {
  position: bigint | null = null;
  readonly rows: string[] = [];

  /** @returns where the checkpoint is, where it was not at the fence */
  write(fence: bigint | null, batch: MessageBatch): { elsewhere: bigint | null } | undefined {
    const end = batch.position + BigInt(rowsOf(batch));
    const isSound = fence === null || (fence <= batch.position && fence < end);
    if (!isSound || rowsOf(batch) === 0)
      throw new Error(`an order from ${fence} for ${batch.position} to ${end}`);
    if (fence !== this.position) return { elsewhere: this.position };
    this.position = end;
    this.rows.push(...payloadsOf(batch));
    return undefined;
  }
}

type Step =
  | { do: 'gather'; producer: number; count: number; size: number }
  | { do: 'epoch'; producer: number }
  | { do: 'store' | 'restart' | 'wait' | 'ahead' | 'settleRest' }
  | { do: 'write'; maxRows: number; maxBytes: number; end: 'ok' | 'fails' | 'lost' | 'dead' | 'crash' }
  | { do: 'memory'; bytes: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('gather' as const),
      producer: fc.nat({ max: 3 }),
      count: fc.integer({ min: 1, max: 8 }),
      size: fc.constantFrom(0, 0, 0, 300),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('epoch' as const), producer: fc.nat({ max: 1 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'store' as const,
        'store' as const,
        'store' as const,
        'restart' as const,
        'wait' as const,
        'ahead' as const,
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      maxRows: fc.integer({ min: 1, max: 12 }),
      maxBytes: fc.constantFrom(1, 500, 2_000, 1_000_000),
      end: fc.constantFrom(
        'ok' as const,
        'ok' as const,
        'fails' as const,
        'lost' as const,
        'dead' as const,
        'crash' as const,
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('memory' as const),
      bytes: fc.constantFrom(0, 1_000, 3_000, 1_000_000),
    }),
  },
);

describe('whatever happens', () => {
  test('every stored message is written once and in its order, and all that is counted is right', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, hasSessions) => {
        const bench = new Bench({ maxMemoryBytes: 2_000 });
        const postgres = new Postgres();
        const stored: string[] = [];
        const dead: string[] = [];
        let gathered: string[] = [];
        const names = ['a', 'b', 'c', 'raw'];
        let raw = untrackedProducer('raw', RAW_EPOCH, 1);
        let ahead: MessageBatch | undefined;
        const of = (index: number) => {
          if (names[index] === 'raw') return raw;
          const producer = bench.producer(names[index] as string);
          if (hasSessions) bench.sessions.add(producer);
          return producer;
        };
        const store = () => {
          bench.lane.store();
          stored.push(...gathered);
          gathered = [];
        };
        const restart = () => {
          raw = untrackedProducer('raw', RAW_EPOCH, raw.nextSequence + 1_000);
          gathered = [];
          ahead = undefined;
          bench.sessions.clear();
          bench.restart();
        };
        const write = (batch: MessageBatch, end: string) => {
          const { lane } = bench;
          if (end === 'fails') return lane.putBack(batch);
          // Postgres looks at the rows only where the checkpoint is at the fence.
          if (end === 'dead' && postgres.position === lane.fence) {
            const one: MessageBatch = {
              ...batch,
              to: batch.from + 1,
              bytes: sizeOf(batch, batch.from, batch.from + 1),
            };
            dead.push(...payloadsOf(one));
            lane.settleAsDead(one);
            const rest = { ...batch, from: batch.from + 1, position: batch.position + 1n };
            if (rest.from < rest.to) lane.putBack({ ...rest, bytes: sizeOf(rest, rest.from, rest.to) });
            return;
          }
          const answer = postgres.write(lane.fence, batch);
          if (end === 'crash') return restart();
          if (end === 'lost') return lane.putBack(batch);
          const batchEnd = batch.position + BigInt(rowsOf(batch));
          if (answer === undefined || answer.elsewhere === batchEnd) return lane.settle(batch);
          const at = answer.elsewhere as bigint;
          if (at > lane.head) lane.advanceTo(at);
          else lane.advanceTo(lane.head);
          lane.setFence(at);
          ahead = undefined;
        };
        for (const command of steps) {
          switch (command.do) {
            case 'gather': {
              const producer = of(command.producer);
              const { name, epoch, nextSequence } = producer;
              const payloads = Array.from(
                { length: command.count },
                (_, index) => `["${name}",${epoch},${nextSequence + index},"${'x'.repeat(command.size)}"]`,
              );
              bench.gather(producer, payloads);
              gathered.push(...payloads);
              break;
            }
            case 'epoch': {
              const producer = of(command.producer);
              // What a session does first, so that its watermark is durable.
              store();
              bench.producers.begin(producer.name, producer.epoch + 1, 1, bench.timers.now());
              break;
            }
            case 'store':
              store();
              break;
            case 'restart':
              restart();
              break;
            case 'wait':
              bench.timers.advance(TRIM_INTERVAL_MS / 2);
              break;
            case 'memory':
              bench.options.maxMemoryBytes = command.bytes;
              break;
            case 'ahead':
              ahead ??= bench.lane.take({ maxRows: 5, maxBytes: 1_000 });
              break;
            case 'write': {
              const batch = ahead ?? bench.lane.take(command);
              ahead = undefined;
              if (batch === undefined) break;
              expect(rowsOf(batch)).toBeGreaterThan(0);
              // One is prepared while the other is on its way.
              if (command.end === 'ok') {
                const next = bench.lane.take(command);
                write(batch, 'ok');
                if (next === undefined) break;
                if (bench.lane.head <= next.position && postgres.position === next.position)
                  write(next, 'ok');
                else if (postgres.position !== null && postgres.position <= next.position)
                  bench.lane.putBack(next);
              } else write(batch, command.end);
              break;
            }
            default:
              break;
          }
          bench.check();
          for (const name of names.slice(0, 3)) {
            const producer = bench.producers.find(name);
            if (producer === undefined) continue;
            expect(producer.pendingRuns).toBeGreaterThanOrEqual(0);
            expect(producer.committed).toBeLessThan(producer.nextSequence);
          }
        }
        // The database heals, and everything is written.
        store();
        if (ahead !== undefined) bench.lane.putBack(ahead);
        for (let guard = 0; bench.lane.rows > 0; guard += 1) {
          expect(guard).toBeLessThan(1_000);
          const batch = bench.take(7, 3_000);
          expect(rowsOf(batch)).toBeGreaterThan(0);
          write(batch, 'ok');
          bench.check();
        }
        expect(bench.groups()).toEqual([]);
        expect([...postgres.rows, ...dead].sort()).toEqual([...stored].sort());
        const isDead = new Set(dead);
        for (const name of names) {
          const isOwn = (payload: string) => payload.startsWith(`["${name}"`);
          expect(postgres.rows.filter(isOwn)).toEqual(
            stored.filter((payload) => isOwn(payload) && !isDead.has(payload)),
          );
        }
        for (const name of names.slice(0, 3)) {
          const producer = bench.producers.find(name);
          expect(producer?.pendingRuns ?? 0).toBe(0);
          expect(producer?.committed ?? 0).toBe((producer?.nextSequence ?? 1) - 1);
        }
      }),
      { numRuns: 300 },
    );
  });
});

function sizeOf({ columns }: MessageBatch, from: number, to: number): number {
  let bytes = 0;
  for (let row = from; row < to; row += 1)
    bytes += (columns.payloads[row] as string).length + MESSAGE_OVERHEAD_BYTES;
  return bytes;
}
