import { describe, expect, test } from 'vitest';
import { MAX_ACTIVE_PRODUCERS, MAX_ENDED_SESSIONS } from '../../../src/core/limits.ts';
import type { Producer } from '../../../src/outbox/producer.ts';
import { ProducerRegistry } from '../../../src/outbox/producer-registry.ts';
import type { HandedOver } from '../../../src/outbox/producer-rows.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

interface Row {
  name: string;
  epoch: number;
  committed: number;
  used_up_to: number;
  used_at_ms: number;
}

function rows(sqlite: NodeSqlite): Row[] {
  return sqlite.run<Row>(
    'select name, epoch, committed, used_up_to, used_at_ms from producers order by name',
  );
}

describe('a producer', () => {
  test('is not known before it begins, and is known from then on, also to the next life', () => {
    const sqlite = new NodeSqlite();
    const registry = new ProducerRegistry(sqlite);
    expect(registry.find('a')).toBeUndefined();
    expect(registry.peek('a', 5)).toBeUndefined();
    const begun = registry.begin('a', 5, 1, 77);
    expect(begun).toMatchObject({ epoch: 5, nextSequence: 1, committed: 0, usedUpTo: 0, isTracked: true });
    expect(registry.find('a')).toBe(begun);
    expect(registry.peek('a', 5)).toBe(begun);
    expect(rows(sqlite)).toEqual([{ name: 'a', epoch: 5, committed: 0, used_up_to: 0, used_at_ms: 77 }]);

    const after = new ProducerRegistry(sqlite);
    expect(after.peek('a', 5)).toBeUndefined();
    expect(after.find('a')).toMatchObject({ epoch: 5, nextSequence: 1, committed: 0 });
    expect(after.peek('a', 5)).toBe(after.find('a'));
  });

  test('begins another epoch as another object, and knows the last four', () => {
    const sqlite = new NodeSqlite();
    const registry = new ProducerRegistry(sqlite);
    const first = registry.begin('a', 5, 1, 0, 'one');
    registry.startSession(first, '1.x', undefined, 0);
    first.nextSequence = 40;
    first.committed = 39;
    registry.startSession(first, '2.y', '1.x', 0);
    const second = registry.begin('a', 6, 10, 0, 'two');
    expect(second).not.toBe(first);
    expect(second).toMatchObject({ epoch: 6, nextSequence: 10, committed: 9, instance: 'two' });
    expect(registry.find('a')).toBe(second);
    expect(registry.findEpoch('a', 5)).toBe(first);
    for (const epochs of [registry.epochsOf('a'), new ProducerRegistry(sqlite).epochsOf('a')]) {
      expect(epochs).toMatchObject([
        {
          epoch: 5,
          instance: 'one',
          nextSequence: 40,
          session: { id: '2.y', previous: '1.x', from: 40, hasCome: false },
          endedSessions: [{ id: '1.x', upTo: 39 }],
        },
        { epoch: 6, instance: 'two', nextSequence: 10 },
      ]);
    }
    for (const epoch of [7, 8, 9]) registry.begin('a', epoch, 1, 0);
    expect(registry.epochsOf('a').map(({ epoch }) => epoch)).toEqual([6, 7, 8, 9]);
    expect(new ProducerRegistry(sqlite).epochsOf('a').map(({ epoch }) => epoch)).toEqual([6, 7, 8, 9]);
  });

  test('keeps an epoch that has something outstanding, however many come after it', () => {
    const registry = new ProducerRegistry(new NodeSqlite());
    const first = registry.begin('a', 1, 1, 0);
    first.pendingRuns = 1;
    first.lane = 3;
    const second = registry.begin('a', 2, 1, 0);
    // The order of a producer holds over its epochs.
    expect(registry.laneInUse(second)).toBe(3);
    for (let epoch = 3; epoch < 9; epoch += 1) registry.begin('a', epoch, 1, 0);
    expect(registry.epochsOf('a').map(({ epoch }) => epoch)).toEqual([1, 5, 6, 7, 8]);
    first.pendingRuns = 0;
    registry.begin('a', 9, 1, 0);
    expect(registry.epochsOf('a').map(({ epoch }) => epoch)).toEqual([6, 7, 8, 9]);
    expect(registry.laneInUse(second)).toBeUndefined();
  });

  test('remembers how far the last sessions came', () => {
    const sqlite = new NodeSqlite();
    const registry = new ProducerRegistry(sqlite);
    const producer = registry.begin('a', 1, 1, 0);
    for (let ordinal = 1; ordinal <= 12; ordinal += 1) {
      registry.startSession(producer, `${ordinal}.x`, `${ordinal - 1}.x`, 0);
      producer.nextSequence += 10;
    }
    registry.skipSequences([producer], 0);
    const found = new ProducerRegistry(sqlite).find('a');
    expect(found?.session).toMatchObject({ id: '12.x', from: 111 });
    expect(found?.endedSessions).toHaveLength(MAX_ENDED_SESSIONS);
    expect(found?.endedSessions.at(-1)).toEqual({ id: '11.x', upTo: 110 });
  });

  test('goes on behind what was committed or used up, whichever is more', () => {
    const sqlite = new NodeSqlite();
    const registry = new ProducerRegistry(sqlite);
    const producer = registry.begin('a', 5, 1, 0);
    producer.nextSequence = 8;
    producer.committed = 4;
    registry.save([producer], 0);
    expect(new ProducerRegistry(sqlite).find('a')).toMatchObject({ nextSequence: 5, committed: 4 });
    registry.skipSequences([producer], 0);
    expect(new ProducerRegistry(sqlite).find('a')).toMatchObject({ nextSequence: 8, committed: 4 });
    producer.committed = 9;
    producer.nextSequence = 10;
    registry.save([producer], 0);
    expect(new ProducerRegistry(sqlite).find('a')).toMatchObject({ nextSequence: 10, committed: 9 });
    registry.skipSequences([producer], 0, 30);
    expect(producer).toMatchObject({ nextSequence: 30, committed: 9 });
    expect(new ProducerRegistry(sqlite).find('a')).toMatchObject({ nextSequence: 30, committed: 9 });
  });

  test('of the outbox goes on behind its last message there', () => {
    const sqlite = new NodeSqlite();
    new ProducerRegistry(sqlite).begin('a', 5, 1, 0);
    const registry = new ProducerRegistry(sqlite);
    // Of an epoch before, which is known by its messages alone.
    expect(registry.recover('a', 4, 90, 99)).toMatchObject({ epoch: 4, nextSequence: 100, pendingRuns: 1 });
    registry.recover('a', 5, 1, 3);
    expect(registry.recover('a', 5, 4, 7)).toMatchObject({
      epoch: 5,
      nextSequence: 8,
      committed: 0,
      pendingRuns: 2,
    });
    expect(registry.find('a')).toMatchObject({ epoch: 5 });
    // One that nobody knows any more is known by its messages.
    registry.recover('b', 3, 5, 6);
    expect(registry.recover('b', 4, 7, 9)).toMatchObject({ epoch: 4, nextSequence: 10, committed: 6 });
    expect(registry.recover('b', 3, 20, 30)).toMatchObject({ epoch: 3, nextSequence: 31, pendingRuns: 2 });
    expect(registry.find('b')).toMatchObject({ epoch: 4, nextSequence: 10 });
  });
});

describe('memory', () => {
  test('is given up for a producer without anything outstanding, and for no other', () => {
    const registry = new ProducerRegistry(new NodeSqlite());
    const producer = registry.begin('a', 5, 1, 0);
    expect(registry.active).toBe(1);
    for (const change of [
      { pendingRuns: 1 },
      { isChanged: true },
      { run: { producer, epoch: 5, firstSequence: 1, receivedAtMs: 0, chunks: [], rows: 0 } },
    ]) {
      const before = { ...producer };
      Object.assign(producer, change);
      registry.release(producer);
      expect(registry.active).toBe(1);
      Object.assign(producer, before);
    }
    registry.release(producer);
    expect(registry.active).toBe(0);
    expect(registry.find('a')).not.toBe(producer);
  });

  test('is not given up for another object of the same name', () => {
    const registry = new ProducerRegistry(new NodeSqlite());
    const before = registry.begin('a', 5, 1, 0);
    registry.release(before);
    const after = registry.find('a');
    registry.release(before);
    expect(registry.peek('a', 5)).toBe(after);
  });

  test('is full at its limit', () => {
    const registry = new ProducerRegistry(undefined);
    for (let index = 1; index < MAX_ACTIVE_PRODUCERS; index += 1) registry.begin(`p${index}`, 1, 1, 0);
    expect(registry.isFull).toBe(false);
    const last = registry.begin('last', 1, 1, 0);
    expect(registry.isFull).toBe(true);
    registry.release(last);
    expect(registry.isFull).toBe(false);
  });

  test('without storage is all there is, and is given up for room only', () => {
    const registry = new ProducerRegistry(undefined);
    const producer = registry.begin('a', 5, 1, 0);
    producer.isChanged = true;
    registry.release(producer);
    expect(registry.find('a')).toBe(producer);
    for (let index = 0; index < MAX_ACTIVE_PRODUCERS / 2; index += 1) registry.begin(`p${index}`, 1, 1, 0);
    registry.release(producer);
    expect(registry.find('a')).toBeUndefined();
    expect(new ProducerRegistry(undefined).find('p1')).toBeUndefined();
  });
});

describe('storage', () => {
  test('takes thousands at once, in texts that a Durable Object takes', () => {
    const sqlite = new NodeSqlite();
    const registry = new ProducerRegistry(sqlite);
    const producers = Array.from({ length: 5_500 }, (_, index) =>
      registry.begin(`${index}`.padStart(128, 'x'), index + 1, 1, 0),
    );
    let largest = 0;
    const run = sqlite.run.bind(sqlite);
    sqlite.run = (statement, ...bindings) => {
      for (const binding of bindings) largest = Math.max(largest, String(binding).length);
      return run(statement, ...bindings);
    };
    for (const producer of producers) {
      producer.committed = 3;
      producer.isChanged = true;
    }
    registry.save(producers, 99);
    expect(largest).toBeLessThan(1_000_000);
    expect(largest).toBeGreaterThan(100_000);
    expect(rows(sqlite)).toHaveLength(5_500);
    expect(rows(sqlite).every(({ committed, used_at_ms: usedAt }) => committed === 3 && usedAt === 99)).toBe(
      true,
    );
    expect(producers.every(({ isChanged }) => !isChanged)).toBe(true);
  });

  test('is not counted for every row near its limit, since each time all rows are read', () => {
    const sqlite = new NodeSqlite();
    const registry = new ProducerRegistry(sqlite, 1_000);
    for (let index = 0; index < 1_000; index += 1) registry.begin(`p${index}`, 1, 1, index);
    let counts = 0;
    const run = sqlite.run.bind(sqlite);
    sqlite.run = (statement, ...bindings) => {
      if (statement.includes('count(*)')) counts += 1;
      return run(statement, ...bindings);
    };
    const producer = registry.begin('p0', 2, 1, 0);
    for (let round = 0; round < 100; round += 1) registry.save([producer], round);
    expect(counts).toBeGreaterThan(0);
    expect(counts).toBeLessThan(15);
  });

  test('forgets those that were not seen for longest once there are too many, in lots', () => {
    const sqlite = new NodeSqlite();
    const registry = new ProducerRegistry(sqlite, 100);
    for (let index = 0; index < 100; index += 1) registry.begin(`p${1_000 + index}`, 1, 1, index);
    expect(rows(sqlite)).toHaveLength(100);
    // A row that is written again is no further one.
    for (let index = 0; index < 50; index += 1) registry.save([registry.begin('p1000', 2, 1, 500)], 500);
    expect(rows(sqlite)).toHaveLength(100);
    registry.begin('new', 1, 1, 501);
    const left = rows(sqlite).map(({ name }) => name);
    expect(left).toHaveLength(90);
    expect(left).toContain('new');
    expect(left).toContain('p1000');
    expect(left).not.toContain('p1001');
    expect(left).not.toContain('p1011');
    expect(left).toContain('p1012');
    // Those with a session are in memory, whatever storage knows.
    expect(registry.find('p1001')).toMatchObject({ epoch: 1 });
    expect(new ProducerRegistry(sqlite, 100).find('p1001')).toBeUndefined();
  });
});

describe('a producer that moves to another shard', () => {
  test('is known there and no longer here, with its epochs and sessions', () => {
    const from = new ProducerRegistry(new NodeSqlite());
    const sqlite = new NodeSqlite();
    const to = new ProducerRegistry(sqlite);
    from.begin('a', 5, 1, 0);
    const producer = from.begin('a', 6, 1, 0, 'instance');
    from.startSession(producer, '1.x', undefined, 0);
    producer.nextSequence = 31;
    const given = from.handOver('a');
    expect(from.find('a')).toBeUndefined();
    to.adopt('a', [given as HandedOver], 9);
    for (const registry of [to, new ProducerRegistry(sqlite)]) {
      expect(registry.epochsOf('a')).toMatchObject([
        { epoch: 5 },
        { epoch: 6, nextSequence: 31, committed: 30, instance: 'instance', session: { id: '1.x' } },
      ]);
    }
  });

  test('is told again until it is confirmed, and comes back where nobody took it', () => {
    const sqlite = new NodeSqlite();
    const registry = new ProducerRegistry(sqlite);
    registry.begin('a', 5, 11, 0);
    const given = registry.handOver('a');
    // The answer was lost, and the shard started again.
    const next = new ProducerRegistry(sqlite);
    expect(next.find('a')).toBeUndefined();
    expect(next.handOver('a')).toEqual(given);
    next.adopt('a', [], 0);
    expect(next.find('a')).toMatchObject({ epoch: 5, nextSequence: 11 });
    next.handOver('a');
    next.forgetMoved('a');
    expect(next.handOver('a')).toBeUndefined();
  });

  test('goes on from what is furthest, where one that gave it away never heard that it was taken', () => {
    const first = new ProducerRegistry(new NodeSqlite());
    const second = new ProducerRegistry(new NodeSqlite());
    const third = new ProducerRegistry(new NodeSqlite());
    first.begin('a', 5, 11, 0);
    const stale = first.handOver('a') as HandedOver;
    second.adopt('a', [stale], 0);
    (second.find('a') as Producer).nextSequence = 21;
    const fresh = second.handOver('a') as HandedOver;
    third.adopt('a', [stale, fresh], 0);
    expect(third.find('a')).toMatchObject({ nextSequence: 21 });
    // On its way back, what the first has kept is older as well.
    first.adopt('a', [third.handOver('a') as HandedOver], 0);
    expect(first.find('a')).toMatchObject({ nextSequence: 21 });
  });
});
