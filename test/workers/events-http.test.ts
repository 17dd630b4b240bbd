/** The event store over HTTP: `GET /read`, `POST /append` and `GET /events/subscribe`. */

import { runInDurableObject } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { MAX_SUBSCRIBERS } from '../../src/core/limits.ts';
import { PostgresEventEngine } from '../../src/events/engines/postgres-engine.ts';
import { messageSchema } from '../../src/messages/sql/schema.ts';
import { STORE_ENGINES, schemaOfNamespace } from '../../src/store/namespaces.ts';
import { connect, databaseTarget } from '../../workers/database.ts';
import { TEST_LIMIT_MS } from '../support/patience.ts';
import { admin, createNamespace, type TestNamespace, TestSubscription } from './store-support.ts';
import { askWith, until, useDatabase } from './support.ts';

const query = useDatabase();

interface Event {
  type: string;
  data: string;
  tags?: string[];
  id?: string;
  metadata?: Record<string, unknown>;
}

interface SequencedEvent {
  event: Event;
  position: number;
  time: string;
}

const JSON_TYPE = { 'content-type': 'application/json' };
const ALL = 'query=all';

function event(tag: string, changes: Partial<Event> = {}): Event {
  return { type: 'Defined', data: '{}', tags: [tag], ...changes };
}

const tagged = (tag: string) => ({ items: [{ tags: [tag] }] });

function send(own: TestNamespace, body: unknown): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return own.fetch('/append', { method: 'POST', headers: JSON_TYPE, body: text });
}

/** Appends, and returns the position of the last event. */
async function append(own: TestNamespace, events: Event | Event[], condition?: unknown): Promise<number> {
  const response = await send(own, { events, condition });
  const answer = (await response.json()) as { position: number };
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return answer.position;
}

function readPath(of: unknown, options?: unknown): string {
  const params = new URLSearchParams({ query: JSON.stringify(of) });
  if (options !== undefined) params.set('options', JSON.stringify(options));
  return `/read?${params}`;
}

async function read(own: TestNamespace, of: unknown, options?: unknown): Promise<SequencedEvent[]> {
  const response = await own.fetch(readPath(of, options));
  const answer = (await response.json()) as SequencedEvent[];
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return answer;
}

interface Problem {
  status: number;
  code: string;
  detail: string;
  [extension: string]: unknown;
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  expect(response.headers.get('content-type'), text).toBe('application/problem+json');
  const problem = JSON.parse(text) as Problem;
  expect(problem.status).toBe(response.status);
  return problem;
}

/** A subscription to events that is being read. */
class EventSubscription extends TestSubscription {
  get events(): SequencedEvent[] {
    return [...this.text.matchAll(/^event: event\ndata: (.*)\nid: (\d+)\n\n/gm)].map(([, data, id]) => {
      const one = JSON.parse(data ?? '') as SequencedEvent;
      expect(one.position).toBe(Number(id));
      return one;
    });
  }

  get positions(): number[] {
    return this.events.map(({ position }) => position);
  }

  /** Resolves with the positions of what has come once these are so many. */
  got(count: number): Promise<number[]> {
    return until(() => {
      const { positions } = this;
      if (positions.length < count) throw new Error(`${positions.length} of ${count} events`);
      return positions;
    });
  }
}

async function subscribe(
  { token }: Pick<TestNamespace, 'token'>,
  address: string,
  headers: Record<string, string> = {},
): Promise<EventSubscription> {
  const path = `http://sluice/events/subscribe?${address}&token=${token}`;
  const subscription = new EventSubscription(await exports.default.fetch(path, { headers }));
  await until(() => {
    if (!subscription.text.startsWith(': ready\n\n')) throw new Error('It has not begun');
  });
  return subscription;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** Ends the object of a namespace at once, as a crash or a deployment does. */
async function abortNamespace({ namespace }: TestNamespace): Promise<void> {
  const stub = env.NAMESPACE.getByName(namespace);
  await runInDurableObject(stub, (_, state) => state.abort('aborted by a test')).catch((error: unknown) => {
    if (!String(error).includes('aborted by a test')) throw error;
  });
}

describe.each(STORE_ENGINES)('events of a namespace in %s', (engine) => {
  it('have the shapes of the specification', async () => {
    const own = await createNamespace(engine);
    const id = crypto.randomUUID();
    const plain: Event = { type: 'CourseDefined', data: '{"capacity":10}', tags: ['course:c1'] };
    const full: Event = {
      type: 'Ünï "code" 🌍',
      data: 'no JSON\n\u2028',
      tags: ['a,b', '{"c"}', '\\', "d'"],
      metadata: { by: { n: 1 } },
      id,
    };
    const response = await send(own, { events: [plain] });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(await response.text()).toBe('{"position":1,"isRepeated":false}');
    expect(await append(own, full)).toBe(2);
    expect(await append(own, { type: 'CourseDefined', data: '' })).toBe(3);

    const answer = await own.fetch('/read?query=all');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const time = expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    const events = (await answer.json()) as SequencedEvent[];
    expect(events).toEqual([
      { event: plain, position: 1, time },
      { event: full, position: 2, time },
      { event: { type: 'CourseDefined', data: '', tags: [] }, position: 3, time },
    ]);
    expect(Math.abs(Date.parse(events[0]?.time ?? '') - Date.now())).toBeLessThan(TEST_LIMIT_MS);

    const positions = async (of: unknown, options?: unknown) =>
      (await read(own, of, options)).map(({ position }) => position);
    expect(await positions({ items: [{ types: ['CourseDefined'] }] })).toEqual([1, 3]);
    expect(await positions({ items: [{ types: ['CourseDefined'], tags: ['course:c1'] }] })).toEqual([1]);
    expect(await positions([{ tags: ['course:c1'] }, { tags: ["d'", '\\'] }])).toEqual([1, 2]);
    expect(await positions('all', { after: 1, before: 3 })).toEqual([2]);
    expect(await positions('all', { backwards: true, limit: 2 })).toEqual([3, 2]);
    expect(await positions('all', { after: 99 })).toEqual([]);
  });

  it('keep the digits of the numbers in their metadata', async () => {
    const own = await createNamespace(engine);
    const metadata = '{"n":[9007199254740993,1.50,-0,1e5,12345678901234567890.10]}';
    const body = `{"events":[{"type":"A","data":"1.50","metadata":${metadata}}],"condition":{"failIfEventsMatch":"all","after":1.0}}`;
    expect((await send(own, body)).status).toBe(200);
    expect(await (await own.fetch('/read?query=all')).text()).toContain(`"metadata":${metadata}`);
    const subscription = await subscribe(own, ALL);
    await subscription.got(1);
    expect(subscription.text).toContain(`"metadata":${metadata}`);
    await subscription.close();
    const infinite = await problemOf(await send(own, body.replace('1.50,', '1E400,')));
    expect(infinite).toMatchObject({ status: 400, code: 'number_out_of_range' });
    expect(infinite.detail).toContain('1E400');
  });

  it('are refused by a condition, which says where', async () => {
    const own = await createNamespace(engine);
    await append(own, event('a'));
    await append(own, event('b'));
    const of = (failIfEventsMatch: unknown, after?: number) =>
      send(own, { events: event('a'), condition: { failIfEventsMatch, after } });
    const conflict = await problemOf(await of(tagged('b')));
    expect(conflict).toMatchObject({ status: 409, code: 'append_conflict', position: 2 });
    expect(conflict.detail).toContain('position 2');
    expect(await problemOf(await of('all', 1))).toMatchObject({ code: 'append_conflict', position: 2 });
    const anyTag = { items: [{ tags: ['none'] }, { tags: ['b'] }, { tags: ['a'] }] };
    expect(await problemOf(await of(anyTag))).toMatchObject({ position: 1 });
    expect(await read(own, 'all')).toHaveLength(2);
    // The controls: nothing matches behind there.
    for (const [failIfEventsMatch, after] of [
      [tagged('none'), undefined],
      [tagged('b'), 2],
      ['all', 999],
    ] as const)
      expect((await of(failIfEventsMatch, after)).status).toBe(200);
    expect(await read(own, 'all')).toHaveLength(5);
  });

  it('of twenty clients that race for one condition, one wins', async () => {
    const own = await createNamespace(engine);
    for (let round = 0; round < 5; round += 1) {
      const scope = `username:u${round}`;
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, client) => {
          const events = [event(scope, { data: String(client) }), event(`client:${client}`)];
          const response = await send(own, { events, condition: { failIfEventsMatch: tagged(scope) } });
          return { client, status: response.status, body: (await response.json()) as Problem };
        }),
      );
      const [winner, ...others] = answers.filter(({ status }) => status === 200);
      expect(others).toEqual([]);
      const [stored, ...more] = await read(own, tagged(scope));
      expect(more).toEqual([]);
      expect(stored?.event.data).toBe(String(winner?.client));
      for (const { status, body } of answers.filter((answer) => answer !== winner))
        expect([status, body.code, body.position]).toEqual([409, 'append_conflict', stored?.position]);
    }
    // What a loser appended beside its condition is not there either.
    expect(await read(own, 'all')).toHaveLength(10);
    // The control: nobody loses where the scopes are different.
    const free = await Promise.all(
      Array.from({ length: 20 }, (_, client) => {
        const tag = `free:${client}`;
        return append(own, event(tag), { failIfEventsMatch: tagged(tag) });
      }),
    );
    expect(free.sort((a, b) => a - b)).toEqual(upTo(30).slice(10));
  });

  it('with ids are appended once, however often they are sent', async () => {
    const own = await createNamespace(engine);
    const events = [0, 1].map((n) => event('a', { id: crypto.randomUUID(), data: String(n) }));
    const condition = { failIfEventsMatch: tagged('a') };
    const answers = await Promise.all(
      Array.from({ length: 10 }, async () => (await send(own, { events, condition })).json()),
    );
    for (const answer of answers) expect(answer).toMatchObject({ position: 2 });
    const repeated = answers.filter((answer) => (answer as { isRepeated: boolean }).isRepeated);
    expect(repeated).toHaveLength(9);
    expect(await read(own, 'all')).toHaveLength(2);
    const some = [events[0], event('a', { id: crypto.randomUUID() })];
    expect(await problemOf(await send(own, { events: some }))).toMatchObject({
      status: 409,
      code: 'duplicate_event_id',
      id: events[0]?.id,
    });
    // The control: without ids, each is another.
    const again = [event('a'), event('a')];
    expect(await append(own, again)).toBe(4);
    expect(await append(own, again)).toBe(6);
  });

  it('that are many are read in pieces and appended in one', async () => {
    const own = await createNamespace(engine);
    const data = 'x'.repeat(300);
    await append(
      own,
      Array.from({ length: 5_000 }, (_, n) => event(`n:${n % 7}`, { data })),
    );
    const all = await read(own, 'all');
    expect(all.map(({ position }) => position)).toEqual(upTo(5_000));
    expect(await read(own, tagged('n:0'))).toHaveLength(715);
    const last = await read(own, 'all', { backwards: true, limit: 1_500 });
    expect(last.map(({ position }) => position)).toEqual(upTo(5_000).toReversed().slice(0, 1_500));
  });

  it('are subscribed to from history into what is appended then, without gap or double', async () => {
    const own = await createNamespace(engine);
    const writers = Array.from({ length: 10 }, async (_, writer) => {
      for (let n = 0; n < 30; n += 1) await append(own, event(`writer:${writer}`));
    });
    await until(async () => expect((await read(own, 'all')).length).toBeGreaterThan(20));
    // They join in the middle of it.
    const all = await subscribe(own, ALL);
    const late = await subscribe(own, `${ALL}&after=10`);
    const tags = await subscribe(own, `query=${encodeURIComponent(JSON.stringify(tagged('writer:3')))}`);
    await Promise.all(writers);
    expect(await all.got(300)).toEqual(upTo(300));
    expect(await late.got(290)).toEqual(upTo(300).slice(10));
    const ofThree = await read(own, tagged('writer:3'));
    await tags.got(30);
    expect(tags.events).toEqual(ofThree);
    // The event that comes last shows that nothing more did.
    await append(own, event('writer:3'));
    expect(await tags.got(31)).toEqual([...ofThree.map(({ position }) => position), 301]);
    expect(await all.got(301)).toEqual(upTo(301));
    for (const subscription of [all, late, tags]) await subscription.close();
  });

  it('are not subscribed to from beyond the end', async () => {
    const own = await createNamespace(engine);
    await append(own, [event('a'), event('b')]);
    const ask = (address: string, last?: string) =>
      own.fetch(
        `/events/subscribe?${ALL}${address}`,
        last === undefined ? {} : { headers: { 'last-event-id': last } },
      );
    for (const response of [await ask('&after=3'), await ask('&after=1', '3')]) {
      expect(await problemOf(response)).toMatchObject({
        status: 503,
        code: 'checkpoint_ahead',
        position: 3,
        head: 2,
        detail: expect.stringContaining('cleared or restored'),
      });
    }
    // The control.
    const atTheEnd = await subscribe(own, `${ALL}&after=2`);
    await append(own, event('c'));
    expect(await atTheEnd.got(1)).toEqual([3]);
    await atTheEnd.close();
    for (const text of ['9007199254740992', '1'.repeat(30)]) {
      const problem = await problemOf(await ask(`&after=${text}`));
      expect(problem).toMatchObject({ code: 'invalid_options', detail: expect.stringContaining('2^53 - 1') });
    }
  });

  it('go on behind Last-Event-ID when a subscriber comes back', async () => {
    const own = await createNamespace(engine);
    let isWriting = true;
    const writing = (async () => {
      for (let n = 0; n < 200; n += 1) await append(own, event('a'));
      isWriting = false;
    })();
    const seen: number[] = [];
    while (isWriting || seen.length < 200) {
      // As an EventSource does: the same address, and what it saw last.
      const last = seen.at(-1);
      const source = await subscribe(
        own,
        `${ALL}&after=0`,
        last === undefined ? {} : { 'last-event-id': `${last}` },
      );
      await source.got(Math.min(7, 200 - seen.length));
      await source.close();
      seen.push(...source.positions);
    }
    await writing;
    expect(seen).toEqual(upTo(200));
  });

  it('wait for a reader that takes nothing, which holds up nobody', async () => {
    const own = await createNamespace(engine);
    const response = await own.fetch(`/events/subscribe?${ALL}`);
    const data = 'x'.repeat(1_000);
    for (let n = 0; n < 5; n += 1)
      await append(
        own,
        Array.from({ length: 1_000 }, () => event('slow', { data })),
      );
    const other = await subscribe(own, `${ALL}&after=4999`);
    expect(await other.got(1)).toEqual([5_000]);
    const slow = new EventSubscription(response);
    expect(await slow.got(5_000)).toEqual(upTo(5_000));
    await append(own, event('slow'));
    expect(await slow.got(5_001)).toEqual(upTo(5_001));
    await Promise.all([slow.close(), other.close()]);
  });

  it('survive the end of the object', async () => {
    const own = await createNamespace(engine);
    const subscription = await subscribe(own, ALL);
    const accepted: string[] = [];
    for (let life = 0; life < 3; life += 1) {
      const appends = Array.from({ length: 20 }, async (_, n) => {
        const data = `${life}:${n}`;
        // One that is cut off has no answer; only what was answered counts.
        await append(own, event('a', { data })).then(
          () => accepted.push(data),
          () => {},
        );
      });
      if (life === 1) await Promise.all([...appends, abortNamespace(own)]);
      else {
        await Promise.all(appends);
        await abortNamespace(own);
      }
    }
    expect(accepted.length).toBeGreaterThanOrEqual(40);
    const stored = await read(own, 'all');
    expect(stored.map(({ position }) => position)).toEqual(upTo(stored.length));
    const data = stored.map((one) => one.event.data);
    expect(new Set(data).size).toBe(data.length);
    expect(data).toEqual(expect.arrayContaining(accepted));
    // The subscription has ended, and goes on in the next life.
    await until(() => expect(subscription.isEnded).toBe(true));
    const seen = subscription.positions;
    const again = await subscribe(own, ALL, { 'last-event-id': `${seen.at(-1) ?? 0}` });
    await again.got(stored.length - seen.length);
    expect([...seen, ...again.positions]).toEqual(upTo(stored.length));
    await again.close();
    // Conditions hold what was there before.
    const conflict = await send(own, { events: event('a'), condition: { failIfEventsMatch: tagged('a') } });
    expect(await problemOf(conflict)).toMatchObject({ code: 'append_conflict', position: 1 });
  });

  it('are counted, and gone with their namespace, whose streams end', async () => {
    const own = await createNamespace(engine);
    await append(own, [event('a'), event('b')]);
    await own.client.write('stream-1', { type: 'T', data: {} });
    expect(await admin.rpc('ns.info', own.namespace)).toMatchObject({ messageCount: 1, eventCount: 2 });
    const subscription = await subscribe(own, ALL);
    expect(await subscription.got(2)).toEqual([1, 2]);
    expect(await admin.rpc('ns.delete', own.namespace)).toMatchObject({ messagesDeleted: 1 });
    await until(() => expect(subscription.isEnded).toBe(true));
    expect(await problemOf(await own.fetch(readPath('all')))).toMatchObject({ code: 'unauthorized' });
    expect(await problemOf(await send(own, { events: event('a') }))).toMatchObject({ code: 'unauthorized' });
    const { token } = await admin.rpc<{ token: string }>('ns.create', own.namespace, { engine });
    const path = `http://sluice${readPath('all')}&token=${token}`;
    expect(await (await exports.default.fetch(path)).json()).toEqual([]);
  });

  it('are not in another namespace, and conditions do not see them there', async () => {
    const [one, other] = [await createNamespace(engine), await createNamespace(engine)];
    await append(one, event('a'));
    expect(await read(other, 'all')).toEqual([]);
    const subscription = await subscribe(other, ALL);
    expect(await append(other, event('a'), { failIfEventsMatch: 'all' })).toBe(1);
    expect(await subscription.got(1)).toEqual([1]);
    await append(one, event('b'));
    await append(other, event('c'));
    await subscription.got(2);
    expect(subscription.events.map((one) => one.event.tags)).toEqual([['a'], ['c']]);
    await subscription.close();
  });
});

describe('a namespace in postgres', () => {
  it('hears of what others append there', async () => {
    const own = await createNamespace('postgres');
    await append(own, event('a'));
    const subscription = await subscribe(own, ALL);
    expect(await subscription.got(1)).toEqual([1]);
    const connection = await connect(databaseTarget(env));
    const elsewhere = new PostgresEventEngine({
      connections: { use: async (work) => work(connection) },
      schema: schemaOfNamespace(own.namespace),
    });
    const row = { id: null, type: 'Else', tags: ['a'], data: '"x"', metadata: null };
    await elsewhere.append([{ events: [row, row], condition: null }]);
    expect(await subscription.got(3)).toEqual([1, 2, 3]);
    // What is appended here right behind it comes in its order, too.
    await elsewhere.append([{ events: [row], condition: null }]);
    expect(await append(own, event('a'))).toBe(5);
    expect(await subscription.got(5)).toEqual(upTo(5));
    const conflict = await send(own, {
      events: event('b'),
      condition: { failIfEventsMatch: { items: [{ types: ['Else'] }] } },
    });
    expect(await problemOf(conflict)).toMatchObject({ position: 2 });
    connection.close();
    await subscription.close();
  });

  it('of an older version gets its tables at the first use', async () => {
    const own = await createNamespace('postgres');
    const schema = schemaOfNamespace(own.namespace);
    await query(sql.raw(`drop schema "${schema}" cascade`));
    // What the version before the event store made.
    const made = [`create schema "${schema}"`, ...(messageSchema.steps[0]?.(schema) ?? [])];
    await query(sql.raw(made.join(';\n')));
    await own.client.write('stream-1', { type: 'T', data: {} });
    // It is asked by several at once.
    const positions = await Promise.all(upTo(10).map((n) => append(own, event(`n:${n}`))));
    expect(positions.sort((a, b) => a - b)).toEqual(upTo(10));
    expect(await read(own, 'all')).toHaveLength(10);
    expect(await own.client.version('stream-1')).toBe(0);
  });
});

describe('a namespace in postgres that was left half-made', () => {
  const leave = ({ namespace }: TestNamespace) =>
    runInDurableObject(env.REGISTRY.getByName('registry'), (_, { storage }) => {
      storage.sql.exec("update namespaces set state = 'creating' where name = ?", namespace);
    });

  it('is not taken over where it has events', async () => {
    const own = await createNamespace('postgres');
    await append(own, event('a'));
    await leave(own);
    const again = admin.rpc('ns.create', own.namespace, { engine: 'postgres' });
    await expect(again).rejects.toMatchObject({ code: 'NAMESPACE_EXISTS' });
    // The control: an empty one is.
    const empty = await createNamespace('postgres');
    await leave(empty);
    await admin.rpc('ns.create', empty.namespace, { engine: 'postgres' });
  });
});

it('a database that is away is told of, but not where it is', async () => {
  const own = await createNamespace('postgres');
  const move = (url: string | undefined) =>
    runInDurableObject(env.NAMESPACE.getByName(own.namespace), (object) => {
      const held = object as unknown as { env: typeof env };
      held.env = { ...env, ...(url === undefined ? {} : { DATABASE_URL: url }) };
    });
  await move('postgres://user:topsecret@127.0.0.1:1/db');
  for (const response of [
    await own.fetch(readPath('all')),
    await send(own, { events: event('a') }),
    await own.fetch(`/events/subscribe?${ALL}`),
  ]) {
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ status: 503, code: 'database_unreachable' });
    expect(JSON.stringify(problem)).not.toMatch(/127|topsecret|user/);
  }
  await move(undefined);
  expect(await append(own, event('a'))).toBe(1);
});

it('GET / tells of the routes', async () => {
  const text = await (await exports.default.fetch('http://sluice/')).text();
  for (const route of ['GET /read', 'POST /append', 'GET /events/subscribe']) expect(text).toContain(route);
});

describe('a request that is refused', () => {
  it.each([
    ['/read?query={"items":[]}', 'invalid_query'],
    ['/read', 'invalid_query'],
    ['/read?query={"items":[{"tag":["a"]}]}', 'invalid_query'],
    ['/read?query={"items":[{"tags":[""]}]}', 'invalid_query'],
    ['/read?query=all&options={"limit":0}', 'invalid_options'],
    ['/read?query=all&after=1', 'invalid_options'],
    ['/events/subscribe', 'invalid_query'],
    ['/events/subscribe?query={"items":[{}],"x":1}', 'invalid_query'],
    ['/events/subscribe?query=all&after=x', 'invalid_options'],
  ])('GET %s: %s', async (path, code) => {
    const own = await createNamespace('sqlite');
    expect(await problemOf(await own.fetch(encodeURI(path)))).toMatchObject({ status: 400, code });
  });

  const good = { type: 'T', data: '' };
  it.each<[name: string, body: unknown, status: number, code: string]>([
    ['no JSON', '{"events":', 400, 'invalid_json'],
    ['nothing', '', 400, 'invalid_json'],
    ['no events', { events: [] }, 400, 'invalid_options'],
    ['no type', { events: [{ data: '' }] }, 400, 'invalid_event'],
    ['an empty type', { events: [{ type: '', data: '' }] }, 400, 'invalid_event'],
    ['an empty tag', { events: [{ ...good, tags: [''] }] }, 400, 'invalid_event'],
    ['tags that are none', { events: [{ ...good, tags: 'a' }] }, 400, 'invalid_event'],
    ['metadata that is a list', { events: [{ ...good, metadata: [] }] }, 400, 'invalid_event'],
    ['an id that is none', { events: [{ ...good, id: '5' }] }, 400, 'invalid_event'],
    ['some ids', { events: [good, { ...good, id: crypto.randomUUID() }] }, 400, 'invalid_event'],
    ['a condition without a query', { events: good, condition: { after: 5 } }, 400, 'invalid_query'],
    [
      'a condition of no items',
      { events: good, condition: { failIfEventsMatch: { items: [] } } },
      400,
      'invalid_query',
    ],
    [
      'a negative position',
      { events: good, condition: { failIfEventsMatch: 'all', after: -1 } },
      400,
      'invalid_options',
    ],
    ['a NUL', '{"events":{"type":"T","data":"\\u0000"}}', 400, 'nul_character'],
    ['half a character', '{"events":{"type":"T","data":"\\ud83c"}}', 400, 'lone_surrogate'],
    ['a deep one', `{"events":${'['.repeat(1_000_000)}`, 400, 'nesting_too_deep'],
    ['many values', `{"events":[${'[],'.repeat(2_000_000)}0]}`, 413, 'message_too_large'],
    ['too many events', { events: Array.from({ length: 10_001 }, () => good) }, 400, 'invalid_options'],
    ['a large event', { events: { ...good, data: 'x'.repeat(1_100_000) } }, 413, 'message_too_large'],
    ['a large body', { events: { ...good, data: 'x'.repeat(8_400_000) } }, 413, 'message_too_large'],
  ])('POST /append of %s', async (_, body, status, code) => {
    const own = await createNamespace('sqlite');
    expect(await problemOf(await send(own, body))).toMatchObject({ status, code });
    expect(await read(own, 'all')).toEqual([]);
    // The control.
    expect(await append(own, good)).toBe(1);
  });

  it('POST /append of what is not UTF-8', async () => {
    const own = await createNamespace('sqlite');
    const text = new TextEncoder().encode('{"events":{"type":"T","data":"?"}}');
    const body = text.map((byte) => (byte === 0x3f ? 0xff : byte));
    const response = await own.fetch('/append', { method: 'POST', headers: JSON_TYPE, body });
    expect(await problemOf(response)).toMatchObject({ status: 400, code: 'invalid_utf8' });
    expect((await own.fetch('/append', { method: 'POST', headers: JSON_TYPE, body: text })).status).toBe(200);
  });

  it('without a token, with a wrong one, or with that of another', async () => {
    const own = await createNamespace('sqlite');
    const other = await createNamespace('sqlite');
    const name = btoa(own.namespace).replaceAll('=', '');
    const requests: [path: string, init: RequestInit][] = [
      ['/read?query=all', {}],
      ['/append', { method: 'POST', headers: JSON_TYPE, body: JSON.stringify({ events: good }) }],
      ['/events/subscribe?query=all', {}],
    ];
    const ask = (path: string, init: RequestInit, token: string | undefined) => {
      const headers = { ...(init.headers as Record<string, string>) };
      if (token !== undefined) headers.authorization = `Bearer ${token}`;
      return exports.default.fetch(`http://sluice${path}`, { ...init, headers });
    };
    for (const [path, init] of requests) {
      const wrong = `ns_${name}_${'0'.repeat(64)}`;
      for (const token of [undefined, 'x', wrong, `ns_${name}_${other.token.slice(-64)}`]) {
        const response = await ask(path, init, token);
        expect(response.headers.get('www-authenticate'), `${path} ${token}`).toBe('Bearer');
        expect(await problemOf(response)).toMatchObject({ status: 401, code: 'unauthorized' });
      }
    }
    expect(await read(own, 'all')).toEqual([]);
    // The control; a token in the address is as good.
    for (const [path, init] of requests) {
      const response = await ask(path, init, own.token);
      expect(response.status, path).toBe(200);
      await response.body?.cancel();
      const address = `${path}${path.includes('?') ? '&' : '?'}token=${own.token}`;
      const inAddress = await ask(address, init, undefined);
      expect(inAddress.status, path).toBe(200);
      await inAddress.body?.cancel();
    }
    expect(await read(own, 'all')).toHaveLength(2);
    expect(await read(other, 'all')).toEqual([]);
  });

  it('from a form of any page, where no header has a token', async () => {
    const name = `open-${crypto.randomUUID().slice(0, 8)}`;
    const open = (path: string, init?: RequestInit) =>
      askWith({ OPEN_NAMESPACE: name }, new Request(`http://sluice${path}`, init));
    const post = (type: string) => {
      const body = JSON.stringify({ events: good });
      return open('/append', { method: 'POST', headers: { 'content-type': type }, body });
    };
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])
      expect(await problemOf(await post(type))).toMatchObject({ status: 400, code: 'invalid_options' });
    expect(await (await open('/read?query=all')).json()).toEqual([]);
    expect((await post('application/json; charset=utf-8')).status).toBe(200);
    expect(await (await open('/read?query=all')).json()).toHaveLength(1);
  });

  it('as one subscriber too many; one that leaves makes room', async () => {
    const own = await createNamespace('sqlite');
    const all = await Promise.all(Array.from({ length: MAX_SUBSCRIBERS }, () => subscribe(own, ALL)));
    const refused = await own.fetch(`/events/subscribe?${ALL}`);
    expect(await problemOf(refused)).toMatchObject({ status: 429, code: 'too_many_subscribers' });
    // Appends and reads go on, and all of them hear.
    await append(own, event('a'));
    for (const subscription of all) expect(await subscription.got(1)).toEqual([1]);
    await all[0]?.close();
    await until(async () => {
      const response = await own.fetch(`/events/subscribe?${ALL}`);
      await response.body?.cancel();
      expect(response.status).toBe(200);
    });
    await Promise.all(all.slice(1).map((subscription) => subscription.close()));
  });

  it('at a path that is none of these', async () => {
    const own = await createNamespace('sqlite');
    for (const path of ['/append', '/events', '/events/subscribe/'])
      expect(await problemOf(await own.fetch(path))).toMatchObject({ status: 404, code: 'not_found' });
  });
});
