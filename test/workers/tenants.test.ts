/** Producers of tenants: two of the same name are two producers, from the address to Postgres. */

import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import type { Authorize } from '../../src/access/authorize.ts';
import { ownedName } from '../../src/access/producer-name.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { MAX_PRODUCER_LENGTH, MAX_TENANT_LENGTH } from '../../src/core/limits.ts';
import { shardOf } from '../../src/protocol/producer.ts';
import { messages } from '../../src/schema/messages.ts';
import { messageSources } from '../../src/sinks/column-sources.ts';
import { createSluice } from '../../workers/create-sluice.ts';
import { shardDirectory } from '../../workers/shard-directory.ts';
import { encodeShardName } from '../../workers/shard-name.ts';
import {
  abortShard,
  drain,
  messagesOf,
  type SocketEnd,
  until,
  useDatabase,
  V1Client,
  type WelcomeFrame,
} from './support.ts';

const query = useDatabase();

/** A token is the name of its tenant; `none` has none. */
const byTenant: Authorize = (_, { token }) => {
  if (token === undefined) throw new SluiceError('unauthorized', 'Say which tenant');
  return token === 'none' ? {} : { tenant: token };
};
const sluice = createSluice({
  sinks: { messages: { table: messages, columns: messageSources } },
  authorize: byTenant,
});

const stubOf = (shard: number) => env.SHARD.getByName(encodeShardName({ sink: 'messages', shard }));

/** A socket of a tenant's producer, and the answer to its hello. */
async function hello(
  tenant: string,
  producer: string,
  fields: Record<string, unknown> = {},
  shards = 1,
): Promise<{ client: V1Client; name: string | null; end: WelcomeFrame | SocketEnd }> {
  const { AUTHORIZE: _, ...variables } = env;
  const request = new Request(`http://sluice/ws/messages?producer=${producer}`, {
    headers: {
      upgrade: 'websocket',
      authorization: `Bearer ${tenant}`,
      'sec-websocket-protocol': 'sluice.v1',
    },
  });
  const response = await sluice.router.fetch(request, { ...variables, SINKS: { messages: { shards } } });
  const name = response.headers.get('sluice-producer');
  const client = new V1Client(response);
  client.send(JSON.stringify({ t: 'hello', producer, ...fields }));
  const end = await Promise.race([client.frame<WelcomeFrame>(0), client.closed]);
  if ('t' in end) client.welcome = end;
  return { client, name, end };
}

async function welcomed(...parameters: Parameters<typeof hello>): Promise<V1Client> {
  const { client, end } = await hello(...parameters);
  if ('t' in end) return client;
  throw new Error(`No welcome, but a close with ${end.code}: ${end.reason}`);
}

const payloadsOf = async (owned: string): Promise<string[]> =>
  (await messagesOf(query, owned)).map(({ payload }) => payload);

describe('two tenants with a producer of the same name', () => {
  it('are two producers: neither fences the other, and each message is in Postgres once', async () => {
    const producer = `same-${crypto.randomUUID()}`;
    const acme = await hello('acme', producer, { instance: 'i' });
    const bolt = await hello('bolt', producer, { instance: 'i' });
    const none = await hello('none', producer, { instance: 'i' });
    const all = [acme, bolt, none];
    for (const { end, name } of all) {
      expect(end).toMatchObject({ t: 'welcome', producer, stored: 0 });
      expect(name).toBe(producer);
    }
    for (const [index, { client }] of all.entries()) client.sendBatch(1, [`1${index}`, `2${index}`]);
    for (const { client } of all) await client.ack(2);
    expect(all.map(({ client }) => client.isClosed)).toEqual([false, false, false]);

    // One of them is sent again after the shard was lost, and goes on.
    await abortShard(stubOf(0));
    const { epoch, session } = bolt.client.welcome;
    const resume = { resume: true, epoch, session, next: 2 };
    const back = await until(() => welcomed('bolt', producer, resume));
    expect(back.welcome).toMatchObject({ known: true, stored: 2 });
    back.sendBatch(2, ['21', '31']);
    await back.ack(3);
    // A later start recovers what the first has left.
    const later = await welcomed('acme', producer, { recover: true, instance: 'i', next: 2 });
    later.sendBatch(2, ['20', '30']);
    await later.ack(3);

    await drain(stubOf(0));
    expect(await payloadsOf(`acme/${producer}`)).toEqual(['10', '20', '30']);
    expect(await payloadsOf(`bolt/${producer}`)).toEqual(['11', '21', '31']);
    expect(await payloadsOf(producer)).toEqual(['12', '22']);
  });

  it('the control: two of one tenant are one, and the newer fences the older', async () => {
    const producer = `one-${crypto.randomUUID()}`;
    const older = await welcomed('acme', producer);
    await welcomed('acme', producer);
    expect(await older.closed).toMatchObject({ code: 4410 });
  });

  it('say their own names, and no others', async () => {
    const producer = `own-${crypto.randomUUID()}`;
    expect((await hello('acme', producer, { producer: `acme/${producer}` })).end).toMatchObject({
      code: 4400,
      reason: `invalid_hello: this socket belongs to the producer ${producer}, as named in its address`.slice(
        0,
        123,
      ),
    });
    expect((await hello('acme', `acme/${producer}`)).end).toMatchObject({ code: 4400 });
    expect((await hello('acme', producer, { producer })).end).toMatchObject({ t: 'welcome' });
  });

  it('may have the longest names that there are, in Postgres too', async () => {
    const tenant = 't'.repeat(MAX_TENANT_LENGTH);
    const producer = `${crypto.randomUUID()}${'p'.repeat(MAX_PRODUCER_LENGTH)}`.slice(0, MAX_PRODUCER_LENGTH);
    const owned = ownedName(tenant, producer);
    expect(owned).toHaveLength(193);
    const client = await welcomed(tenant, producer, { ack: 'committed' });
    client.sendBatch(1, ['1', '2']);
    await client.ack(2, 'committed');
    expect(await payloadsOf(owned)).toEqual(['1', '2']);
    const { epoch, session } = client.welcome;
    await abortShard(stubOf(0));
    const back = await until(() => welcomed(tenant, producer, { resume: true, epoch, session, next: 3 }));
    expect(back.welcome).toMatchObject({ known: true, stored: 2, producer });
    const [row] = await query<{ producer: string }>(
      sql`select producer from messages where producer = ${owned} limit 1`,
    );
    expect(row?.producer).toBe(owned);
  });
});

describe('a change of shards', () => {
  it("moves a tenant's producer by its whole name, and what the shard before knows", async () => {
    expect((await shardDirectory(env).noteShards('messages', 2)).includes(2)).toBe(true);
    let producer = '';
    do producer = `moves-${crypto.randomUUID()}`;
    while (
      // Its place follows from the whole name: by the name alone it would be another one.
      shardOf(`acme/${producer}`, 2) !== 1 ||
      shardOf(producer, 2) !== 0
    );
    const before = await welcomed('acme', producer, {}, 2);
    before.sendBatch(1, ['1', '2']);
    await before.ack(2);
    const { epoch, session } = before.welcome;
    const after = await until(() => welcomed('acme', producer, { resume: true, epoch, session, next: 2 }, 1));
    expect(after.welcome).toMatchObject({ known: true, stored: 2 });
    after.sendBatch(2, ['2', '3']);
    await after.ack(3);
    await drain(stubOf(0));
    expect(await payloadsOf(`acme/${producer}`)).toEqual(['1', '2', '3']);
    expect(await before.closed).toMatchObject({ code: 4503 });
  });
});
