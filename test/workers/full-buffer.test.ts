import { runInDurableObject } from 'cloudflare:test';
import { describe, expect, it, vi } from 'vitest';
import { type Client, evict, isIncreasing, TestShard, until, useDatabase } from './support.ts';

const query = useDatabase();

const LIMIT = 65_536;
/** The smallest buffer and outbox there are; nothing but an alarm or a drain flushes them. */
const SMALL = {
  maxBufferBytes: LIMIT,
  maxOutboxBytes: LIMIT,
  lingerMs: 60_000,
  batchRows: 50_000,
  alarmMs: 600_000,
};
const SOCKETS = ['hibernatable', 'resident'] as const;
const DURABILITIES = ['outbox', 'memory'] as const;
const CASES = SOCKETS.flatMap((sockets) => DURABILITIES.map((durability) => ({ sockets, durability })));
const KILOBYTE = 'x'.repeat(1_000);

describe.each(CASES)(
  'a shard with $sockets sockets and durability $durability that is full',
  ({ sockets, durability }) => {
    it('answers with buffer_full and 1013, and what was accepted before is written once', async () => {
      const shard = new TestShard(query, { ...SMALL, sockets, durability });
      const client = await shard.connect('full');
      let sent = 0;
      for (; sent < 100; sent += 1) client.send(`{"n":${sent},"x":"${KILOBYTE}"}`);
      const frame = await client.frame(0);
      expect(frame).toEqual({
        t: 'error',
        refused: 1,
        errors: [
          {
            line: 0,
            code: 'buffer_full',
            message: expect.stringContaining('send the refused messages again'),
          },
        ],
      });
      const end = await client.closed;
      expect(end.code).toBe(1013);
      expect(end.reason).toContain('buffer is full');

      const full = await shard.stats();
      const taken = full.buffered;
      expect(taken, 'the control: some were taken').toBeGreaterThan(30);
      expect(taken).toBeLessThan(sent);
      // Nothing behind the refused frame is looked at.
      expect(full).toMatchObject({ received: taken + 1, committed: 0, refused: { buffer_full: 1 } });
      // What comes back from the outbox comes by groups, each of which may be as large as this outbox.
      expect(full.bufferedBytes).toBeLessThanOrEqual(durability === 'memory' ? LIMIT : 2 * LIMIT);
      expect(full.outboxBytes).toBeLessThanOrEqual(LIMIT);

      await shard.createTable();
      const { committed } = await shard.drain();
      expect(committed).toBe(taken);
      const rows = await shard.rows();
      expect(rows.map(({ payload }) => (JSON.parse(payload) as { n: number }).n)).toEqual(
        Array.from({ length: taken }, (_, n) => n),
      );
      expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
      await until(async () => expect((await shard.stats()).sockets).toBe(0));
    });

    it('takes nothing more from the socket that it refused: the rows of a producer have no hole', async () => {
      const shard = new TestShard(query, { ...SMALL, sockets, durability });
      const client = await shard.connect('holes');
      // The large one does not fit any more, the small ones behind it would.
      client.send(`"${'a'.repeat(40_000)}"`);
      client.send(`"${'b'.repeat(40_000)}"`);
      for (let n = 0; n < 20; n += 1) client.send(`{"after":${n}}`);
      expect((await client.closed).code).toBe(1013);
      await shard.createTable();
      await shard.drain();
      expect((await shard.payloads()).map((payload) => payload.slice(0, 3))).toEqual(['"aa']);
      expect(client.frames).toHaveLength(1);
    });

    it('answers frames without a single good message as always', async () => {
      const shard = new TestShard(query, { ...SMALL, sockets, durability });
      const filler = await shard.connect('filler');
      filler.send(`"${'a'.repeat(60_000)}"`);
      await shard.received(1);
      const other = await shard.connect('other');
      other.send(`${'b'.repeat(6_000)}`);
      expect((await other.frame(0)).errors[0]?.code).toBe('invalid_json');
      expect(other.isClosed).toBe(false);
      other.send(`"${'b'.repeat(6_000)}"`);
      expect((await other.frame(1)).errors[0]?.code, 'the control').toBe('buffer_full');
      expect((await other.closed).code).toBe(1013);
      await filler.close();
    });

    it('takes a producer again as soon as there is room', async () => {
      const shard = new TestShard(query, { ...SMALL, sockets, durability });
      const first = await shard.connect('again');
      first.send(`"${'a'.repeat(60_000)}"`);
      await shard.received(1);
      first.send(`"${'b'.repeat(60_000)}"`);
      expect((await first.closed).code).toBe(1013);
      await shard.createTable();
      await shard.drain();
      const second = await shard.connect('again');
      second.send(`"${'b'.repeat(60_000)}"`);
      await shard.received(3);
      await shard.drain();
      const rows = await shard.rows();
      expect(rows.map(({ payload }) => payload.slice(0, 3))).toEqual(['"aa', '"bb']);
      expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
      await second.close();
    });
  },
);

describe('the throttle', () => {
  // With Neon's driver, which cannot hold frames back, pauses begin at a quarter of the buffer; nothing is written here.
  /** Counts the frames that a shard with a filling buffer takes before it shuts its gate. */
  async function framesUntilPause(shard: TestShard, client: Client, limit: number): Promise<number> {
    const pause = await runInDurableObject(shard.stub, (_, state) =>
      vi.spyOn(state, 'blockConcurrencyWhile'),
    );
    const { received } = await shard.stats();
    client.send(`"${'a'.repeat(30_000)}"`);
    await shard.received(received + 1);
    // What is being gathered counts once it is stored.
    if (shard.spec.options.durability === 'outbox')
      await until(async () => expect(await shard.inOutbox()).toBe(1));
    for (let frame = 1; frame <= limit; frame += 1) {
      if (pause.mock.calls.length > 0) return frame;
      client.send('1');
      await shard.received(received + 1 + frame);
    }
    return Number.POSITIVE_INFINITY;
  }

  it.each(CASES)(
    'goes by the sockets that are open, not by those that ever were: $sockets, $durability',
    async ({ sockets, durability }) => {
      const options = { ...SMALL, sockets, durability };
      const frames = durability === 'outbox' ? 2 : 1;
      const fresh = new TestShard(query, options, 'text', 'neon');
      const only = await fresh.connect('only');
      expect(await framesUntilPause(fresh, only, 5), 'the control: one socket').toBe(frames);

      const old = new TestShard(query, options, 'text', 'neon');
      for (let visit = 0; visit < 20; visit += 1) await (await old.connect(`visitor-${visit}`)).close();
      await until(async () => expect((await old.stats()).sockets).toBe(0));
      const last = await old.connect('last');
      expect(await framesUntilPause(old, last, 30)).toBe(frames);
      await only.close();
      await last.close();
    },
  );

  it.each(CASES)(
    'loses no frame that was sent before the close: $sockets, $durability',
    async ({ sockets, durability }) => {
      const bounds = { maxBufferBytes: 400_000, maxOutboxBytes: 400_000 };
      const shard = new TestShard(query, { ...SMALL, ...bounds, sockets, durability });
      const client = await shard.connect('leaves');
      const pause = await runInDurableObject(shard.stub, (_, state) =>
        vi.spyOn(state, 'blockConcurrencyWhile'),
      );
      for (let n = 0; n < 300; n += 1) client.send(`{"n":${n},"x":"${KILOBYTE}"}\nno json`);
      expect(await client.close(1000)).toMatchObject({ code: 1000 });
      expect(await shard.received(600)).toMatchObject({ buffered: 300, refused: { invalid_json: 300 } });
      expect(pause, 'the control: the gate was shut meanwhile').toHaveBeenCalled();
      await shard.createTable();
      await shard.drain();
      expect((await shard.payloads()).map((payload) => (JSON.parse(payload) as { n: number }).n)).toEqual(
        Array.from({ length: 300 }, (_, n) => n),
      );
    },
  );

  it.each(DURABILITIES)('knows the sockets that it had before a hibernation: %s', async (durability) => {
    const shard = new TestShard(query, { ...SMALL, durability }, 'text', 'neon');
    const clients = await Promise.all(['a', 'b', 'c'].map((producer) => shard.connect(producer)));
    await evict(shard.stub);
    expect(await framesUntilPause(shard, clients[0] as Client, 10), 'a round is a frame of each').toBe(3);
    for (const client of clients) await client.close();
  });
});

describe('a shard whose memory is full', () => {
  it('takes what its outbox has room for, and writes all of it once and in order', async () => {
    const shard = new TestShard(query, { ...SMALL, maxOutboxBytes: 8 * LIMIT });
    const client = await shard.connect('spills');
    for (let from = 0; from < 300; from += 20) {
      for (let n = from; n < from + 20; n += 1) client.send(`{"n":${n},"x":"${KILOBYTE}"}`);
      await until(async () => expect(await shard.inOutbox()).toBe(from + 20));
    }
    const full = await shard.stats();
    expect(full).toMatchObject({ received: 300, buffered: 300, refused: {} });
    expect(full.bufferedBytes).toBeLessThanOrEqual(2 * LIMIT);
    expect(full.spilled).toBeGreaterThan(150);
    await shard.createTable();
    expect(await shard.drain()).toMatchObject({
      committed: 300,
      buffered: 0,
      spilled: 0,
      outboxBytes: 0,
    });
    expect((await shard.payloads()).map((payload) => (JSON.parse(payload) as { n: number }).n)).toEqual(
      Array.from({ length: 300 }, (_, n) => n),
    );
    expect(client.frames).toEqual([]);
    await client.close();
  });

  it('without an outbox refuses them, the control', async () => {
    const shard = new TestShard(query, { ...SMALL, durability: 'memory' });
    const client = await shard.connect('spills-not');
    for (let n = 0; n < 300; n += 1) client.send(`{"n":${n},"x":"${KILOBYTE}"}`);
    expect((await client.closed).code).toBe(1013);
  });
});
