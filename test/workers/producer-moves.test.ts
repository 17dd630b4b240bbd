/** Producers whose shard is another one since `shards` was changed: what the shard before knows moves along. */

import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Pipeline } from '../../src/ingest/pipeline.ts';
import type { ShardFacts } from '../../src/outbox/shard-facts.ts';
import { shardOf } from '../../src/protocol/producer.ts';
import { SLUICE_V1 } from '../../src/protocol/sluice-v1.ts';
import type { ShardDirectory } from '../../workers/objects.ts';
import { ProducerMoves } from '../../workers/producer-moves.ts';
import { shardDirectory } from '../../workers/shard-directory.ts';
import { encodeShardName } from '../../workers/shard-name.ts';
import {
  abortShard,
  askWith,
  drain,
  messagesOf,
  moveDatabase,
  type SocketEnd,
  until,
  upgradeRequest,
  useDatabase,
  V1Client,
  type WelcomeFrame,
} from './support.ts';

const query = useDatabase();
const UNREACHABLE = 'postgres://user:secret@127.0.0.1:1/db';

const stubOf = (shard: number) => env.SHARD.getByName(encodeShardName({ sink: 'messages', shard }));

/** A producer that the second of two shards has, and the first where there is one. */
function movingProducer(prefix: string): string {
  for (let n = 0; ; n += 1) if (shardOf(`${prefix}-${n}`, 2) === 1) return `${prefix}-${n}`;
}

/** The session of each producer's last welcome. */
const sessions = new Map<string, string>();

/** Says hello where the producer belongs among so many shards. */
async function hello(
  producer: string,
  shards: number,
  fields: Record<string, unknown> = {},
): Promise<V1Client | SocketEnd> {
  const response = await askWith(
    { SINKS: { messages: { shards } } },
    upgradeRequest(`/ws/messages?producer=${producer}`, SLUICE_V1),
  );
  const client = new V1Client(response);
  const session = fields.resume === true ? sessions.get(producer) : undefined;
  if (!client.isClosed) client.send(JSON.stringify({ t: 'hello', session, ...fields }));
  const end = await Promise.race([client.frame<WelcomeFrame>(0), client.closed]);
  if (!('t' in end)) return end;
  client.welcome = end;
  sessions.set(producer, end.session as string);
  return client;
}

async function welcomed(...parameters: Parameters<typeof hello>): Promise<V1Client> {
  const client = await hello(...parameters);
  if (client instanceof V1Client) return client;
  throw new Error(`No welcome, but a close with ${client.code}: ${client.reason}`);
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`);
}

const payloadsOf = async (producer: string): Promise<string[]> =>
  (await messagesOf(query, producer)).map(({ payload }) => payload);

// The shards of these tests have the deployment's options, by which there is one. That there were two is known to the
// directory.
beforeAll(async () => {
  expect(await shardDirectory(env).noteShards('messages', 2)).toEqual([2]);
});

describe('a producer that moves', () => {
  it('is known to its new shard: what comes again is no second message', async () => {
    const producer = movingProducer('moves');
    const before = await welcomed(producer, 2);
    before.sendBatch(1, numbers(1, 5));
    await before.ack(5);
    // The acks of the last three were lost on the way.
    const after = await welcomed(producer, 1, { epoch: before.welcome.epoch, resume: true, next: 3 });
    expect(after.welcome).toMatchObject({ known: true, stored: 5, committed: 5 });
    after.sendBatch(3, numbers(3, 8));
    await after.ack(8);
    await drain(stubOf(0));
    expect(await payloadsOf(producer)).toEqual(numbers(1, 8));
    expect(await before.closed, 'its socket there').toMatchObject({ code: 4503 });
    await after.close();

    const back = await welcomed(producer, 2, { epoch: before.welcome.epoch, resume: true, next: 9 });
    expect(back.welcome, 'on the way back too').toMatchObject({ known: true, stored: 8 });
    back.sendBatch(9, numbers(9, 10));
    await back.ack(10);
    await drain(stubOf(1));
    expect(await payloadsOf(producer)).toEqual(numbers(1, 10));
    await back.close();
  });

  it('waits until its shard has written what it has, so that nothing overtakes it', async () => {
    const producer = movingProducer('waits');
    // A connection that is open already would still be used.
    await abortShard(stubOf(1));
    await moveDatabase(stubOf(1), UNREACHABLE);
    const before = await welcomed(producer, 2);
    before.sendBatch(1, numbers(1, 5));
    await before.ack(5);
    const resume = { epoch: before.welcome.epoch, resume: true, next: 1 } as const;
    const refused = await hello(producer, 1, resume);
    expect(refused).toMatchObject({ code: 4503, reason: expect.stringContaining('shard 1') });
    // Where the database is, and as whom it is asked, is told to operators only.
    await until(async () =>
      expect((await stubOf(1).stats()).lastError).toContain('Cannot reach the database'),
    );
    const again = await hello(producer, 1, resume);
    expect(again).toMatchObject({ code: 4503, reason: expect.stringMatching(/messages of it to write$/) });
    expect(await payloadsOf(producer)).toEqual([]);
    await moveDatabase(stubOf(1), env.DATABASE_URL);
    const after = await until(() => welcomed(producer, 1, resume));
    expect(after.welcome).toMatchObject({ known: true, stored: 5 });
    after.sendBatch(1, numbers(1, 7));
    await after.ack(7);
    await drain(stubOf(0));
    expect(await payloadsOf(producer)).toEqual(numbers(1, 7));
    await after.close();
  });

  it('stays fenced', async () => {
    const producer = movingProducer('fenced');
    const before = await welcomed(producer, 2);
    const { epoch } = before.welcome;
    await before.close();
    expect(await hello(producer, 1, { epoch: epoch - 1 })).toMatchObject({
      code: 4410,
    });
    const after = await welcomed(producer, 1);
    expect(after.welcome.epoch).toBeGreaterThan(epoch);
    await after.close();
  });

  it('is not known again where it was, after a start of that shard', async () => {
    const producer = movingProducer('gone');
    const before = await welcomed(producer, 2);
    before.sendBatch(1, numbers(1, 3));
    await before.ack(3);
    const after = await welcomed(producer, 1, { epoch: before.welcome.epoch, resume: true, next: 4 });
    await abortShard(stubOf(1));
    await until(() =>
      runInDurableObject(stubOf(1), (_, { storage }) => {
        for (const table of ['producers', 'moved_producers'])
          expect(storage.sql.exec(`select * from ${table} where name = ?`, producer).toArray()).toEqual([]);
      }),
    );
    await after.close();
  });

  it('is looked for by every number of shards that the sink ever had, also by those that its shard never had', async () => {
    const asked: number[] = [];
    const adopted: unknown[] = [];
    const moves = new ProducerMoves({
      place: { sink: 'any', shard: 0 },
      shards: 1,
      // Before it slept there were two. It has never seen three.
      facts: { get: () => '1 2', set() {} } as unknown as ShardFacts,
      directory: () => ({ noteShards: async () => [1, 3, 2] }) as unknown as ShardDirectory,
      holder: (shard) => ({
        handOver: async () => {
          asked.push(shard);
          return shard === 1 ? { state: 'unknown' } : { state: 'given', producer: 'known' as never };
        },
        forgetMoved: () => Promise.reject(new Error('it does not hear of that')),
      }),
      pipeline: {
        knows: () => false,
        adopt: (...parameters: unknown[]) => adopted.push(parameters),
      } as unknown as Pipeline,
      sync: async () => {},
    });
    const producer = Array.from({ length: 100 }, (_, n) => `p-${n}`).find(
      (name) => shardOf(name, 2) === 1 && shardOf(name, 3) === 2,
    ) as string;
    await moves.bring(producer);
    expect(asked.toSorted()).toEqual([1, 2]);
    expect(adopted).toEqual([[producer, ['known']]]);
  });

  it('has to come again while the directory or the shard before does not answer', async () => {
    const away = () => Promise.reject(new Error('away'));
    const parts = {
      place: { sink: 'any', shard: 0 },
      shards: 1,
      facts: { get: () => undefined, set() {} } as unknown as ShardFacts,
      pipeline: { knows: () => false } as unknown as Pipeline,
      sync: async () => {},
    };
    const holder = () => ({ handOver: away, forgetMoved: away });
    const noDirectory = new ProducerMoves({
      ...parts,
      holder,
      directory: () => ({ noteShards: away }) as unknown as ShardDirectory,
    });
    await expect(noDirectory.bring('a')).rejects.toMatchObject({ code: 'shard_unavailable' });
    const noShard = new ProducerMoves({
      ...parts,
      holder,
      directory: () => ({ noteShards: async () => [1, 2] }) as unknown as ShardDirectory,
    });
    await expect(noShard.bring(movingProducer('x'))).rejects.toMatchObject({
      code: 'shard_unavailable',
      message: expect.stringContaining('shard 1'),
    });
  });

  it('is new where no shard knows it', async () => {
    const client = await welcomed(movingProducer('new'), 1);
    expect(client.welcome).toMatchObject({ known: false, stored: 0 });
    await client.close();
  });
});
