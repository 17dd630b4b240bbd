import { describe, expect, test } from 'vitest';
import { MAX_OVER_CREDIT, MAX_RATE_LIMITED_FRAMES } from '../../../src/core/limits.ts';
import type { SessionMemory } from '../../../src/ingest/intake.ts';
import { settled } from '../../support/fake-timers.ts';
import { LimitedShard } from '../../support/limited-shard.ts';

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));

describe("a tenant's messages a second", () => {
  const limits = { tenant: { messagesPerSecond: 100 } };

  test('are its credit: what there are tokens for, and nothing once they are used up', () => {
    const shard = new LimitedShard({ limits });
    const socket = shard.hello('acme/p');
    expect(socket.last('welcome')?.credit).toMatchObject({ messages: 100 });
    socket.batch(60);
    shard.timers.advance(0);
    shard.pipeline.storeGroup();
    expect(socket.last('ack')).toMatchObject({ stored: 60, credit: { messages: 40 } });
    socket.batch(40);
    shard.pipeline.storeGroup();
    expect(socket.last('ack')).toMatchObject({ stored: 100, credit: { messages: 0, bytes: 0 } });
    expect(socket.last('flow')).toEqual({ t: 'flow', credit: { messages: 0, bytes: 0 }, reason: 'rate' });
    expect(shard.pipeline.stats().restrained).toBe(1);
    shard.timers.advance(99);
    expect(socket.all('flow')).toHaveLength(1);
    shard.timers.advance(1);
    expect(socket.last('flow')).toMatchObject({ reason: 'room', credit: { messages: 10 } });
  });

  test('control: without limits, and for others, there is the whole credit', () => {
    const free = new LimitedShard();
    const limited = new LimitedShard({ limits });
    for (const socket of [free.hello('acme/p'), limited.hello('p')]) {
      expect(socket.last('welcome')?.credit).toMatchObject({ messages: 8_192 });
      socket.batch(500);
    }
    for (const { pipeline } of [free, limited]) {
      pipeline.storeGroup();
      expect(pipeline.stats()).toMatchObject({ received: 500, restrained: 0, refused: {} });
    }
  });

  test('are shared by its producers, and are divided by the shards of the sink', () => {
    const shard = new LimitedShard({ limits, options: { shards: 2 } });
    const one = shard.hello('acme/one');
    expect(one.credit).toBe(50);
    const two = shard.hello('acme/two');
    expect(two.credit).toBe(1);
    one.batch(49);
    two.batch(1);
    shard.pipeline.storeGroup();
    expect([one.credit, two.credit]).toEqual([0, 0]);
    // Another tenant has its own.
    expect(shard.hello('other/p').credit).toBe(50);
  });

  test('of a grant win over those of the deployment', () => {
    const shard = new LimitedShard({ limits });
    const grant = { tenant: 'acme', limits: { tenant: { messagesPerSecond: 7 } } };
    expect(shard.hello('acme/p', { grant }).credit).toBe(7);
    expect(shard.hello('other/p', { grant: { tenant: 'other' } }).credit).toBe(100);
  });

  test('of a fresh token hold from then on, and tokens that were used stay used', async () => {
    const shard = new LimitedShard({ limits });
    const grant = { tenant: 'acme' };
    const renewed = { tenant: 'acme', limits: { tenant: { messagesPerSecond: 1_000 } } };
    const socket = shard.hello('acme/p', { grant, renewed }).batch(100);
    shard.pipeline.storeGroup();
    expect(socket.credit).toBe(0);
    socket.send({ t: 'auth', token: 'fresh' });
    await settled();
    shard.timers.advance(100);
    expect(socket.last('flow')).toMatchObject({ reason: 'room', credit: { messages: 100 } });
    // Control: where the fresh one says the same, so does the credit.
    const other = shard
      .hello('other/p', { grant: { tenant: 'other' }, renewed: { tenant: 'other' } })
      .batch(100);
    shard.pipeline.storeGroup();
    other.send({ t: 'auth', token: 'fresh' });
    await settled();
    shard.timers.advance(100);
    expect(other.last('flow')).toMatchObject({ reason: 'room', credit: { messages: 10 } });
  });

  test('that a fresh token lifts are lifted for a client that waits', async () => {
    const limits = { tenant: { messagesPerSecond: 1 } };
    const shard = new LimitedShard();
    const socket = shard.hello('acme/p', { grant: { tenant: 'acme', limits }, renewed: { tenant: 'acme' } });
    socket.batch(1);
    shard.pipeline.storeGroup();
    expect(socket.credit).toBe(0);
    socket.send({ t: 'auth', token: 'fresh' });
    await settled();
    shard.timers.advance(20);
    expect(socket.last('flow')).toMatchObject({ reason: 'room', credit: { messages: 8_192 } });
  });

  test('are counted once: what was taken before costs nothing', () => {
    const shard = new LimitedShard({ limits });
    const socket = shard.hello('acme/p').batch(50);
    shard.pipeline.storeGroup();
    expect(socket.credit).toBe(50);
    for (let again = 0; again < 5; again += 1) socket.goBack(0).batch(50);
    socket.goBack(40).batch(20);
    shard.pipeline.storeGroup();
    expect(socket.last('ack')).toMatchObject({ stored: 60, credit: { messages: 40 } });
    expect(shard.pipeline.stats()).toMatchObject({ duplicate: 260, buffered: 60 });
  });

  test('no timer is set where nobody waits', () => {
    const shard = new LimitedShard({ limits });
    const socket = shard.hello('acme/p').batch(50);
    shard.pipeline.storeGroup();
    const { pending } = shard.timers;
    socket.batch(50);
    shard.pipeline.storeGroup();
    expect(shard.timers.pending).toBe(pending + 1);
    socket.end();
    shard.timers.advance(1_000);
    expect(shard.timers.pending).toBeLessThanOrEqual(pending);
    expect(socket.all('flow')).toHaveLength(1);
  });

  test('a client that ignores its credit is refused, and closed in the end', () => {
    const shard = new LimitedShard({ limits });
    const socket = shard.hello('acme/p').batch(100);
    shard.pipeline.storeGroup();
    expect(socket.credit).toBe(0);
    // What was on its way is taken, in debt.
    socket.batch(100);
    shard.pipeline.storeGroup();
    expect(socket.last('ack')).toMatchObject({ stored: 200 });
    let refusals = 0;
    while (socket.closed === undefined && refusals < 100) {
      socket.goBack(200).batch(50);
      refusals += 1;
    }
    expect(socket.closed).toMatchObject({ code: 4429, reason: expect.stringMatching(/^over_credit: /) });
    const codes = socket.all('nack').map(({ code, temporary }) => `${code} ${temporary}`);
    expect(codes.filter((code) => code === 'over_credit true')).toHaveLength(MAX_OVER_CREDIT);
    expect(codes.slice(0, 2)).toEqual(['rate_limited true', 'rate_limited true']);
    expect(shard.pipeline.stats()).toMatchObject({ buffered: 200, received: 200 + refusals * 50 });
  });

  test('control: the same client without limits is taken', () => {
    const shard = new LimitedShard();
    const socket = shard.hello('acme/p');
    for (let batch = 0; batch < 20; batch += 1) socket.batch(100);
    shard.pipeline.storeGroup();
    expect(socket.closed).toBeUndefined();
    expect(shard.pipeline.stats()).toMatchObject({ buffered: 2_000, refused: {} });
  });

  test('many that wait get what there is, in turn, and no more', async () => {
    const shard = new LimitedShard({ limits });
    const sockets = Array.from({ length: 50 }, (_, index) => shard.hello(`acme/p${index}`));
    let taken = 0;
    const seconds = 20;
    for (let ms = 0; ms < seconds * 1_000; ms += 20) {
      for (const socket of sockets) {
        if ((socket.credit ?? 0) === 0) continue;
        socket.batch(socket.credit as number);
      }
      await shard.pass(20, 10);
    }
    const counts = sockets.map((socket) => Number(socket.last('ack')?.stored ?? 0));
    taken = counts.reduce((sum, count) => sum + count, 0);
    expect(taken).toBeLessThanOrEqual(100 * seconds + 200);
    expect(taken).toBeGreaterThanOrEqual(100 * seconds - 20);
    // Nobody starves.
    expect(Math.min(...counts)).toBeGreaterThan((100 * seconds) / 50 / 2);
    expect(shard.pipeline.stats().refused).toEqual({});
  });
});

describe('bytes a second', () => {
  const limits = { producer: { bytesPerSecond: 1_000 } };

  test('are those of the UTF-8 text and its newlines', () => {
    const shard = new LimitedShard({ limits });
    const socket = shard.hello('p');
    expect(socket.last('welcome')?.credit).toEqual({ messages: 8_192, bytes: 1_000 });
    socket.batch(2, () => '"äöü€"');
    shard.pipeline.storeGroup();
    // 2 quotes, 3 × 2 bytes, 3 bytes and a newline, twice.
    expect(socket.last('ack')?.credit?.bytes).toBe(1_000 - 24);
    expect(shard.hello('q').last('welcome')?.credit?.bytes).toBe(1_000);
  });

  test('one message of any size may be sent, and is paid for', () => {
    const shard = new LimitedShard({ limits });
    const socket = shard.hello('p').batch(1, () => `"${'x'.repeat(9_997)}"`);
    shard.pipeline.storeGroup();
    expect(socket.last('ack')).toMatchObject({ stored: 1, credit: { bytes: 0 } });
    shard.timers.advance(9_000);
    expect(socket.credit).toBe(0);
    shard.timers.advance(100);
    expect(socket.last('flow')).toMatchObject({ reason: 'room', credit: { bytes: 100 } });
  });
});

describe('a raw socket', () => {
  const limits = { connection: { messagesPerSecond: 10 } };

  test('has frames refused whole that are too many, and is told how long to wait', () => {
    const shard = new LimitedShard({ limits });
    const socket = shard.raw('p').send(numbers(1, 10).join('\n'));
    expect(socket.frames).toEqual([]);
    socket.send('11\nno json');
    const [error] = (socket.last('error')?.errors ?? []) as { line: number; code: string; message: string }[];
    expect(socket.last('error')?.refused).toBe(1);
    expect(error).toMatchObject({ line: 0, code: 'rate_limited' });
    expect(error?.message).toBe(
      'Nothing of the frame was taken, since the limit of a connection (10 messages a second) is used up: send it again after 0.1 s',
    );
    shard.timers.advance(100);
    socket.send('11');
    expect(socket.all('error')).toHaveLength(1);
    expect(shard.pipeline.stats()).toMatchObject({ received: 12, refused: { rate_limited: 1 } });
    // Another connection has its own.
    expect(shard.raw('p').send('1').frames).toEqual([]);
  });

  test('is told of a frame that never fits', () => {
    const shard = new LimitedShard({ limits });
    const socket = shard.raw('p').send(numbers(1, 21).join('\n'));
    expect(JSON.stringify(socket.frames)).toContain('more than the limit of a connection');
    expect(socket.send(numbers(1, 20).join('\n')).all('error')).toHaveLength(1);
  });

  test('that goes on and on is closed; one that pauses is not', () => {
    const shard = new LimitedShard({ limits });
    const flood = shard.raw('p').send(numbers(1, 10).join('\n'));
    for (let frame = 0; frame <= MAX_RATE_LIMITED_FRAMES; frame += 1) flood.send('1');
    expect(flood.closed).toMatchObject({ code: 1008, reason: expect.stringMatching(/^rate_limited: /) });
    flood.send('1');
    expect(flood.all('error')).toHaveLength(MAX_RATE_LIMITED_FRAMES + 1);
    const other = shard.raw('q');
    for (let frame = 0; frame < 5 * MAX_RATE_LIMITED_FRAMES; frame += 1) {
      other.send('1');
      shard.timers.advance(50);
    }
    expect(other.closed).toBeUndefined();
  });

  test('control: without limits nothing is refused', () => {
    const shard = new LimitedShard();
    const socket = shard.raw('p');
    for (let frame = 0; frame < 1_000; frame += 1) socket.send('1');
    expect(socket.frames).toEqual([]);
    expect(socket.closed).toBeUndefined();
  });
});

describe('connections', () => {
  test.each([
    ['tenant', { tenant: { connections: 2 } }, 'the limit of this tenant is 2 connections'],
    ['producer', { producer: { connections: 2 } }, 'the limit of this producer is 2 connections'],
    ['address', { address: { connections: 2 } }, 'the limit of this address is 2 connections'],
  ])('of a %s are counted, and one too many is refused', (_, limits, sentence) => {
    const shard = new LimitedShard({ limits });
    const who = { address: '203.0.113.7' };
    const [first] = [shard.hello('acme/p', who), shard.raw('acme/p', who)];
    for (const [socket, code] of [
      [shard.open('acme/p', who), 4429],
      [shard.raw('acme/p', who), 1008],
    ] as const) {
      expect(socket.closed).toMatchObject({ code });
      expect(socket.closed?.reason).toContain(`too_many_connections: ${sentence}`);
      socket.send('1');
    }
    expect(shard.pipeline.stats()).toMatchObject({ refusedConnections: 2, received: 0 });
    const { address } = who;
    const crowd = (producer: string, from: string | undefined) =>
      shard.pipeline.crowdOf({ producer, address: from, grant: undefined })?.message;
    expect(crowd('acme/p', address)).toContain(sentence);
    expect(crowd('other/q', undefined)).toBeUndefined();
    // One that was refused counts for nothing, also when its socket ends.
    first?.end();
    expect(shard.raw('acme/p', who).closed).toBeUndefined();
    expect(shard.raw('acme/p', who).closed).toBeDefined();
    // Control: others.
    expect(shard.raw('other/q', { address: '203.0.113.8' }).closed).toBeUndefined();
  });

  test('without an address there is no limit of an address', () => {
    const shard = new LimitedShard({ limits: { address: { connections: 1 } } });
    for (let socket = 0; socket < 5; socket += 1) expect(shard.raw('p').closed).toBeUndefined();
  });
});

describe('a share of the outbox', () => {
  const limits = { tenant: { outboxShare: 0.1 } };
  const options = { maxOutboxRows: 1_000, groupMs: 0 };

  test('bounds what a tenant has in it, and nobody else; a flow tells of room again', async () => {
    const shard = new LimitedShard({ limits, options });
    shard.isAway = true;
    const socket = shard.hello('acme/p');
    expect(socket.credit).toBe(90);
    socket.batch(90);
    await shard.pass(10);
    expect(socket.last('ack')).toMatchObject({ stored: 90, credit: { messages: 0, bytes: 0 } });
    expect(socket.last('flow')).toMatchObject({ reason: 'outbox_full', credit: { messages: 0 } });
    // What was on its way is taken where there is room, and no more.
    socket.batch(10).batch(1);
    await shard.pass(10);
    expect(socket.last('ack')).toMatchObject({ stored: 100 });
    expect(socket.last('nack')).toMatchObject({ code: 'buffer_full', from: 101, temporary: true });
    const raw = shard.raw('acme/raw').send('1');
    expect(raw.last('error')?.errors).toEqual([
      { line: 0, code: 'buffer_full', message: expect.stringContaining('that this tenant may use is full') },
    ]);
    expect(raw.closed).toMatchObject({ code: 1013 });
    // Controls: another tenant, and somebody without one.
    expect(shard.hello('other/p').batch(90).batch(5).last('nack')).toBeUndefined();
    expect(shard.hello('p').batch(500).last('nack')).toBeUndefined();
    expect(shard.raw('raw').send('1').frames).toEqual([]);
    // No clock is needed: room comes with what is written.
    shard.isAway = false;
    shard.pipeline.flush();
    await shard.pass(10);
    expect(shard.pipeline.stats().buffered).toBe(0);
    expect(socket.last('flow')?.reason).toBe('room');
    expect(socket.credit).toBeGreaterThan(50);
    socket.goBack(100).batch(50);
    await shard.pass(10);
    expect(socket.last('ack')).toMatchObject({ stored: 150 });
  });

  test('is known again after a restart of the shard', async () => {
    const before = new LimitedShard({ limits, options });
    before.isAway = true;
    before.hello('acme/p').batch(60);
    before.hello('acme/q').batch(35);
    before.hello('other/q').batch(20);
    await before.pass(10);
    const { sqlite, timers } = before;
    const shard = new LimitedShard({ limits, options, sqlite, timers });
    shard.isAway = true;
    const socket = shard.hello('acme/r');
    expect(socket.last('welcome')?.credit).toEqual({ messages: 0, bytes: 0 });
    expect(socket.last('flow')).toMatchObject({ reason: 'outbox_full' });
    expect(shard.hello('other/r').credit).toBe(70);
    shard.isAway = false;
    shard.pipeline.flush();
    await shard.pass(10);
    expect(socket.last('flow')?.reason).toBe('room');
    expect(socket.credit).toBeGreaterThan(50);
    // Control: without the limit it has all of the credit.
    expect(new LimitedShard({ options, sqlite, timers }).hello('acme/s').credit).toBeGreaterThan(500);
  });

  test('bounds its bytes', async () => {
    const shard = new LimitedShard({ limits, options: { maxOutboxBytes: 1_048_576, groupMs: 0 } });
    shard.isAway = true;
    const socket = shard.hello('acme/p').batch(2, () => `"${'x'.repeat(50_000)}"`);
    await shard.pass(10);
    expect(socket.last('ack')).toMatchObject({ stored: 2, credit: { bytes: 0 } });
    expect(socket.batch(1, () => `"${'x'.repeat(10_000)}"`).last('nack')).toMatchObject({
      code: 'buffer_full',
    });
    expect(
      shard
        .hello('p')
        .batch(2, () => `"${'x'.repeat(50_000)}"`)
        .last('nack'),
    ).toBeUndefined();
  });

  test('a limit of a grant counts what was there before it', async () => {
    const shard = new LimitedShard({ options });
    shard.isAway = true;
    shard.hello('acme/p').batch(95);
    await shard.pass(10);
    const grant = { tenant: 'acme', limits };
    expect(shard.hello('acme/q', { grant }).credit).toBe(0);
    expect(shard.hello('acme/r').credit).toBeGreaterThan(200);
  });
});

describe('after a hibernation', () => {
  test('limits hold for the sockets that are still there', async () => {
    const limits = { tenant: { messagesPerSecond: 100, connections: 2 } };
    const before = new LimitedShard({ limits });
    const sockets = ['acme/p', 'acme/q'].map((producer) => before.hello(producer).batch(10));
    await before.pass(10);
    const { sqlite, timers } = before;
    const shard = new LimitedShard({ limits, sqlite, timers });
    const [woken] = ['acme/p', 'acme/q'].map((producer, index) =>
      shard.open(producer, { memory: sockets[index]?.remembered.at(-1) as SessionMemory }),
    );
    expect(woken?.closed).toBeUndefined();
    expect(shard.open('acme/r').closed).toMatchObject({ code: 4429 });
    woken?.goBack(10).batch(100);
    await shard.pass(10);
    expect(woken?.last('ack')).toMatchObject({ stored: 110, credit: { messages: 0 } });
    await shard.pass(200);
    expect(woken?.last('flow')).toMatchObject({ reason: 'room' });
  });

  test('a client that waited for its share of the outbox hears of room', async () => {
    const limits = { tenant: { outboxShare: 0.1 } };
    const options = { maxOutboxRows: 1_000, groupMs: 0 };
    const before = new LimitedShard({ limits, options });
    before.isAway = true;
    const socket = before.hello('acme/p').batch(95);
    await before.pass(10);
    expect(socket.credit).toBe(0);
    const { sqlite, timers } = before;
    const shard = new LimitedShard({ limits, options, sqlite, timers });
    const woken = shard.open('acme/p', { memory: socket.remembered.at(-1) as SessionMemory });
    shard.pipeline.flush();
    await shard.pass(20);
    expect(woken.last('flow')).toMatchObject({ reason: 'room' });
  });
});

describe('a client of the library', () => {
  test('at ten times its limit gets its rate, loses nothing and doubles nothing', async () => {
    const shard = new LimitedShard({ limits: { tenant: { messagesPerSecond: 200 } } });
    const client = shard.client({
      producer: 'p',
      who: { grant: { tenant: 'acme' } },
      ack: 'committed',
      sendBufferMessages: 100_000,
    });
    const seconds = 30;
    const sent: Promise<unknown>[] = [];
    const rates: number[] = [];
    let before = 0;
    for (let second = 0; second < seconds; second += 1) {
      for (let part = 0; part < 10; part += 1) {
        for (let message = 0; message < 200; message += 1) sent.push(client.send(sent.length + 1));
        await shard.pass(100, 5);
      }
      rates.push(shard.rows.length - before);
      before = shard.rows.length;
    }
    // A second's worth came at once, and then as much as the rate says.
    expect(shard.rows.length).toBeLessThanOrEqual(200 * seconds + 200);
    expect(shard.rows.length).toBeGreaterThanOrEqual(200 * seconds);
    for (const rate of rates.slice(2)) expect(Math.abs(rate - 200)).toBeLessThanOrEqual(20);
    expect(shard.rows).toEqual(numbers(1, shard.rows.length));
    expect(shard.pipeline.stats()).toMatchObject({ duplicate: 0, refused: {} });
    expect(client.stats.deferred).toBe(0);
  });
});
