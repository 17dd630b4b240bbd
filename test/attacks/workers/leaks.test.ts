/**
 * Attacked: answers to strangers. Whatever fails inside, they are told no host, user, database, statement, stack or path of a file: not by a
 * database that cannot be reached, by a Durable Object that fails, or by a body that cannot be read.
 */

import { describe, expect, it, vi } from 'vitest';
import type { LabEnv } from '../../../lab/workers/env.ts';
import worker from '../../../workers/index.ts';
import { askWith, Client, upgradeRequest } from '../../workers/support.ts';

const SECRETS = ['user-4711', 'password-4711', 'host-4711', 'database-4711'];
const DATABASE_URL = 'postgres://user-4711:password-4711@host-4711.invalid:1/database-4711';
const INSIDE =
  /\bat \S+ \(|:\d+:\d+\)|node_modules|\.(ts|js)\b|\b(select|insert into|update|delete from) \w/i;

/** What a Durable Object fails with: as the drivers do, with the address and the statement in its text. */
const failure = (): Error =>
  new Error(
    'connect ECONNREFUSED user-4711@host-4711.invalid:1/database-4711: select payload from messages',
    {
      cause: new Error('at Shard.flush (/build/workers/shard.ts:1:1)'),
    },
  );

/** Durable Objects of which every call fails. */
const failing = {
  getByName: () =>
    new Proxy(
      {},
      {
        get: () => () => {
          throw failure();
        },
      },
    ),
} as unknown as LabEnv['SHARD'];

const FAILING: Partial<LabEnv> = {
  DATABASE_URL,
  SHARD: failing,
  NAMESPACE: failing as unknown as LabEnv['NAMESPACE'],
  MONITOR: failing as unknown as NonNullable<LabEnv['MONITOR']>,
  REGISTRY: failing as unknown as LabEnv['REGISTRY'],
  BENCH_SHARD: failing as unknown as LabEnv['BENCH_SHARD'],
  BENCH_OBJECT: failing as unknown as LabEnv['BENCH_OBJECT'],
  LOAD_OBJECT: failing as unknown as LabEnv['LOAD_OBJECT'],
};
/** Everything is open, so that each request gets as far as it can. */
const OPEN: Partial<LabEnv> = { OPERATORS: 'open', BENCH: 'open', OPEN_NAMESPACE: 'open' };
const CLOSED: Partial<LabEnv> = { OPERATORS: '', BENCH: 'off', OPEN_NAMESPACE: '' };

const routes = [
  ...new Set(
    worker.router.routes
      .filter(({ handler }) => handler.length < 2)
      .map(({ method, path }) => `${method === 'ALL' ? 'POST' : method} ${path.replace(/\{.*?\}/, '')}`),
  ),
].map((route) => route.split(' ') as [method: string, path: string]);

const addressOf = (path: string): string =>
  path.replace(':sink', 'messages').replace(':shard', '0').replace(':id', '1').replace('/*', '/none');

function request(method: string, path: string, body: string | undefined): Request {
  const headers = { 'content-type': path === '/import' ? 'application/x-ndjson' : 'application/json' };
  return new Request(`http://sluice${path}`, {
    method,
    headers,
    ...(method === 'POST' && body !== undefined ? { body } : {}),
  });
}

async function assertTellsNothing(response: Response): Promise<void> {
  const text = await response.text();
  for (const secret of SECRETS) expect(text).not.toContain(secret);
  expect(text).not.toMatch(INSIDE);
}

describe('what fails inside', () => {
  it.each(routes)('%s %s tells nothing of it', async (method, path) => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    for (const access of [CLOSED, OPEN]) {
      for (const body of [
        '{}',
        '[',
        '["ns.list"]',
        '["stream.get","a-1"]',
        '{"ids":[1]}',
        '\u0000',
        '{"sink":"messages","producer":"p"}',
      ]) {
        // An operator of an open deployment is no stranger; the address of the database is what `/health` is for.
        if (path === '/health' && access === OPEN) continue;
        await assertTellsNothing(
          await askWith({ ...FAILING, ...access }, request(method, addressOf(path), body)),
        );
      }
    }
    for (const [line] of log.mock.calls) expect(() => JSON.parse(String(line))).not.toThrow();
    log.mockRestore();
  });

  it('is in the log: the control', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    const response = await askWith(
      { ...FAILING, ...OPEN },
      request('GET', '/admin/messages/0/dead-letters', undefined),
    );
    expect([response.status, await response.json()]).toEqual([
      500,
      expect.objectContaining({ code: 'internal' }),
    ]);
    expect(log.mock.calls.flat().join('\n')).toContain('host-4711');
    log.mockRestore();
  });

  it.each(['sluice.v1', undefined])('is no reason of a close (%s)', async (protocol) => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    const response = await askWith(FAILING, upgradeRequest('/ws/messages?producer=leaks', protocol));
    if (response.status === 101) {
      const { reason } = await new Client(response).closed;
      for (const secret of SECRETS) expect(reason).not.toContain(secret);
    } else await assertTellsNothing(response);
    log.mockRestore();
  });
});

describe('an address that cannot be read', () => {
  it.each([
    '/ws/%',
    '/ws/%ff',
    '/ws/%E0%A4%A',
    '/admin/%/0/dead-letters',
    '/admin/messages/%/dead-letters',
    '/stats?sink=%',
    '/bench?suite=%',
    '/read?query=%',
    '/%c0',
  ])('%s is refused in words of Sluice', async (path) => {
    const response = await askWith(OPEN, path);
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.status).toBeLessThan(500);
    await assertTellsNothing(response);
  });
});

describe('a body that cannot be read', () => {
  it.each([
    '/admin/messages/0/dead-letters/drop',
    '/admin/messages/0/resume',
    '/admin/revoke',
    '/admin/tickets',
    '/rpc',
    '/append',
    '/bench/runs',
    '/bench/store?target=x',
  ])('of %s is refused in words of Sluice', async (path) => {
    for (const body of ['{', '[1', '"', 'null', '7', '{"a":1}x', '\ud800', '[[[[[[', '']) {
      const response = await askWith(OPEN, request('POST', path, body));
      const text = await response.clone().text();
      expect([path, body, response.status < 500 || text.includes('invalid_configuration')]).toEqual([
        path,
        body,
        true,
      ]);
      expect(text).not.toMatch(/SyntaxError|TypeError|RangeError/);
      await assertTellsNothing(response);
    }
  });
});
