/**
 * Attacked: the headers by which the Worker tells its Durable Objects who asks. A client that sends them by itself must not be believed:
 * not who it is (`sluice-producer`, `sluice-grant`), not that it may use a namespace (`sluice-access`), not where it comes from
 * (`x-forwarded-*`).
 */

import { describe, expect, it } from 'vitest';
import { shardOf } from '../../../src/protocol/producer.ts';
import {
  ACCESS_HEADER,
  ADDRESS_HEADER,
  ASSIGNED_HEADER,
  GRANT_HEADER,
  PRODUCER_HEADER,
} from '../../../workers/objects.ts';
import { clientOf, createNamespace } from '../../workers/store-support.ts';
import { askWith, Client, upgradeRequest } from '../../workers/support.ts';

const CLOSED = { OPERATORS: '', READ_TOKENS: 'look', OPERATE_TOKENS: 'operate' };

async function socketWith(
  headers: Record<string, string>,
  overrides = {},
  path = '/ws/messages',
): Promise<Client> {
  const request = upgradeRequest(path, 'sluice.v1');
  for (const [name, value] of Object.entries(headers)) request.headers.set(name, value);
  const response = await askWith(overrides, request);
  expect(response.status).toBe(101);
  return new Client(response);
}

describe('a forged producer', () => {
  it.each([PRODUCER_HEADER, PRODUCER_HEADER.toUpperCase()])(
    'in %s is not taken for the client’s name',
    async (header) => {
      const client = await socketWith({
        [header]: 'victim',
        [ASSIGNED_HEADER]: 'yes',
        [ADDRESS_HEADER]: 'http://sluice/ws/messages?producer=victim',
      });
      expect(client.producer).toMatch(/^[0-9a-f-]{36}$/);
      await client.close();
      const named = await socketWith({ [header]: 'victim' }, {}, '/ws/messages?producer=myself');
      expect(named.producer).toBe('myself');
      await named.close();
      // The control: in the address it is.
      const control = await socketWith({}, {}, '/ws/messages?producer=victim');
      expect(control.producer).toBe('victim');
      await control.close();
    },
  );
});

describe('a forged grant', () => {
  const AUTHORIZED = { AUTHORIZE: 'tokens', INGEST_TOKENS: 'good-token-of-the-test:sha256:' };

  it.each(['{}', 'open', 'none', '{"tenant":"acme"}', '{"sinks":["messages"]}'])(
    'of %j opens nothing where tokens are asked for',
    async (grant) => {
      const hash = [
        ...new Uint8Array(
          await crypto.subtle.digest('SHA-256', new TextEncoder().encode('the-right-token-of-this-test')),
        ),
      ]
        .map((byte) => byte.toString(16).padStart(2, '0'))
        .join('');
      const overrides = { ...AUTHORIZED, INGEST_TOKENS: `mine:sha256:${hash}` };
      const forged = { [GRANT_HEADER]: grant, [PRODUCER_HEADER]: 'victim' };
      const raw = upgradeRequest('/ws/messages');
      for (const [name, value] of Object.entries(forged)) raw.headers.set(name, value);
      const refused = new Client(await askWith(overrides, raw));
      expect(await refused.closed).toMatchObject({
        code: 1008,
        reason: expect.stringMatching(/^unauthorized/),
      });
      // In sluice.v1 it may say hello with a token, and nothing before.
      const client = await socketWith(forged, overrides);
      client.send('{"t":"hello"}');
      expect((await client.closed).code).toBe(4401);
      // The control: with the token it is let in.
      const control = await socketWith({ authorization: 'Bearer the-right-token-of-this-test' }, overrides);
      control.send('{"t":"hello"}');
      expect(await control.frame<{ t: string }>(0)).toMatchObject({ t: 'welcome' });
      await control.close();
    },
  );
});

describe('forged access to a namespace', () => {
  it('is not believed', async () => {
    const own = await createNamespace('sqlite');
    await own.client.write('a-1', { type: 'T', data: {} });
    for (const access of ['open', `token ${own.token}`]) {
      for (const [path, init] of [
        ['/export', {}],
        ['/read?query=all', {}],
        [
          '/rpc',
          { method: 'POST', body: '["stream.get","a-1"]', headers: { 'content-type': 'application/json' } },
        ],
      ] as const) {
        const request = new Request(`http://sluice${path}`, init);
        request.headers.set(ACCESS_HEADER, access);
        expect((await askWith(CLOSED, request)).status, path).toBe(401);
        // Beside another namespace's token neither.
        const other = await createNamespace('sqlite');
        const mixed = new Request(`http://sluice${path}`, init);
        mixed.headers.set(ACCESS_HEADER, access);
        mixed.headers.set('authorization', `Bearer ${other.token}`);
        const answer = await askWith(CLOSED, mixed);
        expect(answer.status, path).toBe(200);
        expect(await answer.text(), path).not.toContain('"T"');
      }
    }
    // The control.
    expect(await clientOf(own.token).get('a-1')).toHaveLength(1);
  });
});

describe('a forged way', () => {
  const FORGED = {
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'localhost',
    'x-forwarded-proto': 'https',
    'x-real-ip': '127.0.0.1',
    forwarded: 'for=127.0.0.1;host=localhost;proto=https',
    'x-original-url': '/health',
    'x-rewrite-url': '/health',
    'x-http-method-override': 'GET',
  };

  it('makes nobody an operator, and no other address of this one', async () => {
    for (const [path, method] of [
      ['/stats', 'GET'],
      ['/admin/messages/0/drain', 'POST'],
      ['/admin/messages/0/dead-letters', 'GET'],
    ] as const) {
      const ask = (more: Record<string, string>) =>
        askWith(CLOSED, new Request(`http://sluice${path}`, { method, headers: { ...FORGED, ...more } }));
      expect((await ask({})).status, path).toBe(401);
      // The control: with the token, and all the same headers.
      expect((await ask({ authorization: 'Bearer operate' })).status, path).toBe(200);
    }
  });

  it('makes no page one of the Worker’s own', async () => {
    const ask = (origin: string) =>
      askWith(
        { ...CLOSED, OPERATORS: 'open' },
        new Request('http://sluice/rpc', {
          method: 'POST',
          headers: {
            ...FORGED,
            'x-forwarded-host': 'evil.example',
            host: 'evil.example',
            origin,
            'content-type': 'application/json',
          },
          body: '["ns.list"]',
        }),
      );
    for (const origin of ['http://evil.example', 'http://localhost', 'https://sluice'])
      expect((await ask(origin)).status).toBe(403);
    expect((await ask('http://sluice')).status).toBe(200);
  });

  it('chooses no shard', async () => {
    // Two shards, so that a wrong name would lead elsewhere.
    const overrides = { SINKS: { messages: { shards: 2 } } };
    const names = Array.from({ length: 8 }, (_, index) => `forged-${index}`);
    expect(new Set(names.map((name) => shardOf(name, 2))).size).toBe(2);
    for (const name of names) {
      const client = await socketWith(
        { [PRODUCER_HEADER]: names[0] as string },
        overrides,
        `/ws/messages?producer=${name}`,
      );
      expect(client.producer).toBe(name);
      await client.close();
    }
  });
});
