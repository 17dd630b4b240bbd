import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryBudget } from '../../../src/core/memory-budget.ts';
import { MEMORY_RETRY_MS } from '../../../src/ingest/memory-hold.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { LimitedShard } from '../../support/limited-shard.ts';

const KIB = 1024;
const BUDGET_BYTES = 1024 * KIB;

/** Shards of one isolate whose Postgres is away. */
function isolate(...durabilities: ('memory' | 'outbox')[]) {
  const memory = new MemoryBudget(BUDGET_BYTES);
  const timers = new FakeTimers();
  const shards = durabilities.map((durability) => {
    const shard = new LimitedShard({ memory, timers, options: { durability } });
    shard.isAway = true;
    return shard;
  });
  return { memory, timers, shards: shards as [LimitedShard, ...LimitedShard[]] };
}

const message = (bytes: number): string => JSON.stringify('x'.repeat(bytes - 2));

/** Fills the isolate's memory from a shard of its own, which has no outbox, until that one is refused too. */
async function fill(shard: LimitedShard): Promise<void> {
  const filler = shard.raw('filler');
  while (filler.closed === undefined) {
    filler.send(message(16 * KIB));
    await shard.pass(1);
  }
}

test('once shards of an isolate hold its budget together, each refuses frames, with the reason and a time', async () => {
  const { memory, shards } = isolate('memory', 'memory');
  const [first, second = first] = shards;
  await fill(first);
  expect(memory.heldBytes).toBeLessThanOrEqual(BUDGET_BYTES);
  expect(memory.heldBytes).toBeGreaterThan(BUDGET_BYTES / 2);
  const raw = second.raw('late');
  raw.send('1');
  expect(raw.last('error')).toMatchObject({ refused: 1, errors: [{ line: 0, code: 'memory_full' }] });
  expect(JSON.stringify(raw.last('error'))).toContain('reconnect after a second');
  expect(raw.closed?.code).toBe(1013);
  // Nothing after it is taken: a hole would be worse than an end.
  raw.send('2');
  expect(second.pipeline.stats()).toMatchObject({
    received: 1,
    buffered: 0,
    refused: { memory_full: 1 },
    memoryRefused: 1,
    isMemoryTight: true,
    isolateBufferedBytes: memory.heldBytes,
    isolateLimitBytes: BUDGET_BYTES,
  });
  // The control: a shard with memory to itself takes the same.
  const alone = new LimitedShard({ options: { durability: 'memory' } });
  alone.raw('late').send('1');
  expect(alone.pipeline.stats()).toMatchObject({ buffered: 1, memoryRefused: 0, isMemoryTight: false });
});

test('a session gets no credit, a refused batch a nack, and a flow with the time; it hears of room by itself', async () => {
  const { shards } = isolate('memory', 'memory');
  const [first, second = first] = shards;
  const client = second.hello('client');
  expect(client.credit).toBeGreaterThan(0);
  await fill(first);
  client.batch(3);
  expect(client.last('nack')).toMatchObject({ from: 1, to: 3, code: 'memory_full', temporary: true });
  expect(client.last('flow')).toEqual({
    t: 'flow',
    credit: { messages: 0, bytes: 0 },
    reason: 'memory_full',
    retryMs: MEMORY_RETRY_MS,
  });
  expect(second.hello('other').last('welcome')).toMatchObject({ credit: { messages: 0, bytes: 0 } });
  // Nothing of the second shard has changed: it has to look.
  await second.pass(2 * MEMORY_RETRY_MS);
  expect(client.last('flow')).toMatchObject({ reason: 'memory_full' });
  first.isAway = false;
  first.pipeline.flush();
  await second.pass(2 * MEMORY_RETRY_MS);
  expect(client.last('flow')).toMatchObject({ reason: 'room' });
  expect(client.credit).toBeGreaterThan(0);
  second.isAway = false;
  client.goBack(0).batch(3);
  await second.pass(1_000);
  expect(client.last('ack')).toMatchObject({ taken: 3 });
  expect(second.pipeline.stats()).toMatchObject({ committed: 3, buffered: 0 });
});

test('a client that sends on without credit is told so, and closed', async () => {
  const { shards } = isolate('memory', 'memory');
  const [first, second = first] = shards;
  const client = second.hello('client');
  await fill(first);
  for (let number = 0; number < 40 && client.closed === undefined; number += 1)
    client.goBack(0).batch(1, () => message(60 * KIB));
  expect(client.all('nack').map(({ code }) => code)).toContain('over_credit');
  expect(client.closed?.code).toBe(4429);
});

test('what can wait in the outbox does, and is taken while memory is full of what cannot', async () => {
  const { memory, shards } = isolate('memory', 'outbox');
  const [first, second = first] = shards;
  await fill(first);
  const client = second.hello('client');
  for (let number = 0; number < 60; number += 1) {
    client.batch(1, () => message(60 * KIB));
    await second.pass(5);
    expect(memory.heldBytes).toBeLessThanOrEqual(BUDGET_BYTES);
  }
  expect(client.last('ack')).toMatchObject({ stored: 60 });
  expect(second.pipeline.stats()).toMatchObject({ buffered: 60, memoryRefused: 0 });
  // All but the one group that is tried next.
  expect(second.pipeline.stats().spilled).toBe(59);
  second.isAway = false;
  second.pipeline.flush();
  await second.pass(1_000);
  expect(second.rows).toHaveLength(60);
});

test('shards with an outbox keep up to half of the budget in memory, and nothing is refused', async () => {
  const { memory, shards } = isolate('outbox', 'outbox', 'outbox');
  const clients = shards.map((shard, number) => shard.hello(`client-${number}`));
  for (let number = 0; number < 30; number += 1) {
    for (const client of clients) client.batch(1, () => message(30 * KIB));
    for (const shard of shards) await shard.pass(5);
  }
  const stats = shards.map(({ pipeline }) => pipeline.stats());
  for (const figures of stats) expect(figures).toMatchObject({ buffered: 30, memoryRefused: 0 });
  expect(stats.some(({ spilled }) => spilled > 0)).toBe(true);
  expect(memory.heldBytes).toBeLessThanOrEqual(BUDGET_BYTES * 0.75);
  for (const shard of shards) {
    shard.isAway = false;
    shard.pipeline.flush();
  }
  for (const shard of shards) await shard.pass(2_000);
  expect(shards.map(({ rows }) => rows.length)).toEqual([30, 30, 30]);
  expect(memory.heldBytes).toBe(0);
});

test('a text with wide characters counts two bytes for each of its characters', async () => {
  const held = async (text: string): Promise<number> => {
    const { memory, shards } = isolate('memory');
    const [shard] = shards;
    shard.raw('p').send(JSON.stringify(text));
    return memory.heldBytes;
  };
  const narrow = await held('x'.repeat(10_000));
  expect(await held(`${'x'.repeat(9_999)}\u00e4`)).toBe(narrow);
  expect(await held(`${'x'.repeat(9_999)}\u20ac`)).toBe(narrow + 10_002);
});

test('what clients do not read counts, until they read it or are gone', async () => {
  const { memory, shards } = isolate('memory');
  const [shard] = shards;
  const client = shard.hello('client');
  for (let number = 0; number < 5_000; number += 1) client.send('{"t":"nonsense"}');
  const bad = shard.hello('other');
  for (let number = 0; number < 20_000 && bad.closed === undefined; number += 1) bad.send({ t: 'ping' });
  const unread = memory.heldBytes;
  expect(unread).toBeGreaterThan(100 * KIB);
  const ping = bad.last('ping') as unknown as { id: number };
  bad.send({ t: 'pong', id: ping.id });
  expect(memory.heldBytes).toBeLessThan(unread);
  bad.end();
  client.end();
  expect(memory.heldBytes).toBe(0);
});

test('whatever is sent to whichever shard: the budget holds, what was acked is written, and at last nothing is held', async () => {
  const sends = fc.array(
    fc.record({
      shard: fc.nat(2),
      bytes: fc.integer({ min: 10, max: 60 * KIB }),
      isRaw: fc.boolean(),
      passMs: fc.constantFrom(0, 0, 1, 20),
      turns: fc.boolean(),
    }),
    { minLength: 40, maxLength: 120 },
  );
  await fc.assert(
    fc.asyncProperty(sends, async (steps) => {
      const { memory, shards } = isolate('memory', 'outbox', 'memory');
      const clients = shards.map((shard, number) => shard.hello(`client-${number}`));
      for (const { shard: number, bytes, isRaw, passMs, turns } of steps) {
        const shard = shards[number] as LimitedShard;
        if (isRaw) shard.raw('raw').send(message(bytes));
        else {
          const client = clients[number];
          const before = client?.all('nack').length;
          client?.batch(1, () => message(bytes));
          // Refused: it is sent again with the next one.
          if (client?.all('nack').length !== before)
            client?.goBack(client.all('ack').length === 0 ? 0 : ackedBy(client));
        }
        if (turns) shard.isAway = !shard.isAway;
        if (passMs > 0) await shard.pass(passMs);
        expect(memory.heldBytes).toBeLessThanOrEqual(BUDGET_BYTES);
      }
      for (const shard of shards) {
        shard.isAway = false;
        shard.pipeline.flush();
      }
      const [first] = shards;
      await first.pass(40_000, 500);
      for (const [number, shard] of shards.entries()) {
        const stats = shard.pipeline.stats();
        const refused = Object.values(stats.refused).reduce((sum, count) => sum + count, 0);
        expect(stats).toMatchObject({ buffered: 0, dead: 0 });
        expect(stats.committed + stats.duplicate + refused).toBe(stats.received);
        expect(stats.committed).toBeGreaterThanOrEqual(ackedBy(clients[number]));
      }
      expect(memory.heldBytes).toBe(0);
    }),
    { numRuns: 15 },
  );
});

function ackedBy(client: { last(t: string): unknown } | undefined): number {
  const ack = client?.last('ack') as { stored?: number; taken?: number } | undefined;
  return ack?.stored ?? ack?.taken ?? 0;
}
