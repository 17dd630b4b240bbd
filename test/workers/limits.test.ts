/** How much somebody may send, from `createSluice` to the shard. */

import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { Authorize } from '../../src/access/authorize.ts';
import type { Grant } from '../../src/access/grant.ts';
import type { LimitsOf } from '../../src/access/limits.ts';
import { messages } from '../../src/schema/messages.ts';
import { messageSources } from '../../src/sinks/column-sources.ts';
import type { AuthorizeOption } from '../../workers/authorization.ts';
import { createSluice } from '../../workers/create-sluice.ts';
import { Client, until, useDatabase } from './support.ts';

useDatabase();

const sinks = { messages: { table: messages, columns: messageSources } };

interface Settings {
  authorize?: AuthorizeOption;
  limits?: LimitsOf;
  variables?: Record<string, unknown>;
}

function workerWith({ authorize = 'open', limits, variables = {} }: Settings) {
  const sluice = createSluice({ sinks, authorize, ...(limits === undefined ? {} : { limits }) });
  const { AUTHORIZE: _, ...others } = env;
  return async (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
    sluice.router.fetch(new Request(`http://sluice${path}`, { method, headers }), {
      ...others,
      ...variables,
    });
}

const upgrade = (address?: string): Record<string, string> => ({
  upgrade: 'websocket',
  ...(address === undefined ? {} : { 'cf-connecting-ip': address }),
});

async function leave(response: Response): Promise<void> {
  expect(response.status).toBe(101);
  await new Client(response).close();
}

describe('upgrades of an address', () => {
  it('are counted before anything else is asked, and one too many is told when to come again', async () => {
    const ask = workerWith({ limits: { address: { requestsPerSecond: 0.1 } } });
    await leave(await ask('/ws/messages', upgrade('203.0.113.1')));
    const refused = await ask('/ws/messages', upgrade('203.0.113.1'));
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({
      code: 'rate_limited',
      status: 429,
      detail: expect.stringContaining('0.1 requests a second'),
      'violated-policies': ['address'],
    });
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(refused.headers.get('retry-after')).toBe('10');
    expect(refused.headers.get('ratelimit-policy')).toBe('"address";q=1;w=10');
    expect(refused.headers.get('ratelimit')).toBe('"address";r=0;t=10');
    // Controls: another address, and none, as where nobody sets the header.
    await leave(await ask('/ws/messages', upgrade('203.0.113.2')));
    for (let time = 0; time < 3; time += 1) await leave(await ask('/ws/messages', upgrade()));
    // An address that is none counts as none.
    for (let time = 0; time < 3; time += 1) await leave(await ask('/ws/messages', upgrade('1, 2')));
  });

  it('control: without a limit all are let in', async () => {
    const ask = workerWith({});
    for (let time = 0; time < 5; time += 1) await leave(await ask('/ws/messages', upgrade('203.0.113.3')));
  });

  it('may be limited by the variable LIMITS, which has to be right', async () => {
    const LIMITS = '{"address":{"requestsPerSecond":0.1}}';
    const ask = workerWith({ variables: { LIMITS } });
    await leave(await ask('/ws/messages', upgrade('203.0.113.4')));
    expect((await ask('/ws/messages', upgrade('203.0.113.4'))).status).toBe(429);
    const wrong = await workerWith({ variables: { LIMITS: '{"adress":{}}' } })('/rpc', {}, 'POST');
    expect(wrong.status).toBe(500);
    expect(await wrong.json()).toMatchObject({
      code: 'invalid_configuration',
      detail: expect.stringContaining('The variable LIMITS has limits of "adress"'),
    });
    expect(() => createSluice({ sinks, limits: { tenants: {} } as never })).toThrow(
      'The option limits has limits of "tenants"',
    );
  });
});

describe('requests to other doors', () => {
  it.each(['/rpc', '/append', '/import'])('%s are counted', async (path) => {
    const ask = workerWith({ limits: { address: { requestsPerSecond: 0.1 } } });
    const headers = { 'cf-connecting-ip': '203.0.113.5' };
    expect((await ask(path, headers, 'POST')).status).not.toBe(429);
    expect((await ask(path, headers, 'POST')).status).toBe(429);
  });

  it('with a wrong token are counted, and those with the right one are not', async () => {
    const variables = { OPERATORS: 'closed', OPERATE_TOKENS: 'right' };
    const ask = workerWith({ limits: { address: { requestsPerSecond: 0.1 } }, variables });
    const as = (token: string, address: string) =>
      ask('/admin/messages/dead-letters', {
        authorization: `Bearer ${token}`,
        'cf-connecting-ip': address,
      });
    for (let time = 0; time < 3; time += 1) expect((await as('right', '203.0.113.6')).status).toBe(200);
    expect((await as('wrong', '203.0.113.6')).status).toBe(401);
    expect((await as('wrong', '203.0.113.6')).status).toBe(429);
    // Nobody learns any more whether a token is the right one.
    expect((await as('right', '203.0.113.6')).status).toBe(429);
    expect((await as('right', '203.0.113.7')).status).toBe(200);
  });
});

describe('limits of a grant', () => {
  const knows =
    (grants: Record<string, Grant>): Authorize =>
    (_, { token }) =>
      grants[token ?? ''];
  const limits = { tenant: { connections: 1, messagesPerSecond: 5 } };
  const ask = workerWith({ authorize: knows({ few: { tenant: 'few', limits }, all: { tenant: 'all' } }) });
  const connect = async (token: string, protocol?: string): Promise<Client> =>
    new Client(
      await ask('/ws/messages', {
        upgrade: 'websocket',
        authorization: `Bearer ${token}`,
        ...(protocol === undefined ? {} : { 'sec-websocket-protocol': protocol }),
      }),
    );

  it('are the credit of its sessions, and bound its sockets', async () => {
    for (const [token, credit] of [
      ['few', 5],
      ['all', 8_192],
    ] as const) {
      const client = await connect(token, 'sluice.v1');
      client.send('{"t":"hello"}');
      expect(await client.frame(0)).toMatchObject({ t: 'welcome', credit: { messages: credit } });
      const second = await connect(token);
      second.send('ping');
      await until(() => expect(second.isClosed || second.frames.length > 0).toBe(true));
      if (token === 'all') {
        expect(second.isClosed).toBe(false);
        await second.close();
      } else {
        expect(await second.closed).toMatchObject({
          code: 1008,
          reason:
            'too_many_connections: the limit of this tenant is 1 connection: close others, or try again later',
        });
      }
      await client.close();
      // Once it has gone there is room for another.
      await until(async () => {
        const third = await connect(token);
        third.send('ping');
        await until(() => expect(third.isClosed || third.frames.length > 0).toBe(true));
        expect(third.isClosed).toBe(false);
        await third.close();
      });
    }
  });
});
