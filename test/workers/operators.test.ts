/** Who may look: what `/stats` and `/health` say to strangers, to those who may read, and to those who may operate. */

import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { LabEnv } from '../../lab/workers/env.ts';
import { askWith } from './support.ts';

const TOKENS = { OPERATORS: '', READ_TOKENS: 'look-old look-new', OPERATE_TOKENS: 'operate' };

function ask(
  path: string,
  token: string | undefined,
  overrides: Partial<LabEnv> = TOKENS,
): Promise<Response> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return askWith(overrides, new Request(`http://sluice${path}`, { headers }));
}

describe('GET /stats', () => {
  it.each(['look-old', 'look-new', 'operate'])('answers one who has %s', async (token) => {
    const response = await ask('/stats', token);
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.json()).toMatchObject({ sinks: { messages: {} } });
  });

  it('answers nobody else', async () => {
    for (const token of [undefined, '', 'look', 'look-old look-new', 'look-oldx']) {
      const response = await ask('/stats', token);
      expect({ token, status: response.status }).toEqual({ token, status: 401 });
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      expect(await response.json()).toMatchObject({ code: 'unauthorized' });
    }
    // What it would say of a wrong request is for those who may ask, too.
    expect((await ask('/stats?sink=nothing', undefined)).status).toBe(401);
    expect((await ask('/stats?sink=nothing', 'look-old')).status).toBe(404);
  });

  it('is closed where there are no tokens, and open only in so many words', async () => {
    for (const OPERATORS of ['', 'closed']) {
      const response = await ask('/stats', 'look-old', { OPERATORS });
      expect([response.status, await response.json()]).toEqual([
        403,
        expect.objectContaining({ code: 'operators_closed' }),
      ]);
    }
    expect((await ask('/stats', undefined, { OPERATORS: 'open' })).status).toBe(200);
    for (const OPERATORS of ['on', 'true', 'OPEN', ' open'])
      expect((await ask('/stats', undefined, { ...TOKENS, OPERATORS })).status).toBe(500);
  });

  it('takes a token from the header only', async () => {
    expect((await ask('/stats?token=look-old', undefined)).status).toBe(401);
    expect((await ask('/stats?access_token=look-old', undefined)).status).toBe(401);
  });
});

describe('GET /health', () => {
  const NOWHERE = 'postgres://name-of-user:topsecret@127.0.0.1:1/name-of-database';
  const secrets = ['name-of-user', 'topsecret', '127.0.0.1', 'name-of-database'];

  it('says to strangers that all is well, and to those who may read where the database is', async () => {
    for (const token of [undefined, 'wrong']) {
      const response = await ask('/health?deep=1', token);
      expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
    }
    for (const token of ['look-new', 'operate'])
      expect(await (await ask('/health?deep=1', token)).json()).toMatchObject({
        status: 'ok',
        reasons: [],
        database: {
          address: expect.stringContaining('127.0.0.1'),
          driver: 'tcp',
          latencyMs: expect.any(Number),
        },
      });
  });

  it.each([
    ['does not answer', NOWHERE, 503, 'database_unreachable'],
    ['is set wrongly', 'name-of-user:topsecret@127.0.0.1/name-of-database', 500, 'invalid_configuration'],
    ['does not let in', 'rejected', 503, 'database_unreachable'],
  ])('says to strangers only that the database %s', async (_, given, status, code) => {
    const url =
      given === 'rejected'
        ? String(env.DATABASE_URL).replace(/\/\/[^@]*@/, '//name-of-user:topsecret@')
        : given;
    for (const overrides of [TOKENS, { OPERATORS: '' }, { OPERATORS: 'on' }]) {
      const response = await ask('/health?deep=1', undefined, { ...overrides, DATABASE_URL: url });
      const text = await response.text();
      expect([response.status, JSON.parse(text)]).toEqual([status, expect.objectContaining({ code })]);
      for (const secret of secrets) expect(text).not.toContain(secret);
    }
  });

  it('says to those who may read why it does not answer, without the password', async () => {
    const response = await ask('/health?deep=1', 'look-old', { ...TOKENS, DATABASE_URL: NOWHERE });
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code: 'database_unreachable' });
    expect(text).toContain('name-of-user@127.0.0.1:1/name-of-database');
    expect(text).not.toContain('topsecret');
  });
});
