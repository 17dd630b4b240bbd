/**
 * Attacked: objects that are made of what a client sends. Names such as `__proto__` and `constructor` must be names like any others: they
 * are refused where they are unknown, stored where any name may stand, and never change what other objects are.
 */

import { beforeAll, describe, expect, it } from 'vitest';
import { createNamespace, type TestNamespace } from '../../workers/store-support.ts';
import {
  askWith,
  Client,
  messagesOf,
  openSocket,
  until,
  upgradeRequest,
  useDatabase,
} from '../../workers/support.ts';

const query = useDatabase();
const KEYS = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf'];

function untouched(): void {
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(([] as unknown as Record<string, unknown>).polluted).toBeUndefined();
  expect((Object as unknown as Record<string, unknown>).polluted).toBeUndefined();
}

const json = (body: string) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body });

describe('as a name in a request', () => {
  it.each(KEYS)('%s is no sink, no shard, no run, no suite and no option', async (key) => {
    for (const [path, init, statuses] of [
      [`/ws/${key}`, {}, [404]],
      [`/stats?sink=${key}`, {}, [404]],
      [`/stats?${key}=x`, {}, [400]],
      [`/admin/${key}/dead-letters`, {}, [404]],
      [`/admin/messages/${key}/dead-letters`, {}, [404]],
      [`/admin/messages/0/dead-letters?${key}=1`, {}, [400]],
      ['/admin/messages/0/dead-letters/drop', json(`{"ids":[1],"${key}":{"polluted":1}}`), [400]],
      [
        '/admin/messages/0/dead-letters/drop',
        json(`{"where":{"reason":"x","${key}":{"polluted":1}}}`),
        [400],
      ],
      ['/admin/messages/0/resume', json(`{"missing":"${key}"}`), [400]],
      [`/bench?suite=${key}`, {}, [400]],
      [`/bench?format=${key}`, {}, [400]],
      ['/bench/runs', json(`{"suite":"${key}"}`), [400]],
      ['/bench/runs', json(`{"suite":"store","${key}":{"polluted":1}}`), [400]],
      [`/bench/runs/${key}`, {}, [404]],
      [`/bench/store?target=x&call=${key}`, json('{}'), [400]],
      ['/rpc', json(`["${key}"]`), [404, 401]],
      ['/rpc', json(`["ns.create","ns-${key.replaceAll('_', '-')}",{"${key}":{"polluted":1}}]`), [400, 200]],
    ] as const) {
      const response = await askWith({}, new Request(`http://sluice${path}`, init));
      expect(statuses as readonly number[], `${path}: ${await response.text()}`).toContain(response.status);
      untouched();
    }
    // The controls: names that are there.
    expect((await askWith({}, '/stats?sink=messages')).status).toBe(200);
    expect((await askWith({}, '/admin/messages/0/dead-letters?limit=1')).status).toBe(200);
  });

  it.each(KEYS)('%s is no sink over a socket', async (key) => {
    const client = new Client(await askWith({}, upgradeRequest(`/ws/${key}`, 'sluice.v1')));
    expect((await client.closed).code).toBe(4404);
  });

  it.each(KEYS)('%s in the variable SINKS is no sink, nor an option of one', async (key) => {
    for (const SINKS of [`{"${key}":{"lingerMs":1}}`, `{"messages":{"${key}":{"polluted":1}}}`]) {
      const response = await askWith({ SINKS }, '/stats');
      expect([500, 200]).toContain(response.status);
      const text = await response.text();
      if (response.status === 500) expect(text).toContain('SINKS');
      // One that JSON.parse makes a member of is refused; nothing is taken from it.
      else expect(JSON.parse(text).sinks.messages.options.lingerMs).toBe(100);
      untouched();
    }
    const good = await askWith({ SINKS: '{"messages":{"lingerMs":1}}' }, '/stats');
    expect(
      ((await good.json()) as { sinks: { messages: { options: object } } }).sinks.messages.options,
    ).toMatchObject({ lingerMs: 1 });
  });

  it.each(KEYS)('%s in LIMITS is refused', async (key) => {
    // What it says to an upgrade, the shard says, whose variables these are not.
    const codeWith = async (LIMITS: string): Promise<string> =>
      ((await (await askWith({ LIMITS }, '/ws/messages')).json()) as { code: string }).code;
    expect(await codeWith(`{"${key}":{"messagesPerSecond":1}}`)).toBe('invalid_configuration');
    expect(await codeWith('{"producer":{"messagesPerSecond":1000}}')).toBe('upgrade_required');
    untouched();
  });
});

describe('as a member of a message', () => {
  const polluting = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"n":1}';

  it('it is stored with all that it has', async () => {
    const client = await openSocket('/ws/messages?producer=polluting');
    client.send(polluting);
    const [row] = await until(async () => {
      const rows = await messagesOf(query, 'polluting');
      expect(rows).toHaveLength(1);
      return rows;
    });
    // The column is of jsonb, which writes it in its own way.
    expect(row?.payload).toBe(
      '{"n": 1, "__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}',
    );
    untouched();
    await client.close();
  });

  it.each([
    '{"t":"hello","__proto__":{"ack":"committed"},"constructor":1}',
    '{"t":"hello","__proto__":{"resume":true,"recover":true,"polluted":1}}',
  ])('of the hello %s it says nothing', async (hello) => {
    const client = new Client(
      await askWith({}, upgradeRequest('/ws/messages?producer=polluting-hello', 'sluice.v1')),
    );
    client.send(hello);
    expect(await client.frame<{ t: string; ack: string }>(0)).toMatchObject({ t: 'welcome', ack: 'stored' });
    untouched();
    await client.close();
  });
});

describe('in a namespace', () => {
  let own: TestNamespace;
  beforeAll(async () => {
    own = await createNamespace('sqlite');
  });

  it('messages and events keep it as data', async () => {
    const data = '{"__proto__":{"polluted":1},"n":1}';
    const post = (path: string, body: string) => own.fetch(path, json(body));
    expect((await post('/rpc', `["stream.write","a-1",{"type":"T","data":${data}}]`)).status).toBe(200);
    expect(await (await post('/rpc', '["stream.get","a-1"]')).text()).toContain('"__proto__":{"polluted":1}');
    // A member that an event does not have is refused or passed over.
    expect(
      (await post('/append', '{"events":{"type":"T","data":"x","tags":["__proto__"],"__proto__":{"id":1}}}'))
        .status,
    ).toBeLessThan(500);
    expect((await post('/rpc', '["stream.write","__proto__",{"type":"constructor","data":{}}]')).status).toBe(
      200,
    );
    expect((await post('/rpc', '["stream.version","__proto__"]')).status).toBe(200);
    untouched();
  });
});
