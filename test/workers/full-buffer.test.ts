import { evictDurableObject, runInDurableObject } from 'cloudflare:test';
import { describe, expect, it, vi } from 'vitest';
import { type Client, isIncreasing, TestShard, until, useDatabase } from './support.ts';

const query = useDatabase();

/** The smallest buffer there is; nothing but an alarm or a drain flushes it. */
const SMALL = { maxBufferBytes: 65_536, lingerMs: 60_000, batchRows: 50_000, alarmMs: 600_000 };
const KILOBYTE = 'x'.repeat(1_000);

describe.each(['hibernatable', 'resident'] as const)(
  'a full buffer of a shard with %s sockets',
  (sockets) => {
    it('is answered with buffer_full and 1013, and what was accepted before is written once', async () => {
      const shard = new TestShard(query, { ...SMALL, sockets });
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
      expect(full.received, 'the control: some were taken').toBeGreaterThan(30);
      expect(full.received).toBeLessThan(sent);
      expect(full).toMatchObject({ buffered: full.received, flushed: 0 });
      expect(full.bufferedBytes).toBeLessThanOrEqual(65_536);
      expect(full.refused.buffer_full).toBeGreaterThan(0);

      await shard.createTable();
      const { flushed } = await shard.stub.drain();
      expect(flushed).toBe(full.received);
      const rows = await shard.rows();
      expect(rows.map(({ payload }) => (JSON.parse(payload) as { n: number }).n)).toEqual(
        Array.from({ length: full.received }, (_, n) => n),
      );
      expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
      await until(async () => expect((await shard.stats()).sockets).toBe(0));
    });

    it('takes nothing more from the socket that it refused: the rows of a producer have no hole', async () => {
      const shard = new TestShard(query, { ...SMALL, sockets });
      const client = await shard.connect('holes');
      // The large one does not fit any more, the small ones behind it would.
      client.send(`"${'a'.repeat(40_000)}"`);
      client.send(`"${'b'.repeat(40_000)}"`);
      for (let n = 0; n < 20; n += 1) client.send(`{"after":${n}}`);
      expect((await client.closed).code).toBe(1013);
      await shard.createTable();
      await shard.stub.drain();
      expect((await shard.payloads()).map((payload) => payload.slice(0, 3))).toEqual(['"aa']);
      expect(client.frames).toHaveLength(1);
    });

    it('does not concern frames without a single good message', async () => {
      const shard = new TestShard(query, { ...SMALL, sockets });
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
      const shard = new TestShard(query, { ...SMALL, sockets });
      const first = await shard.connect('again');
      first.send(`"${'a'.repeat(60_000)}"`);
      await shard.received(1);
      first.send(`"${'b'.repeat(60_000)}"`);
      expect((await first.closed).code).toBe(1013);
      await shard.createTable();
      await shard.stub.drain();
      const second = await shard.connect('again');
      second.send(`"${'b'.repeat(60_000)}"`);
      await shard.received(2);
      await shard.stub.drain();
      const rows = await shard.rows();
      expect(rows.map(({ payload }) => payload.slice(0, 3))).toEqual(['"aa', '"bb']);
      expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
      await second.close();
    });
  },
);

describe('the brake', () => {
  // With Neon's driver, which cannot hold frames back, pauses begin at a quarter of the buffer; nothing is written here.
  /** Counts the frames that a shard with a filling buffer takes before it shuts its gate. */
  async function framesUntilPause(shard: TestShard, client: Client, limit: number): Promise<number> {
    const pause = await runInDurableObject(shard.stub, (_, state) =>
      vi.spyOn(state, 'blockConcurrencyWhile'),
    );
    const { received } = await shard.stats();
    client.send(`"${'a'.repeat(30_000)}"`);
    await shard.received(received + 1);
    for (let frame = 1; frame <= limit; frame += 1) {
      if (pause.mock.calls.length > 0) return frame;
      client.send('1');
      await shard.received(received + 1 + frame);
    }
    return Number.POSITIVE_INFINITY;
  }

  it.each(['hibernatable', 'resident'] as const)(
    'goes by the sockets that are open, not by those that ever were: %s',
    async (sockets) => {
      const fresh = new TestShard(query, { ...SMALL, sockets }, 'text', 'neon');
      const only = await fresh.connect('only');
      expect(await framesUntilPause(fresh, only, 5), 'the control: one socket, one frame').toBe(1);

      const old = new TestShard(query, { ...SMALL, sockets }, 'text', 'neon');
      for (let visit = 0; visit < 20; visit += 1) await (await old.connect(`visitor-${visit}`)).close();
      await until(async () => expect((await old.stats()).sockets).toBe(0));
      const last = await old.connect('last');
      expect(await framesUntilPause(old, last, 30)).toBe(1);
      await only.close();
      await last.close();
    },
  );

  it.each(['hibernatable', 'resident'] as const)(
    'loses no frame that was sent before the close: %s',
    async (sockets) => {
      const shard = new TestShard(query, { ...SMALL, sockets, maxBufferBytes: 400_000 });
      const client = await shard.connect('leaves');
      const pause = await runInDurableObject(shard.stub, (_, state) =>
        vi.spyOn(state, 'blockConcurrencyWhile'),
      );
      for (let n = 0; n < 300; n += 1) client.send(`{"n":${n},"x":"${KILOBYTE}"}\nno json`);
      expect(await client.close(1000)).toMatchObject({ code: 1000 });
      expect(await shard.received(300)).toMatchObject({ refused: { invalid_json: 300 } });
      expect(pause, 'the control: the gate was shut meanwhile').toHaveBeenCalled();
      await shard.createTable();
      await shard.stub.drain();
      expect((await shard.payloads()).map((payload) => (JSON.parse(payload) as { n: number }).n)).toEqual(
        Array.from({ length: 300 }, (_, n) => n),
      );
    },
  );

  it('knows the sockets that it had before a hibernation', async () => {
    const shard = new TestShard(query, SMALL, 'text', 'neon');
    const clients = await Promise.all(['a', 'b', 'c'].map((producer) => shard.connect(producer)));
    await evictDurableObject(shard.stub);
    expect(await framesUntilPause(shard, clients[0] as Client, 10), 'a round is a frame of each').toBe(3);
    for (const client of clients) await client.close();
  });
});
