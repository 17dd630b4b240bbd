/** Shards that no option names any more: they are listed, served and emptied for as long as they hold something. */

import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { benchSink } from '../../lab/suites/ingest/bench-sink.ts';
import type { LabEnv } from '../../lab/workers/env.ts';
import { systemTimers } from '../../src/core/timers.ts';
import { Pipeline } from '../../src/ingest/pipeline.ts';
import { DeadLetters } from '../../src/outbox/dead-letters.ts';
import { shardOf } from '../../src/protocol/producer.ts';
import { shardDirectory } from '../../workers/shard-directory.ts';
import { encodeShardName } from '../../workers/shard-name.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import { letter } from '../support/dead-letters-contract.ts';
import {
  abortShard,
  alarmOf,
  askWith,
  Client,
  messagesOf,
  moveDatabase,
  until,
  upgradeRequest,
  useDatabase,
} from './support.ts';

const query = useDatabase();
const UNREACHABLE = 'postgres://user:secret@127.0.0.1:1/db';

const stubOf = (sink: string, shard: number) => env.SHARD.getByName(encodeShardName({ sink, shard }));

/** A producer of the second of two shards. */
function producerOnSecond(prefix: string): string {
  for (let n = 0; ; n += 1) if (shardOf(`${prefix}-${n}`, 2) === 1) return `${prefix}-${n}`;
}

interface StatsAnswer {
  sinks: Record<string, { options: object | null; shards: Record<string, unknown>[] }>;
}

async function answer<Answer>(path: string, body?: object, overrides: Partial<LabEnv> = {}): Promise<Answer> {
  const init =
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const request = new Request(`http://sluice${path}`, init);
  return (await askWith({ OPERATORS: 'open', ...overrides }, request)).json() as Promise<Answer>;
}

/** What `/stats` shows of a shard. */
async function shown(sink: string, shard: number): Promise<Record<string, unknown> | undefined> {
  const { sinks } = await answer<StatsAnswer>('/stats');
  return sinks[sink]?.shards.find((stats) => stats.shard === shard);
}

describe('a shard beyond the number that its sink has now', () => {
  it('is listed and served until it is empty', async () => {
    const producer = producerOnSecond('fewer');
    const stub = stubOf('messages', 1);
    await moveDatabase(stub, UNREACHABLE);
    const client = new Client(
      await askWith(
        { SINKS: { messages: { shards: 2 } } },
        upgradeRequest(`/ws/messages?producer=${producer}`),
      ),
    );
    client.send('1\n2\n3');
    await until(async () => expect((await stub.stats()).buffered).toBe(3));
    await client.close();

    // The Worker has one shard now.
    await until(async () => expect(await shown('messages', 1)).toMatchObject({ buffered: 3 }));
    expect(await answer('/admin/messages/dead-letters')).toMatchObject({
      count: 0,
      shards: [{ shard: 0 }, { shard: 1, count: 0, buffered: 3 }],
    });
    expect(await answer('/admin/messages/1/dead-letters')).toMatchObject({ letters: [] });

    await moveDatabase(stub, env.DATABASE_URL);
    expect(await answer('/admin/messages/1/drain', {})).toMatchObject({ buffered: 0 });
    expect((await messagesOf(query, producer)).map(({ payload }) => payload)).toEqual(['1', '2', '3']);
    await until(async () => {
      expect(await shown('messages', 1)).toBeUndefined();
      expect(await shardDirectory(env).listShards('messages')).not.toContainEqual({
        sink: 'messages',
        shard: 1,
      });
    });
    expect(await answer('/admin/messages/1/drain', {})).toMatchObject({ status: 404, code: 'unknown_shard' });
  });

  it('writes what it has by its alarm, though nobody asks and the directory was lost', async () => {
    const producer = producerOnSecond('alone');
    const stub = stubOf('messages', 1);
    await moveDatabase(stub, UNREACHABLE);
    const client = new Client(
      await askWith(
        { SINKS: { messages: { shards: 2 } } },
        upgradeRequest(`/ws/messages?producer=${producer}`),
      ),
    );
    client.send('1\n2');
    await until(async () =>
      runInDurableObject(stub, (_, { storage }) =>
        expect(storage.sql.exec('select rows from outbox_groups').toArray()).toContainEqual({ rows: 2 }),
      ),
    );
    await until(async () => expect(await shown('messages', 1)).toBeDefined());
    await runInDurableObject(env.SHARD.getByName('directory'), (_, { storage }) => {
      storage.sql.exec('delete from shards');
    });
    expect(await shown('messages', 1), 'the control: it is out of sight').toBeUndefined();
    // A start tells of it again.
    await abortShard(stub);
    const woken = stubOf('messages', 1);
    expect(await runDurableObjectAlarm(woken)).toBe(true);
    await until(async () =>
      expect((await messagesOf(query, producer)).map(({ payload }) => payload)).toEqual(['1', '2']),
    );
  });

  it('keeps its dead letters within reach', async () => {
    const stub = stubOf('messages', 1);
    await runInDurableObject(stub, (_, { storage }) => {
      const letters = new DeadLetters({
        sqlite: new DurableObjectSqlite(storage),
        maxRows: 100,
        maxBytes: 1e6,
      });
      letters.add(letter({ producer: 'far', payload: '{"n":1}' }));
      letters.add(letter({ producer: 'far', payload: '{"n":2}' }));
    });
    await abortShard(stub);
    await stubOf('messages', 1).stats();
    await until(async () =>
      expect(await answer('/admin/messages/dead-letters')).toMatchObject({
        count: 2,
        shards: [{ shard: 0 }, { shard: 1, count: 2 }],
      }),
    );
    const { letters } = await answer<{ letters: { id: number }[] }>('/admin/messages/1/dead-letters');
    const [first, second] = letters.map(({ id }) => id);
    expect(await answer('/admin/messages/1/dead-letters/retry', { ids: [first] })).toMatchObject({
      retried: 1,
    });
    await until(async () => expect(await messagesOf(query, 'far')).toHaveLength(1));
    expect(await answer('/admin/messages/1/dead-letters/drop', { ids: [second] })).toMatchObject({
      dropped: 1,
    });
    await until(async () =>
      expect(await answer('/admin/messages/1/dead-letters')).toMatchObject({ code: 'unknown_shard' }),
    );
  });

  it('does not take the shards that options name out of sight when the directory fails', async () => {
    const REGISTRY = {
      getByName: () => ({ listShards: () => Promise.reject(new Error('no directory')) }),
    } as unknown as LabEnv['REGISTRY'];
    const { sinks } = await answer<StatsAnswer>('/stats', undefined, { REGISTRY });
    expect(sinks.messages?.shards).toMatchObject([{ shard: 0 }]);
  });
});

describe('a shard whose sink is no longer defined', () => {
  const stub = () => stubOf('old', 0);

  beforeAll(async () => {
    await runInDurableObject(stub(), (_, { storage }) => {
      const sqlite = new DurableObjectSqlite(storage);
      const deadLetters = new DeadLetters({ sqlite, maxRows: 100, maxBytes: 1e6 });
      deadLetters.add(letter());
      deadLetters.add(letter());
      const pipeline = new Pipeline({
        sink: benchSink({ table: 'never', column: 'text', options: {} }),
        openConnection: () => Promise.reject(new Error('not used')),
        timers: { ...systemTimers, after: () => () => {} },
        random: Math.random,
        sqlite,
        deadLetters,
      });
      const session = pipeline.openSession(
        { send() {}, close() {} },
        { producer: 'a', protocol: 'raw', nowMs: Date.now() },
      );
      session.receive(Array.from({ length: 20 }, (_, n) => `${n}`).join('\n'), Date.now());
      pipeline.storeGroup();
    });
    await abortShard(stub());
  });

  it('starts, and says what it has and what to do', async () => {
    expect(await stub().stats()).toMatchObject({
      state: 'stopped',
      buffered: 20,
      deadLetters: 2,
      lastErrorCode: 'unknown_sink',
      lastError:
        'The sink "old", which this shard belongs to, is not defined: define it again under this name, and the shard goes on. It holds 20 messages and 2 dead letters, and writes nothing',
    });
    await until(async () => expect(await shown('old', 0)).toMatchObject({ buffered: 20, state: 'stopped' }));
    const { sinks } = await answer<StatsAnswer>('/stats?sink=old');
    expect(sinks.old).toMatchObject({ options: null, shards: [{ shard: 0, lastErrorCode: 'unknown_sink' }] });
  });

  it('has a quiet alarm, which looks now and then whether the sink is back', async () => {
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    expect(await alarmOf(stub())).toBeGreaterThan(Date.now() + 500_000);
  });

  it('is asked for its dead letters, and cannot write them', async () => {
    expect(await answer('/admin/old/dead-letters')).toMatchObject({ count: 2 });
    expect(await answer('/admin/old/0/resume', {})).toMatchObject({ isPaused: true, code: 'unknown_sink' });
    expect(await answer('/admin/old/0/drain', {})).toMatchObject({ isPaused: true, buffered: 20 });
    expect(await answer('/admin/old/0/dead-letters/retry', { ids: 'all' })).toMatchObject({
      status: 404,
      code: 'unknown_sink',
    });
    expect(await answer('/admin/old/0/dead-letters/drop', { ids: 'all' })).toMatchObject({ dropped: 2 });
    expect(await stub().stats()).toMatchObject({ buffered: 20, deadLetters: 0 });
  });

  it('is no reason to make a shard for a name that nobody knows', async () => {
    expect(await answer('/admin/never/0/dead-letters')).toMatchObject({ status: 404, code: 'unknown_sink' });
    expect(await answer('/stats?sink=never')).toMatchObject({ status: 404, code: 'unknown_sink' });
    expect(await answer('/admin/old/1/dead-letters')).toMatchObject({ status: 404, code: 'unknown_shard' });
  });
});
