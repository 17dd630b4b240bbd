import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { decodeBenchShardName, encodeBenchShardName } from '../../lab/workers/bench-shard-name.ts';
import { shardOf } from '../../src/protocol/producer.ts';
import type { ShardStats } from '../../workers/objects.ts';
import { DIRECTORY_NAME } from '../../workers/shard-directory.ts';
import { decodeShardName, encodeShardName } from '../../workers/shard-name.ts';
import {
  askWith,
  Client,
  drain,
  isIncreasing,
  messagesOf,
  openSocket,
  until,
  upgradeRequest,
  useDatabase,
} from './support.ts';

const query = useDatabase();
const SHARDS = 2;

/** Opens a socket of the sink messages with two shards. */
async function connect(producer: string): Promise<Client> {
  return new Client(
    await askWith(
      { SINKS: { messages: { shards: SHARDS } } },
      upgradeRequest(`/ws/messages?producer=${producer}`),
    ),
  );
}

const stub = (shard: number) => env.SHARD.getByName(encodeShardName({ sink: 'messages', shard }));

/** What each shard has received so far. */
async function received(): Promise<number[]> {
  const stats = await Promise.all(
    Array.from({ length: SHARDS }, (_, shard) => stub(shard).stats() as Promise<ShardStats>),
  );
  return stats.map((shard) => shard.received);
}

/** A producer of this file that lands on a shard. */
function producerOn(shard: number, prefix: string): string {
  for (let n = 0; ; n += 1) {
    if (shardOf(`${prefix}-${n}`, SHARDS) === shard) return `${prefix}-${n}`;
  }
}

describe('a sink with two shards', () => {
  it('takes producers of both shards, each on its own, and keeps the order of each', async () => {
    const producers = [producerOn(0, 'shard'), producerOn(1, 'shard')];
    const before = await received();
    const clients = await Promise.all(producers.map(connect));
    // Interleaved, and unequal, so that a mixed-up shard would show.
    for (let n = 0; n < 60; n += 1) {
      clients[0]?.send(`{"n": ${n}}`);
      if (n % 3 === 0) clients[1]?.send(`{"n": ${n}}\n{"n": ${n + 1}}`);
    }
    await until(async () => expect(await received()).toEqual([(before[0] ?? 0) + 60, (before[1] ?? 0) + 40]));
    for (let shard = 0; shard < SHARDS; shard += 1) await drain(stub(shard));

    const [first, second] = await Promise.all(producers.map((producer) => messagesOf(query, producer)));
    expect(first?.map(({ payload }) => payload)).toEqual(Array.from({ length: 60 }, (_, n) => `{"n": ${n}}`));
    expect(second?.map(({ payload }) => payload)).toEqual(
      Array.from({ length: 40 }, (_, n) => `{"n": ${Math.floor(n / 2) * 3 + (n % 2)}}`),
    );
    for (const rows of [first, second]) {
      expect(isIncreasing((rows ?? []).map(({ sequence }) => sequence))).toBe(true);
    }
    for (const client of clients) await client.close();
  });

  it('takes a producer to the same shard at every visit', async () => {
    for (const shard of [0, 1]) {
      const producer = producerOn(shard, 'visitor');
      const before = await received();
      for (let visit = 0; visit < 5; visit += 1) {
        const client = await connect(producer);
        client.send(`${visit}`);
        await until(async () => expect((await received())[shard]).toBe((before[shard] ?? 0) + visit + 1));
        await client.close();
      }
      const other = 1 - shard;
      expect((await received())[other], 'the other shard saw nothing of it').toBe(before[other]);
      await drain(stub(shard));
      const rows = await messagesOf(query, producer);
      expect(rows.map(({ payload }) => payload)).toEqual(['0', '1', '2', '3', '4']);
      expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
    }
  });

  it('is a choice of the sink: with one shard, a producer of the second lands on the first', async () => {
    const producer = producerOn(1, 'single');
    const before = await received();
    const client = await openSocket(`/ws/messages?producer=${producer}`);
    client.send('1');
    await until(async () => expect(await received()).toEqual([(before[0] ?? 0) + 1, before[1]]));
    await client.close();
  });
});

describe('the name of a shard', () => {
  it.each([
    { sink: 'messages', shard: 0 },
    { sink: 'messages', shard: 255 },
    { sink: 'with/slash', shard: 3 },
  ])('says all that the shard is: %o', (name) => {
    expect(decodeShardName(encodeShardName(name))).toEqual(name);
  });

  it.each([
    { bench: 'run', spec: null, driver: null, shard: 1 },
    {
      bench: 'run',
      spec: { table: 't', column: 'jsonb', options: { writer: 'bulk', shards: 2 } },
      driver: 'tcp',
      shard: 1,
    },
  ] as const)('says all that a shard of the bench is: %o', (name) => {
    expect(decodeBenchShardName(encodeBenchShardName(name))).toEqual(name);
  });

  it('tells shards apart that differ in one thing only', () => {
    const spec = { table: 't', column: 'text', options: {} } as const;
    const names = [
      { sink: 'a', shard: 0 },
      { sink: 'a', shard: 1 },
      { sink: 'b', shard: 0 },
    ].map(encodeShardName);
    const benchNames = [
      { bench: 'a', spec: null, driver: null, shard: 0 },
      { bench: 'a', spec, driver: null, shard: 0 },
      { bench: 'a', spec, driver: 'tcp', shard: 0 },
      { bench: 'b', spec, driver: 'tcp', shard: 0 },
      { bench: 'b', spec: { ...spec, options: { lingerMs: 1 } }, driver: 'tcp', shard: 0 },
    ].map(encodeBenchShardName);
    expect(new Set([...names, ...benchNames, DIRECTORY_NAME]).size).toBe(
      names.length + benchNames.length + 1,
    );
  });
});
