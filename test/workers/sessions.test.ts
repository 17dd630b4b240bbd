/** Who is connected, whose sessions an operator ends, and who may not come back. */

import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { Authorize } from '../../src/access/authorize.ts';
import type { Grant } from '../../src/access/grant.ts';
import { messages } from '../../src/schema/messages.ts';
import { messageSources } from '../../src/sinks/column-sources.ts';
import { createSluice } from '../../workers/create-sluice.ts';
import type { ListedSession } from '../../workers/objects.ts';
import { RevocationTable } from '../../workers/revocation-table.ts';
import type { Shard } from '../../workers/shard.ts';
import { shardDirectory } from '../../workers/shard-directory.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import { abortShard, Client, messagesOf, until, useDatabase, V1Client } from './support.ts';

const query = useDatabase();

const OPERATOR = { READ_TOKENS: 'look', OPERATE_TOKENS: 'operate', OPERATORS: '', AUTHORIZE: '' };

/** Tokens of senders are the JSON of what they grant. */
const knows: Authorize = (_, { token }) => (token === undefined ? undefined : (JSON.parse(token) as Grant));

const sluice = createSluice({
  sinks: { messages: { table: messages, columns: messageSources } },
  authorize: knows,
});

function ask(path: string, init: RequestInit = {}, token = 'operate'): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return Promise.resolve(
    sluice.router.fetch(new Request(`http://sluice${path}`, { ...init, headers }), { ...env, ...OPERATOR }),
  );
}

async function answerOf(response: Response): Promise<Record<string, unknown>> {
  return { status: response.status, ...((await response.json()) as object) };
}

async function post(path: string, body: unknown, token?: string): Promise<Record<string, unknown>> {
  return answerOf(await ask(path, { method: 'POST', body: JSON.stringify(body) }, token));
}

function upgrade(producer: string, grant: Grant, protocol: string): Request {
  return new Request(`http://sluice/ws/messages?producer=${producer}`, {
    headers: {
      upgrade: 'websocket',
      authorization: `Bearer ${JSON.stringify(grant)}`,
      'sec-websocket-protocol': protocol,
    },
  });
}

async function connect(producer: string, grant: Grant, protocol = 'sluice.v1'): Promise<V1Client> {
  const request = upgrade(producer, grant, protocol);
  return new V1Client(await sluice.router.fetch(request, { ...env, ...OPERATOR }));
}

/** A session that is welcome and has sent one message, which is acked. */
async function talking(producer: string, grant: Grant, text = '1'): Promise<V1Client> {
  const client = await connect(producer, grant);
  client.send('{"t":"hello","ack":"committed"}');
  client.send(`{"t":"batch","seq":1,"n":1}\n${text}`);
  await until(() => expect(client.frames.at(-1)).toMatch(/"committed":1/));
  return client;
}

/** `open`, or with what a socket was closed. */
async function outcome(client: Client): Promise<string> {
  client.send('ping');
  await until(() => expect(client.isClosed || client.frames.length > 0).toBe(true));
  if (!client.isClosed) return 'open';
  const { code, reason } = await client.closed;
  return `${code} ${reason}`;
}

const unique = (name: string): string => `${name}-${crypto.randomUUID().slice(0, 8)}`;

async function listed(): Promise<ListedSession[]> {
  const { sessions } = (await answerOf(await ask('/admin/messages/sessions', {}, 'look'))) as unknown as {
    sessions: ListedSession[];
  };
  return sessions;
}

describe('the list of sessions', () => {
  it('says of each who it is, by the name of the token and never by the token', async () => {
    const tenant = unique('acme');
    const expiresAtMs = Date.now() + 3_600_000;
    const one = await talking('device-1', { tenant, tokenId: 'jti-1', expiresAtMs });
    const raw = await connect('device-2', { tenant }, 'sluice.raw');
    const found = (await listed()).filter((session) => session.tenant === tenant);
    expect(found.toSorted((left, right) => left.producer.localeCompare(right.producer))).toEqual([
      {
        shard: 0,
        producer: `${tenant}/device-1`,
        tenant,
        token: 'jti-1',
        protocol: 'sluice.v1',
        openedAt: expect.stringMatching(/^\d{4}-/),
        expiresAt: new Date(expiresAtMs).toISOString(),
      },
      {
        shard: 0,
        producer: `${tenant}/device-2`,
        tenant,
        token: null,
        protocol: 'raw',
        openedAt: expect.stringMatching(/^\d{4}-/),
        expiresAt: null,
      },
    ]);
    await Promise.all([one.close(), raw.close()]);
    await until(async () => expect((await listed()).filter((each) => each.tenant === tenant)).toEqual([]));
  });

  it('is for those who may read, and to end sessions and revoke for those who may operate', async () => {
    expect((await ask('/admin/messages/sessions', {}, 'nobody')).status).toBe(401);
    expect((await ask('/admin/messages/sessions', {}, 'look')).status).toBe(200);
    expect((await ask('/admin/revocations', {}, 'nobody')).status).toBe(401);
    expect((await ask('/admin/revocations', {}, 'look')).status).toBe(200);
    const name = { producer: unique('nobody') };
    for (const path of ['/admin/messages/sessions/end', '/admin/revoke', '/admin/reinstate']) {
      expect(await post(path, name, 'look')).toMatchObject({ status: 403, code: 'forbidden' });
      expect(await post(path, name, 'nobody')).toMatchObject({ status: 401 });
      expect(await post(path, name)).toMatchObject({ status: 200, untold: [] });
    }
  });

  it('names a sink that there is', async () => {
    expect((await ask('/admin/nothing/sessions')).status).toBe(404);
    expect(await post('/admin/nothing/sessions/end', { producer: 'x' })).toMatchObject({ status: 404 });
  });

  it.each([
    [{}],
    [{ producer: 'a', tenant: 'b' }],
    [{ producer: '' }],
    [{ producer: 7 }],
    [{ token: 'x'.repeat(257) }],
    [{ producer: 'a', seconds: 0 }],
    [{ producer: 'a', seconds: 1.5 }],
    [{ producer: 'a', seconds: '60' }],
    [{ producers: 'a' }],
    [{ __proto__: { producer: 'a' } }],
  ])('takes no name such as %j', async (body) => {
    expect(await post('/admin/revoke', body)).toMatchObject({ status: 400, code: 'invalid_options' });
  });
});

describe('an operator', () => {
  it('ends the sessions of one producer, which may come back, and no others', async () => {
    const [gone, stays] = [unique('gone'), unique('stays')];
    const [one, other] = [await talking(gone, {}), await talking(stays, {})];
    expect(await post('/admin/messages/sessions/end', { producer: gone })).toMatchObject({ closed: 1 });
    expect(await one.closed).toMatchObject({ code: 4503 });
    expect(await outcome(other)).toBe('open');
    const again = await connect(gone, {});
    expect(await outcome(again)).toBe('open');
    await Promise.all([other.close(), again.close()]);
  });

  it.each(['token', 'producer', 'tenant'] as const)(
    'revokes a %s: its sessions end, and none begins until it is reinstated',
    async (kind) => {
      const tenant = unique('acme');
      const grant = { tenant, tokenId: unique('jti') };
      const names = { token: grant.tokenId, producer: `${tenant}/device`, tenant };
      const bystander = await talking(unique('bystander'), {
        tenant: unique('other'),
        tokenId: unique('jti'),
      });
      const text = JSON.stringify(unique('text'));
      const client = await talking('device', grant, text);
      const raw = await connect('device', grant, 'sluice.raw');
      expect(await outcome(raw)).toBe('open');

      expect(await post('/admin/revoke', { [kind]: names[kind] })).toMatchObject({
        status: 200,
        kind,
        name: names[kind],
        until: null,
        closed: 2,
        untold: [],
      });
      expect(await client.closed).toMatchObject({
        code: 4403,
        reason: expect.stringMatching(new RegExp(`^forbidden: the ${kind} was revoked`)),
      });
      expect(await raw.closed).toMatchObject({ code: 1008 });
      expect(await outcome(bystander)).toBe('open');
      expect(await outcome(await connect('device', grant))).toMatch(/^4403 forbidden: /);
      expect(await outcome(await connect('device', grant, 'sluice.raw'))).toMatch(/^1008 forbidden: /);
      // What it had sent before is kept.
      const rows = await messagesOf(query, `${tenant}/device`);
      expect(rows.map(({ payload }) => payload)).toContain(text);

      // The list outlives the memory of the shard.
      await abortShard(env.SHARD.getByName('messages/0') as never);
      expect(await outcome(await connect('device', grant))).toMatch(/^4403 forbidden: /);
      const { revocations } = (await answerOf(await ask('/admin/revocations'))) as { revocations?: unknown };
      expect(revocations).toContainEqual(expect.objectContaining({ kind, name: names[kind], until: null }));

      expect(await post('/admin/reinstate', { [kind]: names[kind] })).toMatchObject({
        status: 200,
        untold: [],
      });
      const back = await connect('device', grant);
      expect(await outcome(back)).toBe('open');
      await Promise.all([back.close(), bystander.close()]);
    },
  );

  it('revokes a tenant in all shards of a sink, and counts the sessions of each', async () => {
    const tenant = unique('acme');
    const variables = { ...OPERATOR, SINKS: { messages: { shards: 4 } } };
    const askShards = (request: Request): Promise<Response> =>
      Promise.resolve(sluice.router.fetch(request, { ...env, ...variables }));
    const clients = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const client = new Client(await askShards(upgrade(`device-${index}`, { tenant }, 'sluice.raw')));
        expect(await outcome(client)).toBe('open');
        return client;
      }),
    );
    const headers = { authorization: 'Bearer operate', 'content-type': 'application/json' };
    const revoke = new Request('http://sluice/admin/revoke', {
      method: 'POST',
      headers,
      body: JSON.stringify({ tenant }),
    });
    expect(await answerOf(await askShards(revoke))).toMatchObject({ closed: 8, untold: [] });
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1008 });
    await post('/admin/reinstate', { tenant });
  });

  it('revokes for a time', async () => {
    const name = unique('for-a-time');
    const answer = await post('/admin/revoke', { producer: name, seconds: 3600 });
    const { at, until: end } = answer as { at: string; until: string };
    expect(Date.parse(end) - Date.parse(at)).toBe(3_600_000);
    expect(await outcome(await connect(name, {}))).toMatch(/^4403 /);
    await post('/admin/reinstate', { producer: name });
  });

  it('is told where the list is full, and what is over makes room', async () => {
    const directory = env.SHARD.getByName('directory') as unknown as DurableObjectStub<Shard>;
    await runInDurableObject(directory, (_, { storage }) => {
      const table = new RevocationTable(new DurableObjectSqlite(storage), 20);
      for (let index = 0; index < 20; index += 1)
        table.add({ kind: 'token', name: `full-${index}`, atMs: 1, untilMs: 2_000 }, 1_000);
      const last = { kind: 'token', name: 'one-more', atMs: 1, untilMs: null } as const;
      expect(() => table.add(last, 1_000)).toThrow(/There are 20 revocations already/);
      // To repeat one is none more.
      table.add({ kind: 'token', name: 'full-1', atMs: 1, untilMs: 2_000 }, 1_000);
      table.add(last, 2_000);
      expect(table.list(2_000)).toEqual([last]);
      table.remove(last);
      expect(table.list(2_000)).toEqual([]);
    });
    expect(await shardDirectory(env as never).listRevocations()).toEqual([]);
  });
});
