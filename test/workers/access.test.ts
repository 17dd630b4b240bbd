/** Who may connect, from `createSluice` to the shard. */

import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { Authorize } from '../../src/access/authorize.ts';
import { tokenProtocol } from '../../src/access/credentials.ts';
import type { Grant } from '../../src/access/grant.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { attachmentsOf, bearer, outcome, upgrade, workerWith } from './access-support.ts';
import { Client, evict, until, upgradeRequest, useDatabase } from './support.ts';

useDatabase();

/** Knows one token. */
const knows =
  (token: string, grant: Grant = {}): Authorize =>
  (_, question) =>
    question.token === token ? grant : undefined;

describe('who may connect', () => {
  it('is said by the token of the header, or of a subprotocol, and nobody else gets in', async () => {
    const ask = workerWith(knows('secret'));
    const v1 = { 'sec-websocket-protocol': `sluice.v1, ${tokenProtocol('secret')}` };
    const raw = { 'sec-websocket-protocol': `${tokenProtocol('secret')}, sluice.raw` };
    expect(await outcome(await ask(upgrade('/ws/messages', bearer('secret'))))).toBe('open');
    expect(await outcome(await ask(upgrade('/ws/messages', v1)))).toBe('open');
    expect(await outcome(await ask(upgrade('/ws/messages', raw)))).toBe('open');
    expect(await outcome(await ask(upgrade('/ws/messages')))).toMatch(/^1008 unauthorized: Say who you are/);
    expect(await outcome(await ask(upgrade('/ws/messages', bearer('other'))))).toMatch(
      /^1008 unauthorized: /,
    );
    const other = { 'sec-websocket-protocol': `sluice.v1, ${tokenProtocol('other')}` };
    expect(await outcome(await ask(upgrade('/ws/messages', other)))).toMatch(/^4401 unauthorized: /);
  });

  it('has to be said by the code or by AUTHORIZE', async () => {
    const upgradeToAll = () => upgrade('/ws/messages');
    expect(await outcome(await workerWith(undefined)(upgradeToAll()))).toMatch(
      /^1011 invalid_configuration: Nothing says who may send/,
    );
    expect(await outcome(await workerWith('open')(upgradeToAll()))).toBe('open');
    expect(await outcome(await workerWith(undefined, { AUTHORIZE: ' open ' })(upgradeToAll()))).toBe('open');
    expect(await outcome(await workerWith(knows('x'), { AUTHORIZE: 'open' })(upgradeToAll()))).toBe('open');
    expect(await outcome(await workerWith('open', { AUTHORIZE: 'opne' })(upgradeToAll()))).toMatch(
      /^1011 invalid_configuration: The variable AUTHORIZE is wrong/,
    );
    expect(() => workerWith('opne' as never)).toThrow(/authorize/);
  });

  it('is told as a problem where there is no upgrade', async () => {
    const ask = workerWith(knows('secret', { sinks: ['others'] }));
    const stranger = await ask(new Request('http://sluice/ws/messages'));
    expect(stranger.status).toBe(401);
    expect(stranger.headers.get('www-authenticate')).toBe('Bearer');
    const known = await ask(new Request('http://sluice/ws/messages', { headers: bearer('secret') }));
    expect(known.status).toBe(403);
    expect(await known.json()).toMatchObject({ code: 'forbidden' });
    const allowed = await workerWith(knows('secret'))(
      new Request('http://sluice/ws/messages', { headers: bearer('secret') }),
    );
    expect(allowed.status).toBe(426);
  });

  it('asks them in turn, and a failure of one is told without what it said', async () => {
    const failing: Authorize = (_, { token }) => {
      if (token === 'breaks') throw new Error(`no answer for ${token}`);
      if (token === 'b4nned') throw new SluiceError('forbidden', `${token} was banned`);
      return undefined;
    };
    const ask = workerWith([failing, knows('secret')]);
    expect(await outcome(await ask(upgrade('/ws/messages', bearer('secret'))))).toBe('open');
    expect(await outcome(await ask(upgrade('/ws/messages', bearer('breaks'))))).toMatch(
      /^1013 authorization_unavailable: It cannot be found out now/,
    );
    expect(await outcome(await ask(upgrade('/ws/messages', bearer('b4nned'))))).toBe(
      '1008 forbidden: [token] was banned',
    );
  });
});

describe('a tenant', () => {
  it('has its own producers: the shard knows them by both names, the client by its name alone', async () => {
    const ask = workerWith(knows('secret', { tenant: 'acme', producers: ['dev-*'] }));
    const client = new Client(await ask(upgrade('/ws/messages?producer=dev-1', bearer('secret'))));
    expect(client.producer).toBe('dev-1');
    const other = await ask(upgrade('/ws/messages?producer=other-1', bearer('secret')));
    expect(await outcome(other)).toMatch(/^1008 forbidden: /);
    const elsewhere = await ask(upgrade('/ws/messages?producer=dev-1&tenant=other', bearer('secret')));
    expect(await outcome(elsewhere)).toMatch(/^1008 forbidden: /);
    const attachments = await attachmentsOf();
    expect(attachments.map(({ producer }) => producer)).toContain('acme/dev-1');
    await client.close();
  });
});

describe('what the shard is told', () => {
  it('comes from the Worker alone, and stays through hibernation', async () => {
    const ask = workerWith(knows('secret', { sinks: ['messages'], tokenId: 'Zoë' }));
    const forged = {
      ...bearer('secret'),
      'sluice-grant': '{"tenant":"forged"}',
      'sluice-producer': 'forged',
      'sluice-address': 'http://forged/',
      'sluice-assigned': 'yes',
    };
    const path = '/ws/messages?producer=kept&utm_source=x';
    const client = new Client(await ask(upgrade(path, forged)));
    expect(client.producer).toBe('kept');
    const expected = {
      producer: 'kept',
      kept: {
        access: { sinks: ['messages'], tokenId: 'Zoë' },
        address: 'http://sluice/ws/messages?producer=kept',
        isAssigned: false,
      },
    };
    expect(await attachmentsOf()).toMatchObject([expected]);
    await evict(env.SHARD.getByName('messages/0'));
    expect(await attachmentsOf()).toMatchObject([expected]);
    await client.close();
  });

  it('fits what a socket keeps, however much it is', async () => {
    // Characters outside Latin-1 make each of them take two bytes.
    const grant = (names: number): Grant => ({
      tenant: 't'.repeat(64),
      producers: ['*', ...Array.from({ length: names }, () => 'p'.repeat(128))],
      tokenId: '€'.repeat(128),
    });
    const path = `/ws/messages?producer=${'n'.repeat(128)}`;
    const connect = (names: number, protocol: string) =>
      workerWith(knows('secret', grant(names)))(
        upgrade(path, { ...bearer('secret'), 'sec-websocket-protocol': protocol }),
      );
    for (const protocol of ['sluice.raw', 'sluice.v1']) {
      const client = new Client(await connect(29, protocol));
      client.send(protocol === 'sluice.v1' ? '{"t":"hello"}' : 'ping');
      await until(() => expect(client.frames).toHaveLength(1));
      expect(await attachmentsOf()).toMatchObject([{ kept: { access: grant(29) } }]);
      await client.close();
      expect(await outcome(await connect(30, protocol))).toMatch(/invalid_configuration: .*too long/);
    }
  });

  it('is that nobody has said who it is, where a client of sluice.v1 says nothing in its upgrade', async () => {
    const ask = workerWith(knows('secret'));
    const client = new Client(await ask(upgradeRequest('/ws/messages?producer=silent', 'sluice.v1')));
    expect((await attachmentsOf()).map(({ kept }) => kept.access)).toEqual(['none']);
    await client.close();
  });
});
