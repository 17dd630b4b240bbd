import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BENCH_CHECKPOINTS, benchTableName } from '../../lab/suites/ingest/bench-sink.ts';
import { alarmOf, evict, isIncreasing, moveDatabase, TestShard, until, useDatabase } from './support.ts';

const query = useDatabase();

/** Nothing but an alarm flushes a shard with these: no size is reached, and the oldest message may wait for a minute. */
const ONLY_BY_ALARM = { lingerMs: 60_000, batchRows: 50_000, alarmMs: 600_000 };
const UNREACHABLE = 'postgres://user:topsecret@127.0.0.1:1/db';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the alarm', () => {
  it('empties the buffer by itself', async () => {
    const shard = await new TestShard(query, ONLY_BY_ALARM).createTable();
    const client = await shard.connect('alarm');
    client.send('1\n2\n3');
    const before = await shard.received(3);
    expect(before, 'the control: without it, all of it waits').toMatchObject({ buffered: 3, committed: 0 });
    expect(await shard.payloads()).toEqual([]);

    expect(await runDurableObjectAlarm(shard.stub)).toBe(true);
    await until(async () => expect(await shard.payloads()).toEqual(['1', '2', '3']));
    await until(async () =>
      expect(await shard.stats()).toMatchObject({ buffered: 0, committed: 3, failures: 0 }),
    );
    await client.close();
  });

  it('goes off without anybody asking for it', async () => {
    const shard = await new TestShard(query, { ...ONLY_BY_ALARM, alarmMs: 100 }).createTable();
    const client = await shard.connect('by-itself');
    client.send('1\n2');
    await until(async () => expect(await shard.payloads()).toEqual(['1', '2']));
    await client.close();
  });

  it('is not set by a frame of which nothing was taken', async () => {
    const shard = new TestShard(query, ONLY_BY_ALARM);
    const client = await shard.connect('refused');
    client.send('no json');
    await client.frame(0);
    expect(await alarmOf(shard.stub)).toBeNull();
    client.send('1');
    await shard.received(1);
    expect(await alarmOf(shard.stub), 'the control').not.toBeNull();
    await client.close();
  });

  it('comes to rest once nothing is left to write', async () => {
    const shard = await new TestShard(query, ONLY_BY_ALARM).createTable();
    const client = await shard.connect('rest');
    client.send('1');
    await shard.received(1);
    expect(await runDurableObjectAlarm(shard.stub), 'the batch is on its way').toBe(true);
    await shard.drain();
    expect(await runDurableObjectAlarm(shard.stub), 'it finds nothing to do').toBe(true);
    expect(await alarmOf(shard.stub)).toBeNull();
    expect(await runDurableObjectAlarm(shard.stub)).toBe(false);

    client.send('2');
    await shard.received(2);
    expect(await alarmOf(shard.stub), 'the next message sets it again').not.toBeNull();
    await shard.drain();
    await client.close();
  });

  it.each([
    ['is set once for many messages', 600_000, 0],
    ['is set again by the next message where its time has passed without it', 100, 1],
  ])('%s', async (_, alarmMs, expected) => {
    const shard = new TestShard(query, { ...ONLY_BY_ALARM, alarmMs });
    const client = await shard.connect('lost');
    // An alarm that got lost: the shard counts on it, the platform knows nothing of it.
    const setAlarm = await runInDurableObject(shard.stub, (_instance, state) =>
      vi.spyOn(state.storage, 'setAlarm').mockResolvedValue(),
    );
    client.send('1');
    await shard.received(1);
    expect(setAlarm).toHaveBeenCalledTimes(1);
    const sentAtMs = Date.now();
    // Late by more than the grace of alarm-clock.ts: only then does it count as lost.
    await until(() => expect(Date.now()).toBeGreaterThan(sentAtMs + 1_100));
    client.send('2');
    client.send('3');
    await shard.received(3);
    if (expected === 0) expect(setAlarm).toHaveBeenCalledTimes(1);
    else expect(setAlarm.mock.calls.length).toBeGreaterThan(1);
    await client.close();
  });

  it('that an earlier instance left far in the future is brought forward by the first message of the next', async () => {
    const shard = await new TestShard(query, ONLY_BY_ALARM).createTable();
    const client = await shard.connect('stale');
    const farMs = Date.now() + 100 * 3_600_000;
    await runInDurableObject(shard.stub, (_, state) => state.storage.setAlarm(farMs));
    await evict(shard.stub);
    expect(await alarmOf(shard.stub), 'the control: it outlives the instance').toBe(farMs);
    client.send('1');
    await shard.received(1);
    expect(await alarmOf(shard.stub)).toBeLessThan(farMs);
    await shard.drain();
    await client.close();
  });

  it('wakes a shard that nobody talks to, and finds nothing to do there', async () => {
    const shard = await new TestShard(query, ONLY_BY_ALARM).createTable();
    await runInDurableObject(shard.stub, (_, state) => state.storage.setAlarm(Date.now() + 3_600_000));
    await evict(shard.stub);
    expect(await runDurableObjectAlarm(shard.stub)).toBe(true);
    expect(await alarmOf(shard.stub)).toBeNull();
  });
});

describe('after a restart', () => {
  it.each([
    ['outbox', ['1', '2', '3']],
    ['memory', []],
  ] as const)(
    'with durability %s, the alarm alone brings %j of three messages in',
    async (durability, written) => {
      const shard = await new TestShard(query, { ...ONLY_BY_ALARM, durability }).createTable();
      const client = await shard.connect('restarted');
      client.send('1\n2\n3');
      await shard.received(3);
      await until(async () => expect(await shard.inOutbox()).toBe(written.length));
      await shard.restart();
      await client.closed;
      expect(await shard.payloads(), 'the control: nothing was written before').toEqual([]);
      expect(await runDurableObjectAlarm(shard.stub)).toBe(true);
      await until(async () =>
        expect(await shard.stats()).toMatchObject({
          received: written.length,
          recovered: written.length,
          committed: written.length,
          buffered: 0,
        }),
      );
      expect(await shard.payloads()).toEqual(written);
    },
  );

  it('nothing is written twice, though the database was away and the shard came down again and again', async () => {
    const shard = await new TestShard(query, ONLY_BY_ALARM).createTable();
    await moveDatabase(shard.stub, UNREACHABLE);
    const payloads: string[] = [];
    for (let life = 0; life < 4; life += 1) {
      const client = await shard.connect('many-lives');
      payloads.push(`{"life":${life},"n":1}`, `{"life":${life},"n":2}`);
      client.send(payloads.slice(-2).join('\n'));
      await until(async () => expect(await shard.inOutbox()).toBe(payloads.length));
      await runDurableObjectAlarm(shard.stub);
      await until(async () => expect((await shard.stats()).failures).toBeGreaterThan(0));
      await shard.restart();
      await moveDatabase(shard.stub, UNREACHABLE);
      await client.closed;
    }
    expect(await shard.payloads(), 'the control: it was away all the time').toEqual([]);
    await moveDatabase(shard.stub, env.DATABASE_URL);
    expect(await shard.drain()).toMatchObject({ recovered: 8, committed: 8, buffered: 0 });
    expect(await shard.payloads()).toEqual(payloads);
    expect(isIncreasing((await shard.rows()).map(({ sequence }) => sequence))).toBe(true);
  });
});

describe('while the database is away', () => {
  it('the alarm does not throw, keeps everything and sets itself again, at the pace of the backoff', async () => {
    // The longest pauses: 0.1, 0.2, 0.4 s and so on.
    vi.spyOn(Math, 'random').mockReturnValue(0.999_999);
    const shard = await new TestShard(query, { ...ONLY_BY_ALARM, alarmMs: 1_000 }).createTable();
    const client = await shard.connect('outage');
    await moveDatabase(shard.stub, UNREACHABLE);
    client.send('1\n2\n3');
    await shard.received(3);
    const down = await until(async () => {
      const stats = await shard.stats();
      expect(stats.failuresInARow).toBeGreaterThanOrEqual(6);
      return stats;
    });
    // Thirty alarms in the pause that follows begin no further try, and each leaves another one at the end of the pause.
    const sinceMs = Date.now();
    let endMs = (await alarmOf(shard.stub)) as number;
    for (let alarm = 0; alarm < 30; alarm += 1) {
      expect(await runDurableObjectAlarm(shard.stub)).toBe(true);
      const nextMs = await alarmOf(shard.stub);
      expect(nextMs).toBeGreaterThan(endMs - 1_000);
      endMs = nextMs as number;
    }
    // One may have been due, and more where that took longer than the pauses, each of which is twice as long.
    const due = 1 + Math.log2(1 + (Date.now() - sinceMs) / 6_400);
    expect((await shard.stats()).failures - down.failures).toBeLessThanOrEqual(due);
    expect(down).toMatchObject({
      state: 'retrying',
      buffered: 3,
      committed: 0,
      dead: 0,
      flushes: 0,
      lastErrorCode: 'database_unreachable',
    });
    expect(down.failuresInARow).toBe(down.failures);
    expect(down.lastError).toContain('user@127.0.0.1:1/db');
    expect(down.lastError).not.toContain('topsecret');
    expect(down.lastErrorAtMs).toBeGreaterThan(0);

    client.send('4');
    await shard.received(4);
    await moveDatabase(shard.stub, env.DATABASE_URL);
    expect(await shard.payloads(), 'the control: nothing is written before the pause is over').toEqual([]);
    await until(async () => expect(await shard.stats()).toMatchObject({ buffered: 0, committed: 4 }));
    expect(await shard.payloads()).toEqual(['1', '2', '3', '4']);
    expect(await shard.stats()).toMatchObject({
      state: 'running',
      failuresInARow: 0,
      lastError: down.lastError,
    });
    // What comes now has its alarm within a second again, though the last one was set for after a long pause.
    await moveDatabase(shard.stub, UNREACHABLE);
    client.send('5');
    await shard.received(5);
    expect(await alarmOf(shard.stub)).toBeLessThan(Date.now() + 2_500);
    await moveDatabase(shard.stub, env.DATABASE_URL);
    await shard.drain();
    await client.close();
  });

  it('a shard that is started again in a pause goes on with it, and an operator ends it', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.999_999);
    const shard = new TestShard(query, { ...ONLY_BY_ALARM, alarmMs: 100 });
    const client = await shard.connect('pause');
    // The table is missing, as after a wrong deployment.
    client.send('1\n2');
    const paused = await until(async () => {
      const stats = await shard.stats();
      expect(stats).toMatchObject({ state: 'paused', buffered: 2 });
      expect(stats.failuresInARow).toBeGreaterThanOrEqual(6);
      return stats;
    });
    await shard.restart();
    const again = await shard.stats();
    expect(again).toMatchObject({ state: 'paused', buffered: 2, failures: 0, lastError: paused.lastError });
    expect(again.failuresInARow).toBeGreaterThanOrEqual(paused.failuresInARow);
    expect(await alarmOf(shard.stub), 'it wakes up for the next try').toEqual(expect.any(Number));
    for (let alarm = 0; alarm < 10; alarm += 1) await runDurableObjectAlarm(shard.stub);
    expect((await shard.stats()).failures).toBeLessThanOrEqual(1);
    await shard.createTable();
    await shard.stub.resume();
    await until(async () => expect(await shard.stats()).toMatchObject({ state: 'running', buffered: 0 }));
    expect(await shard.payloads()).toEqual(['1', '2']);
    await client.close();
  });

  it('a shard that has stopped is still stopped after a start, sets no alarm, and is resumed', async () => {
    const shard = await new TestShard(query, { lingerMs: 0, alarmMs: 100, groupMs: 0 }).createTable();
    const client = await shard.connect('stopped');
    client.send('1');
    await until(async () => expect(await shard.payloads()).toEqual(['1']));
    const checkpoints = sql.raw(BENCH_CHECKPOINTS);
    await query(sql`delete from ${checkpoints} where shard = ${shard.label}`);
    client.send('2');
    await until(async () => expect(await shard.stats()).toMatchObject({ state: 'stopped', buffered: 1 }));
    for (let start = 0; start < 2; start += 1) {
      await shard.restart();
      expect(await shard.stats()).toMatchObject({
        state: 'stopped',
        buffered: 1 + start,
        failures: 0,
        lastErrorCode: 'checkpoint_missing',
      });
      expect(await shard.stub.summary()).toMatchObject({
        state: 'stopped',
        code: 'checkpoint_missing',
        buffered: 1 + start,
        count: 0,
      });
      // One that was set before may still come, and leaves none behind.
      await runDurableObjectAlarm(shard.stub);
      expect(await alarmOf(shard.stub)).toBeNull();
      const again = await shard.connect('stopped');
      again.send(`"${start}"`);
      await until(async () => expect(await shard.inOutbox()).toBe(2 + start));
      expect(await alarmOf(shard.stub), 'a message neither').toBeNull();
    }
    expect(await shard.stub.resume()).toMatchObject({ isPaused: false, missing: null });
    await until(async () => expect(await shard.payloads()).toEqual(['1', '2', '"0"', '"1"']));
  });

  it.each(['naive', 'buffered', 'bulk', 'unnest', 'copy'] as const)(
    'a table that is missing costs nothing: %s writes everything once as soon as it is there',
    async (writer) => {
      const shard = new TestShard(query, { ...ONLY_BY_ALARM, writer });
      const client = await shard.connect('missing');
      const payloads = Array.from({ length: 40 }, (_, n) => `{"n":${n}}`);
      client.send(payloads.join('\n'));
      await shard.received(payloads.length);
      await runDurableObjectAlarm(shard.stub);
      const down = await until(async () => {
        const stats = await shard.stats();
        expect(stats.state).toBe('paused');
        return stats;
      });
      // A table is somebody's to create: the shard waits for that, and gives up none of the rows.
      expect(down).toMatchObject({ state: 'paused', buffered: payloads.length, committed: 0, dead: 0 });
      expect(down.lastError).toMatch(/^relation "sluice_bench_\w+" does not exist\. No other row shows/);

      await shard.createTable();
      expect(await runDurableObjectAlarm(shard.stub)).toBe(true);
      await until(async () =>
        expect(await shard.stats()).toMatchObject({ state: 'running', buffered: 0, committed: 40, dead: 0 }),
      );
      const written = await shard.payloads();
      if (writer === 'buffered') written.sort((a, b) => payloads.indexOf(a) - payloads.indexOf(b));
      expect(written).toEqual(payloads);
      await client.close();
    },
  );

  it.each(['outbox', 'memory'] as const)(
    'a connection that dies unused is replaced: with durability %s nothing is lost, nothing is written twice',
    async (durability) => {
      const shard = await new TestShard(query, { lingerMs: 0, durability }).createTable();
      const table = sql.raw(benchTableName(shard.spec.table));
      // The rows tell which connection wrote them.
      await query(sql`alter table ${table} add column pid integer default pg_backend_pid()`);
      const client = await shard.connect('killed');
      client.send('1\n2');
      await shard.received(2);
      await shard.drain();
      const killed = await query(
        sql`select pg_terminate_backend(pid) from pg_stat_activity where pid in (select pid from ${table})`,
      );
      expect(killed, 'the control: there was one').toHaveLength(1);
      client.send('3\n4');
      await shard.received(4);
      await shard.drain();
      expect(await shard.payloads()).toEqual(['1', '2', '3', '4']);
      expect(await query(sql`select distinct pid from ${table}`)).toHaveLength(2);
      await client.close();
    },
  );
});

describe('drain()', () => {
  it('answers once everything is committed, and not before', async () => {
    const shard = new TestShard(query, ONLY_BY_ALARM);
    const client = await shard.connect('drain');
    client.send('1\n2');
    await shard.received(2);
    let isDrained = false;
    const drained = shard.drain().then((stats) => {
      isDrained = true;
      return stats;
    });
    await until(async () => expect((await shard.stats()).failures).toBeGreaterThan(0));
    expect(isDrained, 'the control: the table is missing').toBe(false);
    await shard.createTable();
    expect(await drained).toMatchObject({ buffered: 0, committed: 2, received: 2 });
    expect(await shard.payloads()).toEqual(['1', '2']);
    await client.close();
  });

  it('waits for the messages that come while it waits', async () => {
    const shard = new TestShard(query, ONLY_BY_ALARM);
    const client = await shard.connect('drain-more');
    client.send('1');
    await shard.received(1);
    const drained = shard.drain();
    await until(async () => expect((await shard.stats()).failures).toBeGreaterThan(0));
    client.send('2');
    await shard.received(2);
    const alsoDrained = shard.drain();
    await shard.createTable();
    expect((await drained).committed).toBeGreaterThanOrEqual(1);
    expect(await alsoDrained).toMatchObject({ buffered: 0, committed: 2 });
    expect(await shard.payloads()).toEqual(['1', '2']);
    await client.close();
  });

  it('answers at once where nothing is buffered', async () => {
    const shard = new TestShard(query, ONLY_BY_ALARM);
    expect(await shard.drain()).toMatchObject({ received: 0, buffered: 0, flushes: 0, failures: 0 });
  });
});
