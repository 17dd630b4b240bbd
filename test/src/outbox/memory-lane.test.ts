import { describe, expect, test } from 'vitest';
import { MemoryLane } from '../../../src/outbox/memory-lane.ts';
import { createProducer, type Producer, RAW_EPOCH, untrackedProducer } from '../../../src/outbox/producer.ts';
import { RUN_MARK_BYTES } from '../../../src/outbox/run-ledger.ts';
import { MESSAGE_OVERHEAD_BYTES, type MessageBatch } from '../../../src/sinks/message-batch.ts';

const WIDE = { maxRows: 1_000, maxBytes: 1_000_000 };

class Bench {
  readonly settled: [name: string, committed: number, pendingRuns: number][] = [];
  readonly lane = new MemoryLane(({ name, committed, pendingRuns }) =>
    this.settled.push([name, committed, pendingRuns]),
  );

  gather(producer: Producer, ...payloads: string[]): void {
    const { nextSequence } = producer;
    const plain = payloads.map(() => true);
    if (payloads.length === 1) this.lane.gatherOne(producer, nextSequence, payloads[0] as string, true, 5);
    else this.lane.gather(producer, nextSequence, { payloads, plain, text: undefined }, 5);
    producer.nextSequence += payloads.length;
  }

  take(maxRows = WIDE.maxRows): MessageBatch {
    return this.lane.take({ ...WIDE, maxRows }) as MessageBatch;
  }
}

describe('a lane in memory', () => {
  test('hands out what it got, in order, at once', () => {
    const bench = new Bench();
    const [a, b] = [createProducer('a', 7, 1), createProducer('b', 8, 5)];
    bench.gather(a, '1', '2');
    bench.gather(b, '"b"');
    bench.gather(a, '3');
    bench.lane.store();
    expect(bench.lane.rows).toBe(4);
    expect(bench.lane.waitingRows).toBe(4);
    expect(bench.lane.oldestWaitingAtMs).toBe(5);
    expect(bench.lane.bytes).toBe(4 * MESSAGE_OVERHEAD_BYTES + 6 + 3 * RUN_MARK_BYTES);
    expect(bench.lane.waitingBytes).toBe(4 * MESSAGE_OVERHEAD_BYTES + 6);
    const { columns, position } = bench.take();
    expect(position).toBe(0n);
    expect(columns.payloads).toEqual(['1', '2', '"b"', '3']);
    expect(columns.producers).toEqual(['a', 'a', 'b', 'a']);
    expect(columns.epochs).toEqual([7, 7, 8, 7]);
    expect(columns.sequences).toEqual([1, 2, 5, 3]);
    expect(bench.lane.take(WIDE)).toBeUndefined();
  });

  test('tells how far a producer is once its messages are settled, in the order of the lane', () => {
    const bench = new Bench();
    const [a, b] = [createProducer('a', 7, 1), createProducer('b', 8, 5)];
    bench.gather(a, '1', '2');
    bench.gather(b, '"b"');
    bench.gather(a, '3');
    const [first, second, third] = [bench.take(1), bench.take(2), bench.take(1)];
    expect(a.pendingRuns).toBe(2);
    bench.lane.settle(third);
    bench.lane.settle(second);
    expect(bench.settled).toEqual([]);
    bench.lane.settleAsDead(first);
    expect(bench.settled).toEqual([
      ['a', 2, 1],
      ['b', 5, 0],
      ['a', 3, 0],
    ]);
    expect([bench.lane.rows, bench.lane.bytes]).toEqual([0, 0]);
  });

  test('what was put back goes out first', () => {
    const bench = new Bench();
    bench.gather(createProducer('a', 7, 1), '1', '2', '3');
    const batch = bench.take(2);
    bench.lane.putBack(batch);
    expect(bench.lane.waitingRows).toBe(3);
    expect(bench.take()).toEqual(batch);
  });

  test('messages of an epoch that is over are settled, and move no watermark', () => {
    const bench = new Bench();
    const a = createProducer('a', 7, 1);
    bench.gather(a, '1', '2');
    Object.assign(a, { epoch: 8, nextSequence: 1, committed: 0 });
    bench.lane.settle(bench.take());
    // Its owner hears of it all the same, to forget those who have nothing left.
    expect(bench.settled).toEqual([['a', 0, 0]]);
  });

  test('a watermark that has gone ahead does not come back', () => {
    const bench = new Bench();
    const a = createProducer('a', 7, 1);
    bench.gather(a, '1', '2');
    Object.assign(a, { nextSequence: 10, committed: 9 });
    bench.lane.settle(bench.take());
    expect(a).toMatchObject({ committed: 9, pendingRuns: 0 });
  });

  test('nobody waits for raw and retried messages', () => {
    const bench = new Bench();
    const raw = untrackedProducer('raw', RAW_EPOCH, 1_000);
    const a = createProducer('a', 7, 1);
    bench.gather(raw, '1', '2');
    bench.gather(a, '3');
    expect(raw.pendingRuns).toBe(0);
    bench.lane.settle(bench.take(2));
    expect(bench.settled).toEqual([]);
    bench.lane.settle(bench.take());
    expect(bench.settled).toEqual([['a', 1, 0]]);
  });

  test('keeps nothing anywhere but in memory', () => {
    const { lane } = new Bench();
    expect([lane.gatheredRows, lane.gatheredCharacters, lane.storedBytes, lane.spilledRows]).toEqual([
      0, 0, 0, 0,
    ]);
  });
});
