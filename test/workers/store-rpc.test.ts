import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { beforeAll, describe, expect, it } from 'vitest';
import { STORE_ENGINES } from '../../src/store/namespaces.ts';
import { EventoDbClient } from '../support/eventodb-client.ts';
import { EVENTODB_CASES, errorOf } from '../support/eventodb-suite.ts';
import { admin, clientOf, createNamespace, type TestNamespace } from './store-support.ts';
import { askWith, useDatabase } from './support.ts';

const query = useDatabase();
const EVENT = { type: 'TestEvent', data: {} };

describe.each(STORE_ENGINES)('POST /rpc of a namespace in %s', (engine) => {
  let own: TestNamespace;
  beforeAll(async () => {
    own = await createNamespace(engine);
  });

  it.each(EVENTODB_CASES)('$name', async ({ run }) => {
    await run(own.client, { anonymous: clientOf(undefined), withToken: clientOf });
  });

  it('NS-004, NS-007: is counted, told of and deleted, with its token or by the admin', async () => {
    const other = await createNamespace(engine);
    for (let n = 0; n < 5; n += 1) await other.client.write(`info-${n}`, EVENT);
    const info = {
      namespace: other.namespace,
      messageCount: 5,
      streamCount: 5,
      engine,
      lastActivity: expect.stringMatching(/Z$/),
    };
    expect(await admin.rpc('ns.info', other.namespace)).toMatchObject(info);
    expect(await other.client.rpc('ns.info', other.namespace)).toMatchObject(info);
    expect(await admin.rpc<unknown[]>('ns.list')).toContainEqual(
      expect.objectContaining({ namespace: other.namespace, messageCount: 5 }),
    );
    expect(await other.client.rpc('ns.delete', other.namespace)).toMatchObject({ messagesDeleted: 5 });

    expect(await errorOf(other.client.write('info-1', EVENT))).toMatchObject({ code: 'AUTH_INVALID' });
    expect(await errorOf(admin.rpc('ns.info', other.namespace))).toMatchObject({
      code: 'NAMESPACE_NOT_FOUND',
    });
    expect(await errorOf(admin.rpc('ns.delete', other.namespace))).toMatchObject({
      code: 'NAMESPACE_NOT_FOUND',
    });
    expect(await admin.rpc<unknown[]>('ns.list')).not.toContainEqual(
      expect.objectContaining({ namespace: other.namespace }),
    );

    // The name is free again, and what was there is gone.
    const { token } = await admin.rpc<{ token: string }>('ns.create', other.namespace, { engine });
    expect(token).not.toBe(other.token);
    expect(await clientOf(token).category('info')).toEqual([]);
    expect((await clientOf(token).write('info-1', EVENT)).globalPosition).toBe(1);
    expect(await errorOf(other.client.get('info-1'))).toMatchObject({ code: 'AUTH_INVALID' });
  });

  it('AUTH-004: does not see what is in another, nor may it ask about it', async () => {
    const other = await createNamespace(engine);
    await own.client.write('shared-1', EVENT);
    expect(await other.client.get('shared-1')).toEqual([]);
    expect(await own.client.get('shared-1')).toHaveLength(1);
    for (const method of ['ns.info', 'ns.delete'])
      expect(await errorOf(other.client.rpc(method, own.namespace))).toMatchObject({ status: 403 });
    expect(await own.client.get('shared-1')).toHaveLength(1);
  });
});

describe('ns.create', () => {
  it('NS-001, NS-003: of the same name at once, one succeeds', async () => {
    const namespace = `race-${crypto.randomUUID().slice(0, 8)}`;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () =>
        admin.rpc<{ namespace: string; token: string }>('ns.create', namespace),
      ),
    );
    const made = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(made).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        expect(outcome.reason).toMatchObject({ code: 'NAMESPACE_EXISTS', status: 409 });
    }
    expect((await clientOf(made[0]?.value.token).write('a-1', EVENT)).position).toBe(0);
  });

  it('refuses a namespace whose schema Postgres has already, and leaves it alone', async () => {
    const namespace = `there-${crypto.randomUUID().slice(0, 8)}`;
    await query(sql.raw(`create schema "sluice_${namespace}"`));
    expect(await errorOf(admin.rpc('ns.create', namespace, { engine: 'postgres' }))).toMatchObject({
      code: 'NAMESPACE_EXISTS',
    });
    const schemas = sql`select 1 from information_schema.schemata where schema_name = ${`sluice_${namespace}`}`;
    expect(await query(schemas)).toHaveLength(1);
    // The name is not taken by the failed attempt.
    await query(sql.raw(`drop schema "sluice_${namespace}"`));
    expect(await admin.rpc('ns.create', namespace, { engine: 'postgres' })).toMatchObject({ namespace });
    await admin.rpc('ns.delete', namespace);
    expect(await query(schemas)).toEqual([]);
  });

  const as = (overrides: Partial<typeof env>, token?: string) =>
    new EventoDbClient((path, init) => askWith(overrides, new Request(`http://sluice${path}`, init)), token);

  it.each(['ns.create', 'ns.list', 'ns.delete', 'ns.info'])(
    '%s is for those who may operate',
    async (method) => {
      const name = `who-${crypto.randomUUID().slice(0, 8)}`;
      const outcome = async (client: EventoDbClient) =>
        client.rpc(method, ...(method === 'ns.list' ? [] : [name])).then(
          () => 'done',
          ({ code, status }) => `${status} ${code}`,
        );
      const done = method === 'ns.delete' || method === 'ns.info' ? '404 NAMESPACE_NOT_FOUND' : 'done';
      const closed = { OPERATORS: '', READ_TOKENS: 'look' };
      expect(await outcome(as(closed))).toBe('403 AUTH_UNAUTHORIZED');
      const tokens = { ...closed, OPERATE_TOKENS: 'secret' };
      expect(await outcome(as(tokens))).toBe('401 AUTH_REQUIRED');
      expect(await outcome(as(tokens, 'wrong'))).toBe('401 AUTH_INVALID');
      expect(await outcome(as(tokens, 'look'))).toBe('403 AUTH_UNAUTHORIZED');
      expect(await outcome(as(tokens, 'secret'))).toBe(done);
    },
  );

  it('takes no form and no plain text where no token is asked for', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', undefined]) {
      const response = await askWith(
        { OPERATORS: 'open' },
        new Request('http://sluice/rpc', {
          method: 'POST',
          headers: type === undefined ? {} : { 'content-type': type },
          body: '["ns.list"]',
        }),
      );
      expect(response.status).toBe(400);
    }
  });

  it('takes none either where the address has a token: any page can write one there', async () => {
    const { namespace, client } = await createNamespace('sqlite');
    const open = `open-${crypto.randomUUID().slice(0, 8)}`;
    const send = (path: string, body: string, type: string) =>
      askWith(
        { OPERATORS: 'open', OPEN_NAMESPACE: open },
        new Request(`http://sluice${path}`, { method: 'POST', headers: { 'content-type': type }, body }),
      );
    const attempts: [path: string, body: string, expected: string][] = [
      ['/rpc', JSON.stringify(['ns.delete', namespace]), 'application/json'],
      ['/rpc', JSON.stringify(['stream.write', 'a-1', EVENT]), 'application/json'],
      ['/import', '', 'application/x-ndjson'],
    ];
    for (const [path, body] of attempts) {
      for (const token of ['', 'x', `ns_${btoa(namespace).replaceAll('=', '')}_${'0'.repeat(64)}`])
        expect((await send(`${path}?token=${token}`, body, 'text/plain')).status, `${path} ${token}`).toBe(
          400,
        );
    }
    expect(await client.version('a-1')).toBe(null);
    // The control: what the type says is what is refused.
    for (const [path, body, expected] of attempts.toReversed())
      expect((await send(`${path}?token=`, body, expected)).status, path).toBe(200);
  });
});

describe('OPEN_NAMESPACE', () => {
  it('is made at its first use by a request without a token, and lasts', async () => {
    const name = `open-${crypto.randomUUID().slice(0, 8)}`;
    const open = new EventoDbClient((path, init) =>
      askWith({ OPEN_NAMESPACE: name }, new Request(`http://sluice${path}`, init)),
    );
    expect((await open.write('a-1', EVENT)).position).toBe(0);
    expect((await open.write('a-1', EVENT)).position).toBe(1);
    expect(await admin.rpc('ns.info', name)).toMatchObject({ messageCount: 2 });
    // A token is looked at all the same, and none opens this one.
    const withToken = new EventoDbClient(
      (path, init) => askWith({ OPEN_NAMESPACE: name }, new Request(`http://sluice${path}`, init)),
      `ns_${btoa(name).replaceAll('=', '')}_${'0'.repeat(64)}`,
    );
    expect(await errorOf(withToken.get('a-1'))).toMatchObject({ code: 'AUTH_INVALID' });
  });

  it('is there for all of the first requests, if they come together', async () => {
    const setEngine = (engine: 'sqlite' | 'postgres') =>
      runInDurableObject(env.REGISTRY.getByName('registry'), (object) => {
        const held = object as unknown as { env: typeof env };
        held.env = { ...env, STORE_ENGINE: engine };
      });
    for (const engine of STORE_ENGINES) {
      await setEngine(engine);
      const name = `open-${crypto.randomUUID().slice(0, 8)}`;
      const open = new EventoDbClient((path, init) =>
        askWith({ OPEN_NAMESPACE: name }, new Request(`http://sluice${path}`, init)),
      );
      const written = await Promise.all(Array.from({ length: 10 }, () => open.write('a-1', EVENT)));
      expect(written.map(({ position }) => position).sort((a, b) => a - b)).toEqual([...Array(10).keys()]);
    }
    await setEngine('sqlite');
  });

  it('is not read by pages of others', async () => {
    const origin = 'https://app.example.com';
    const allowedTo = async (ORIGINS: string, token: string): Promise<string | null> => {
      const request = new Request(`http://sluice/subscribe?all=true&token=${token}`, { headers: { origin } });
      const response = await askWith({ OPEN_NAMESPACE: 'open-pages', ORIGINS }, request);
      expect(response.status).toBe(200);
      await response.body?.cancel();
      return response.headers.get('access-control-allow-origin');
    };
    const { token } = await createNamespace('sqlite');
    for (const given of ['', token]) {
      expect(await allowedTo('', given)).toBeNull();
      // The control.
      expect(await allowedTo(origin, given)).toBe(origin);
    }
  });
});

it('nothing large is parsed for a request without a token', async () => {
  const anybody = clientOf(undefined);
  const depth = 100_000;
  for (const body of [
    '['.repeat(depth) + ']'.repeat(depth),
    `["ns.list"${',[]'.repeat(depth)}]`,
    `["stream.\\u0067et"${',[]'.repeat(depth)}]`,
  ]) {
    const error = await errorOf(anybody.raw(body));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', status: 400 });
    expect(error.message).toContain('larger than');
  }
  // The controls: one that is not large, and one that is for a store, which asks for the token first.
  expect(await errorOf(anybody.raw('[[[]]]'))).toMatchObject({ message: 'method name must be a string' });
  const large = `["stream.get"${',[]'.repeat(depth)}]`;
  expect(await errorOf(anybody.raw(large))).toMatchObject({ code: 'AUTH_REQUIRED' });
});

it('a body that is too large is refused before it is read', async () => {
  const { client } = await createNamespace('sqlite');
  const error = await errorOf(
    client.raw(`["stream.write","a-1",{"type":"T","data":{"x":"${'x'.repeat(8_400_000)}"}}]`),
  );
  expect(error).toMatchObject({ code: 'INVALID_REQUEST', status: 400 });
});
