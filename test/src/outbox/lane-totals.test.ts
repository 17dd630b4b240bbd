import { describe, expect, test } from 'vitest';
import { NO_FAILPOINTS } from '../../../src/core/failpoints.ts';
import { closedLaneSums, readSavedCounts } from '../../../src/outbox/lane-totals.ts';
import { OutboxLane } from '../../../src/outbox/outbox-lane.ts';
import { createOutboxTables } from '../../../src/outbox/outbox-tables.ts';
import { ProducerRegistry } from '../../../src/outbox/producer-registry.ts';
import { type MessageBatch, sliceBatch } from '../../../src/sinks/message-batch.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

interface BenchOptions {
  lane?: number;
  keepMs?: number;
  counts?: () => string;
}

/** Opens the lane that the storage has, as after a crash. */
function open(sqlite: NodeSqlite, { lane = 0, keepMs = 0, counts }: BenchOptions = {}) {
  createOutboxTables(sqlite);
  const timers = new FakeTimers();
  const producers = new ProducerRegistry(sqlite);
  const opened = new OutboxLane({
    sqlite,
    lane,
    producers,
    failpoints: NO_FAILPOINTS,
    maxMemoryBytes: 1e9,
    isFenced: true,
    keep: { keepMs, maxBytes: 1e9 },
    now: () => timers.now(),
    randomId: () => 'a life',
    ...(counts === undefined ? {} : { counts }),
    onCommitted() {},
    hasSession: () => true,
  });
  const producer = producers.find('p') ?? producers.begin('p', 1, 1, timers.now());
  return {
    lane: opened,
    store(messages: number): void {
      const payloads = Array.from({ length: messages }, () => '1');
      const plain = payloads.map(() => true);
      opened.gather(producer, producer.nextSequence, { payloads, plain, text: undefined }, timers.now());
      producer.nextSequence += messages;
      opened.store();
    },
    take: (maxRows: number): MessageBatch => opened.take({ maxRows, maxBytes: 1e9 }) as MessageBatch,
  };
}

const committedOf = (lane: OutboxLane): number =>
  lane.totals.stored - lane.rows - lane.totals.dead + lane.totals.rewritten;

test('a lane knows after a crash what it had stored, committed and buried, whenever its row was written', () => {
  const sqlite = new NodeSqlite();
  const first = open(sqlite);
  first.store(10);
  const batch = first.take(4);
  first.lane.settle(sliceBatch(batch, batch.from, batch.from + 2));
  first.lane.settleAsDead(sliceBatch(batch, batch.from + 2, batch.from + 3));
  first.store(5);
  expect(first.lane.totals).toEqual({ stored: 15, dead: 1, rewritten: 0 });
  const second = open(sqlite);
  expect(second.lane.totals).toEqual({ stored: 15, dead: 1, rewritten: 0 });
  expect([second.lane.rows, committedOf(second.lane)]).toEqual([12, 2]);
});

test('a dead letter that is settled ahead of others counts once, before and after the others are', () => {
  const sqlite = new NodeSqlite();
  const first = open(sqlite);
  first.store(4);
  const batch = first.take(4);
  first.lane.settleAsDead(sliceBatch(batch, batch.from + 2, batch.from + 3));
  expect(open(sqlite).lane.totals.dead).toBe(1);
  const third = open(sqlite);
  third.lane.settle(third.take(2));
  third.lane.settle(third.take(1));
  expect([third.lane.rows, third.lane.totals.dead, committedOf(third.lane)]).toEqual([0, 1, 3]);
  expect(open(sqlite).lane.totals.dead).toBe(1);
});

test('what is written again is committed twice, and stored once', () => {
  const sqlite = new NodeSqlite();
  const first = open(sqlite, { keepMs: 60_000 });
  first.store(6);
  first.lane.settle(first.take(6));
  expect(first.lane.rewindTo(2n)).toBe(4);
  expect(first.lane.totals).toEqual({ stored: 6, dead: 0, rewritten: 4 });
  expect(committedOf(first.lane)).toBe(6);
  const second = open(sqlite, { keepMs: 60_000 });
  second.lane.settle(second.take(4));
  expect([second.lane.totals.stored, committedOf(second.lane)]).toEqual([6, 10]);
});

test('figures of the shard are in the row, and the latest row has them', () => {
  const sqlite = new NodeSqlite();
  let frames = 1;
  const counts = (): string => JSON.stringify({ frames });
  const [one, other] = [open(sqlite, { counts }), open(sqlite, { lane: 1, counts })];
  one.store(1);
  other.store(1);
  one.lane.settle(one.take(1));
  expect(readSavedCounts(sqlite)).toEqual({ frames: 1 });
  frames = 2;
  other.lane.settle(other.take(1));
  expect(readSavedCounts(sqlite)).toEqual({ frames: 2 });
  expect(closedLaneSums(sqlite, 1)).toEqual({ stored: 1, dead: 0, rewritten: 0 });
});

describe('an outbox of a version that kept no totals', () => {
  const oldOutbox = (): NodeSqlite => {
    const sqlite = new NodeSqlite();
    const before = open(sqlite);
    before.store(8);
    before.lane.settle(before.take(5));
    before.lane.setFence(5n);
    sqlite.run('alter table outbox_lanes drop column totals');
    return sqlite;
  };

  test('is counted from where it is', () => {
    const sqlite = oldOutbox();
    expect(readSavedCounts(sqlite)).toEqual({});
    const { lane, take } = open(sqlite);
    expect([lane.totals, lane.rows]).toEqual([{ stored: 3, dead: 0, rewritten: 0 }, 3]);
    lane.settle(take(3));
    const after = open(sqlite);
    expect([after.lane.totals.stored, committedOf(after.lane)]).toEqual([3, 3]);
  });

  test('and a row that somebody has broken costs its figures only', () => {
    const sqlite = oldOutbox();
    open(sqlite);
    sqlite.run(`update outbox_lanes set totals = '{"start":'`);
    expect(readSavedCounts(sqlite)).toEqual({});
    expect(open(sqlite).lane.totals.stored).toBe(3);
  });
});

test('rows of storage are as many as before there were totals', () => {
  const sqlite = new NodeSqlite();
  const { lane, store, take } = open(sqlite, { counts: () => '{"frames":1}' });
  const before = sqlite.rowsWritten;
  for (let round = 0; round < 10; round += 1) {
    store(3);
    store(3);
    const batch = take(4);
    lane.settle(batch);
    lane.settle(take(2));
  }
  // For each round: two groups, two batches that are cut, one trim, which deletes the groups and writes lane and producer.
  expect(sqlite.rowsWritten - before).toBe(10 * ROWS_OF_A_ROUND);
});

/** Counted with the version before (53c29bc). */
const ROWS_OF_A_ROUND = 8;
