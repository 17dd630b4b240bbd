import { env, exports } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { MAX_SUBSCRIBERS } from '../../src/core/limits.ts';
import { appendOn } from '../../src/messages/engines/postgres-engine.ts';
import { consumerGroupMember } from '../../src/messages/names.ts';
import { STORE_ENGINES, schemaOfNamespace } from '../../src/store/namespaces.ts';
import { connect, databaseTarget } from '../../workers/database.ts';
import { admin, createNamespace, subscribe, type TestNamespace, TestSubscription } from './store-support.ts';
import { until } from './support.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const EVENT = { type: 'TestEvent', data: {} };

async function writeAll(own: TestNamespace, streams: readonly string[]): Promise<void> {
  for (const stream of streams) await own.client.write(stream, EVENT);
}

describe.each(STORE_ENGINES)('GET /subscribe of a namespace in %s', (engine) => {
  it('SSE-001, SSE-008: a stream pokes with its three fields, and no other does', async () => {
    const own = await createNamespace(engine);
    const subscription = await subscribe(own, 'stream=sse-1');
    await writeAll(own, ['other-1', 'sse-2', 'sse-1']);
    expect(await subscription.came(1)).toEqual([{ stream: 'sse-1', position: 0, globalPosition: 3 }]);
    expect(subscription.text).toBe(
      ': ready\n\nevent: poke\ndata: {"stream":"sse-1","position":0,"globalPosition":3}\nid: 0\n\n',
    );
    await subscription.close();
  });

  it('SSE-002: a category pokes for all its streams', async () => {
    const own = await createNamespace(engine);
    const subscription = await subscribe(own, 'category=sse');
    await writeAll(own, ['sse-1', 'sses-1', 'sse-2', 'sse', 'sse-1']);
    expect((await subscription.came(4)).map(({ stream, position }) => [stream, position])).toEqual([
      ['sse-1', 0],
      ['sse-2', 0],
      ['sse', 0],
      ['sse-1', 1],
    ]);
    await subscription.close();
  });

  it('SSE-003: from a position, through history, into what is written then', async () => {
    const own = await createNamespace(engine);
    await writeAll(own, ['sse-1', 'other-1', 'sse-1', 'sse-1', 'sse-1', 'sse-1']);
    const stream = await subscribe(own, 'stream=sse-1&position=3');
    const category = await subscribe(own, 'category=sse&position=4');
    const all = await subscribe(own, 'all=true&position=2');
    const fromHere = await subscribe(own, 'all=true');
    await until(() => expect(all.pokes).toHaveLength(5));
    await writeAll(own, ['sse-1', 'other-1']);
    expect((await stream.came(3)).map(({ position }) => position)).toEqual([3, 4, 5]);
    expect((await category.came(4)).map(({ globalPosition }) => globalPosition)).toEqual([4, 5, 6, 7]);
    expect((await all.came(7)).map(({ globalPosition }) => globalPosition)).toEqual([2, 3, 4, 5, 6, 7, 8]);
    expect((await fromHere.came(2)).map(({ globalPosition }) => globalPosition)).toEqual([7, 8]);
    for (const subscription of [stream, category, all, fromHere]) await subscription.close();
  });

  it('SSE-003: nothing is missed and nothing comes twice while many write', async () => {
    const own = await createNamespace(engine);
    const writers = Array.from({ length: 10 }, async (_, writer) => {
      for (let n = 0; n < 30; n += 1) await own.client.write(`tail-${writer}`, EVENT);
    });
    await until(async () => expect((await own.client.category('tail')).length).toBeGreaterThan(20));
    // They join in the middle of it.
    const category = await subscribe(own, 'category=tail&position=0');
    const all = await subscribe(own, 'all=true&position=1');
    const stream = await subscribe(own, 'stream=tail-3');
    await Promise.all(writers);
    const positions = Array.from({ length: 300 }, (_, index) => index + 1);
    expect((await category.came(300)).map(({ globalPosition }) => globalPosition)).toEqual(positions);
    expect((await all.came(300)).map(({ globalPosition }) => globalPosition)).toEqual(positions);
    expect((await stream.came(30)).map(({ position }) => position)).toEqual(
      positions.slice(0, 30).map((n) => n - 1),
    );
    for (const subscription of [stream, category, all]) await subscription.close();
  });

  it('from `: ready` on nothing is missed, not even what is written at once', async () => {
    const own = await createNamespace(engine);
    for (let round = 0; round < 20; round += 1) {
      // Nobody else is subscribed, so that the head is not known yet.
      const response = await exports.default.fetch(`http://sluice/subscribe?all=true&token=${own.token}`);
      const [body, first] = response.body?.tee() ?? [];
      const reader = first?.getReader();
      expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(': ready\n\n');
      const { globalPosition } = await own.client.write('sse-1', EVENT);
      const subscription = new TestSubscription(new Response(body));
      expect((await subscription.came(1)).map((poke) => poke.globalPosition)).toEqual([globalPosition]);
      await Promise.all([reader?.cancel(), subscription.close()]);
    }
  });

  it('says checkpoint_ahead where it would go on beyond the end', async () => {
    const own = await createNamespace(engine);
    await writeAll(own, ['sse-1', 'sse-1', 'other-1']);
    const ask = async (query: string, last?: string) => {
      const headers: Record<string, string> = last === undefined ? {} : { 'last-event-id': last };
      const response = await own.fetch(`/subscribe?${query}`, { headers });
      if (response.status === 200) await response.body?.cancel();
      return response.status === 200 ? 200 : ((await response.json()) as { error: unknown }).error;
    };
    const refused = (position: number, head: number) => ({
      code: 'CHECKPOINT_AHEAD',
      message: expect.stringContaining('cleared or restored'),
      details: { position, head },
    });
    expect(await ask('all=true', '4')).toEqual(refused(5, 3));
    expect(await ask('category=sse&position=9')).toEqual(refused(9, 3));
    expect(await ask('stream=sse-1', '2')).toEqual(refused(3, 1));
    // The controls: at the end, and at a position that nobody can have.
    expect(await ask('all=true', '3')).toBe(200);
    expect(await ask('stream=sse-1', '1')).toBe(200);
    expect(await ask('all=true', '9007199254740992')).toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining('2^53 - 1'),
    });
  });

  it('tells of imports below the head where it is asked to', async () => {
    const own = await createNamespace(engine);
    const line = (gpos: number) =>
      `${JSON.stringify({ id: crypto.randomUUID(), stream: 'sse-1', type: 'T', pos: gpos, gpos, data: {}, time: '2025-01-01' })}\n`;
    const send = async (body: string) => {
      const headers = { 'content-type': 'application/x-ndjson' };
      expect(await (await own.fetch('/import', { method: 'POST', headers, body })).text()).toContain(
        '"done"',
      );
    };
    await send(line(100));
    const asking = await subscribe(own, 'all=true&imports=true');
    const other = await subscribe(own, 'all=true');
    await send(line(10) + line(20));
    await own.client.write('sse-1', EVENT);
    await Promise.all([asking.came(1), other.came(1)]);
    expect(asking.text).toContain('event: import\ndata: {"from":10,"to":20,"messages":2}\n\n');
    expect(other.text).not.toContain('import');
    for (const one of [asking, other]) await one.close();
    expect((await own.fetch('/subscribe?all=true&imports=yes')).status).toBe(400);
  });

  it('SSE-005, SSE-009: the members of a group share the streams', async () => {
    const own = await createNamespace(engine);
    const streams = ['1', '2', '3', '4', '4+retry'].map((id) => `group-${id}`);
    const members = [0, 1];
    const subscriptions = await Promise.all(
      members.map((member) => subscribe(own, `category=group&consumer=${member}&size=2`)),
    );
    await writeAll(own, [...streams, 'group']);
    // The history of a late one is shared in the same way.
    subscriptions.push(
      ...(await Promise.all(
        members.map((member) => subscribe(own, `category=group&consumer=${member}&size=2`)),
      )),
    );
    for (const [index, subscription] of subscriptions.entries()) {
      const expected = streams.filter((stream) => consumerGroupMember(stream, 2) === index % 2);
      expect(expected.length).toBeGreaterThan(0);
      expect((await subscription.came(expected.length)).map(({ stream }) => stream)).toEqual(expected);
    }
    await Promise.all(subscriptions.map((subscription) => subscription.close()));
  });

  it('SSE-006, SSE-007: subscriptions are independent, and one that comes back goes on where it was', async () => {
    const own = await createNamespace(engine);
    const one = await subscribe(own, 'stream=sse-1');
    const two = await subscribe(own, 'stream=sse-2');
    await writeAll(own, ['sse-1', 'sse-2', 'sse-1']);
    expect((await one.came(2)).map(({ position }) => position)).toEqual([0, 1]);
    await one.close();
    await writeAll(own, ['sse-1', 'sse-1', 'sse-2']);
    expect(await two.came(2)).toHaveLength(2);
    const again = await subscribe(own, 'stream=sse-1&position=2');
    expect((await again.came(2)).map(({ position }) => position)).toEqual([2, 3]);
    // An EventSource asks with the same address, and says what it saw last.
    const source = await subscribe(own, 'stream=sse-1&position=0', { 'last-event-id': '2' });
    expect((await source.came(1)).map(({ position }) => position)).toEqual([3]);
    for (const subscription of [two, again, source]) await subscription.close();
  });

  it('a reader that takes nothing holds up nobody, and gets all of it later', async () => {
    const own = await createNamespace(engine);
    const response = await own.fetch('/subscribe?category=slow');
    const lines = Array.from({ length: 5_000 }, (_, pos) => {
      const time = '2025-01-15T10:00:00.000000000Z';
      const id = crypto.randomUUID();
      return JSON.stringify({
        id,
        stream: 'slow-1',
        type: 'T',
        pos,
        gpos: pos + 1,
        data: {},
        meta: null,
        time,
      });
    });
    const headers = { 'content-type': 'application/x-ndjson' };
    const events = await own.fetch('/import', { method: 'POST', headers, body: lines.join('\n') });
    expect(await events.text()).toContain('"done":true,"imported":5000');
    // Written while it stands still, and behind more than may be kept for it.
    await writeAll(own, ['slow-1', 'slow-2']);
    const subscription = new TestSubscription(response);
    const pokes = await subscription.came(5_002);
    expect(pokes.map(({ globalPosition }) => globalPosition)).toEqual(pokes.map((_, index) => index + 1));
    await subscription.close();
  });

  it('ends when the namespace is deleted', async () => {
    const own = await createNamespace(engine);
    const subscription = await subscribe(own, 'all=true');
    await admin.rpc('ns.delete', own.namespace);
    await until(() => expect(subscription.isEnded).toBe(true));
  });
});

it('is not ready while Postgres has not said where its end is', async () => {
  const own = await createNamespace('postgres');
  const table = sql.raw(`"${schemaOfNamespace(own.namespace)}".messages`);
  const connection = await connect(databaseTarget(env));
  const order: string[] = [];
  let beginning: Promise<TestSubscription> | undefined;
  await connection.db.transaction(async (transaction) => {
    await transaction.execute(sql`lock table ${table} in access exclusive mode`);
    beginning = subscribe(own, 'all=true').then((subscription) => {
      order.push('ready');
      return subscription;
    });
    // The question for the end waits for the lock.
    await until(async () => {
      const waiting = sql`select 1 from pg_locks where relation = ${`"${schemaOfNamespace(own.namespace)}".messages`}::regclass and not granted`;
      const { rows } = (await transaction.execute(waiting)) as unknown as { rows: unknown[] };
      expect(rows).toHaveLength(1);
    });
    // It would have had many turns until here.
    await until(async () => {
      await own.fetch('/rpc', { method: 'POST', headers: JSON_TYPE, body: '["sys.version"]' });
    });
    order.push('end known');
  });
  const subscription = await beginning;
  expect(order).toEqual(['end known', 'ready']);
  const { globalPosition } = await own.client.write('a-1', EVENT);
  expect((await subscription?.came(1))?.map((poke) => poke.globalPosition)).toEqual([globalPosition]);
  await subscription?.close();
  connection.close();
});

it('hears of what others write into Postgres', async () => {
  const own = await createNamespace('postgres');
  const subscription = await subscribe(own, 'category=else');
  const connection = await connect(databaseTarget(env));
  const row = () => ({ id: crypto.randomUUID(), type: 'T', data: '{}', metadata: null, correlation: null });
  const append = { stream: 'else-1', category: 'else', cardinalHash: 1n, expectedVersion: null };
  await appendOn(connection, schemaOfNamespace(own.namespace), [
    { appends: [{ ...append, messages: [row(), row()] }] },
  ]);
  expect((await subscription.came(2)).map(({ position }) => position)).toEqual([0, 1]);
  // What is written here right behind it comes in its order, too.
  await appendOn(connection, schemaOfNamespace(own.namespace), [
    { appends: [{ ...append, messages: [row()] }] },
  ]);
  await own.client.write('else-2', EVENT);
  expect((await subscription.came(4)).map(({ globalPosition }) => globalPosition)).toEqual([1, 2, 3, 4]);
  connection.close();
  await subscription.close();
});

describe('a subscription that cannot be', () => {
  it.each([
    ['', 'exactly one'],
    ['stream=a-1&category=a', 'exactly one'],
    ['category=a&all=true', 'exactly one'],
    ['all=false', 'exactly one'],
    ['stream=', 'exactly one'],
    ['stream=a', 'Must be a stream name'],
    ['category=a-1', 'Must be a category'],
    ['category=a&position=x', 'position'],
    ['category=a&position=-1', 'position'],
    ['category=a&consumer=0', 'together'],
    ['category=a&consumer=2&size=2', 'less than the group size'],
    ['stream=a-1&consumer=0&size=2', 'one stream'],
    ['category=a&consumr=0', 'consumr'],
    ['category=a&category=b', 'more than once'],
  ])('%s: is refused before it begins', async (query, text) => {
    const { token } = await createNamespace('sqlite');
    const response = await exports.default.fetch(`http://sluice/subscribe?${query}&token=${token}`);
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe('INVALID_REQUEST');
    expect(error.message).toContain(text);
  });

  it('SSE-004: without a token, or with a wrong one', async () => {
    for (const [token, code] of [
      ['', 'AUTH_REQUIRED'],
      [`&token=ns_ZGVmYXVsdA_${'0'.repeat(64)}`, 'AUTH_INVALID'],
    ]) {
      const response = await exports.default.fetch(`http://sluice/subscribe?stream=a-1${token}`);
      expect(response.status).toBe(401);
      expect(((await response.json()) as { error: { code: string } }).error.code).toBe(code);
    }
  });

  it('beyond as many as a namespace may have; one that leaves makes room', async () => {
    const own = await createNamespace('sqlite');
    const all = await Promise.all(Array.from({ length: MAX_SUBSCRIBERS }, () => subscribe(own, 'all=true')));
    const ask = () => own.fetch('/subscribe?all=true');
    const refused = await ask();
    expect(refused.status).toBe(429);
    expect(((await refused.json()) as { error: { code: string } }).error.code).toBe('TOO_MANY_SUBSCRIBERS');
    await all[0]?.close();
    await until(async () => {
      const response = await ask();
      await response.body?.cancel();
      expect(response.status).toBe(200);
    });
    await Promise.all(all.slice(1).map((subscription) => subscription.close()));
  });
});
