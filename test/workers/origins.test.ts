/** Which pages may ask: sockets, what is sent, and what a page may read (CORS). */

import { env } from 'cloudflare:workers';
import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import type { LabEnv } from '../../lab/workers/env.ts';
import { createSluice } from '../../workers/create-sluice.ts';
import worker from '../../workers/index.ts';
import { askWith, Client, upgradeRequest } from './support.ts';

const APP = 'https://app.example.com';
const EVIL = 'https://evil.example';
const LISTED = {
  ORIGINS: `${APP} https://*.example.org`,
  OPERATORS: '',
  READ_TOKENS: 'look',
  OPERATE_TOKENS: 'operate',
};

function request(path: string, init: RequestInit & { origin?: string } = {}): Request {
  const { origin, ...rest } = init;
  const headers = new Headers(init.headers);
  if (origin !== undefined) headers.set('origin', origin);
  return new Request(`http://sluice${path}`, { ...rest, headers });
}

describe('a socket', () => {
  async function opened(
    origin: string | undefined,
    overrides: Partial<LabEnv>,
    protocol?: string,
  ): Promise<string> {
    const upgrade = upgradeRequest('/ws/messages?producer=origins', protocol);
    if (origin !== undefined) upgrade.headers.set('origin', origin);
    const response = await askWith(overrides, upgrade);
    expect(response.status).toBe(101);
    const client = new Client(response);
    if (client.producer !== null) {
      await client.close();
      return 'open';
    }
    const { code, reason } = await client.closed;
    return `${code} ${reason.split(':')[0]}`;
  }

  it('opens for pages that are listed, for the Worker’s own, and for what is no page', async () => {
    for (const origin of [APP, 'https://a.example.org', 'http://sluice', undefined])
      expect(await opened(origin, LISTED), String(origin)).toBe('open');
    for (const origin of ['http://sluice', undefined])
      expect(await opened(origin, {}), String(origin)).toBe('open');
  });

  it('of another page is closed at once, and the page is told why', async () => {
    for (const origin of [EVIL, 'null', '', `${APP}.evil.example`, 'https://sluice', `${APP}, ${EVIL}`]) {
      expect(await opened(origin, LISTED, 'sluice.v1'), origin).toBe('4403 origin_not_allowed');
      expect(await opened(origin, LISTED), origin).toBe('1008 origin_not_allowed');
      expect(await opened(origin, LISTED, 'sluice.raw'), origin).toBe('1008 origin_not_allowed');
    }
    expect(await opened(APP, {}, 'sluice.v1')).toBe('4403 origin_not_allowed');
  });

  it('opens for nobody’s page where the variable is wrong', async () => {
    expect(await opened(APP, { ORIGINS: 'app.example.com' }, 'sluice.v1')).toBe('1011 invalid_configuration');
    // The control: what is no page asks for nothing of it.
    expect(await opened(undefined, { ORIGINS: 'app.example.com' })).toBe('open');
  });
});

/** A route of each kind that takes something, and what it answers an operator. */
const SENDING: [method: string, path: string, type: string, body: string, status: number][] = [
  ['POST', '/admin/messages/0/drain', 'application/json', '{}', 200],
  ['POST', '/rpc', 'application/json', '["ns.list"]', 200],
  ['POST', '/append', 'application/json', '{}', 401],
  ['POST', '/import', 'application/x-ndjson', '', 401],
  ['POST', '/bench/runs', 'application/json', '{"suite":"none"}', 400],
  ['DELETE', '/bench/runs/none', 'application/json', '', 404],
];

describe('what a page sends', () => {
  it.each(SENDING)(
    '%s %s is refused from a page that is not listed, with the right token too',
    async (method, path, type, body, status) => {
      const ask = (origin: string | undefined) =>
        askWith(
          LISTED,
          request(path, {
            method,
            headers: { authorization: 'Bearer operate', 'content-type': type },
            ...(origin === undefined ? {} : { origin }),
            ...(body === '' ? {} : { body }),
          }),
        );
      for (const origin of [EVIL, 'null']) {
        const response = await ask(origin);
        expect([response.status, await response.json()]).toEqual([
          403,
          expect.objectContaining({ code: 'origin_not_allowed' }),
        ]);
        expect(response.headers.get('access-control-allow-origin')).toBeNull();
      }
      // The control: the same from a page that is listed, from the Worker's own, and from what is no page.
      for (const origin of [APP, 'http://sluice', undefined]) {
        const response = await ask(origin);
        expect([origin, response.status]).toEqual([origin, status]);
        expect(response.headers.get('access-control-allow-origin')).toBe(origin ?? null);
        expect(response.headers.get('vary')).toContain('Origin');
        await response.body?.cancel();
      }
    },
  );
});

const READING = [
  ['/', 200],
  ['/health', 200],
  ['/stats', 200],
  ['/stats?sink=none', 404],
  ['/admin/messages/dead-letters', 200],
  ['/admin/messages/0/dead-letters', 403],
  ['/ws/messages', 426],
  ['/read?query=all', 401],
  ['/subscribe?all=true', 401],
  ['/export', 401],
  ['/bench/suites', 200],
  ['/nothing', 404],
] as const;

describe('what a page may read', () => {
  it.each(READING)('%s (%i): only a page that is listed, of errors too', async (path, status) => {
    for (const [origin, allowed] of [
      [APP, APP],
      ['https://a.b.example.org', 'https://a.b.example.org'],
      [EVIL, null],
      ['null', null],
      [undefined, null],
    ] as const) {
      const response = await askWith(
        LISTED,
        request(path, {
          headers: { authorization: 'Bearer look' },
          ...(origin === undefined ? {} : { origin }),
        }),
      );
      expect([origin, response.status]).toEqual([origin, status]);
      expect(response.headers.get('access-control-allow-origin')).toBe(allowed);
      expect(response.headers.get('access-control-allow-credentials')).toBeNull();
      expect(response.headers.get('vary')).toContain('Origin');
      await response.body?.cancel();
    }
  });

  it('is asked for by a preflight, which every route answers', async () => {
    for (const [path, methods] of [
      ['/health', 'GET'],
      ['/stats', 'GET'],
      ['/admin/messages/0/dead-letters/retry', 'POST'],
      ['/rpc', 'GET,POST,DELETE'],
      ['/import', 'POST'],
      ['/events/subscribe', 'GET'],
      ['/bench/runs/x', 'GET,POST,DELETE'],
    ] as const) {
      const preflight = (origin: string) =>
        askWith(
          LISTED,
          request(path, {
            method: 'OPTIONS',
            origin,
            headers: {
              'access-control-request-method': 'POST',
              'access-control-request-headers': 'authorization',
            },
          }),
        );
      const response = await preflight(APP);
      expect([path, response.status]).toEqual([path, 204]);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        'access-control-allow-origin': APP,
        'access-control-allow-methods': methods,
        'access-control-allow-headers': 'authorization,content-type,last-event-id,sluice-operator',
        'access-control-max-age': '600',
        vary: expect.stringContaining('Origin'),
      });
      expect((await preflight(EVIL)).headers.get('access-control-allow-origin')).toBeNull();
    }
  });

  it('is what the code lists, and the variable over it', async () => {
    const sluice = createSluice({
      sinks: { accounts: { namespace: 'accounts' } },
      origins: [APP],
    });
    const allowed = async (origin: string, overrides: Partial<LabEnv>) =>
      (await sluice.router.fetch(request('/', { origin }), { ...env, ...overrides })).headers.get(
        'access-control-allow-origin',
      );
    expect(await allowed(APP, {})).toBe(APP);
    expect(await allowed(EVIL, {})).toBeNull();
    expect(await allowed(APP, { ORIGINS: EVIL })).toBeNull();
    expect(await allowed(EVIL, { ORIGINS: EVIL })).toBe(EVIL);
    expect(() => createSluice({ sinks: {}, origins: ['app.example.com'] })).toThrow(
      '"app.example.com" is none',
    );
  });
});

describe('mounted in another application', () => {
  it('the surface is that of Sluice’s routes, and of no other', async () => {
    for (const at of ['/', '/sluice'] as const) {
      const app = new Hono().route(at, worker.router);
      app.post('/own', (context) => context.text('own'));
      app.get('/own', (context) => context.text('own'));
      app.options('/own', (context) => context.text('own'));
      const ask = (path: string, init: Parameters<typeof request>[1]) =>
        Promise.resolve(app.fetch(request(path, init), { ...env, ...LISTED }));
      for (const method of ['GET', 'POST', 'OPTIONS']) {
        const own = await ask('/own', { method, origin: EVIL });
        expect([own.status, await own.text()]).toEqual([200, 'own']);
        for (const header of ['vary', 'content-security-policy', 'cache-control', 'x-content-type-options'])
          expect(own.headers.get(header)).toBeNull();
      }
      const base = at === '/' ? '' : at;
      const health = await ask(`${base}/health`, { origin: APP });
      expect(health.headers.get('access-control-allow-origin')).toBe(APP);
      expect(health.headers.get('x-content-type-options')).toBe('nosniff');
      const refused = await ask(`${base}/rpc`, { method: 'POST', origin: EVIL, body: '["sys.version"]' });
      expect(refused.status).toBe(403);
    }
  });
});

describe('the headers of every answer', () => {
  it.each([
    ...READING.map(([path]) => ['GET', path] as const),
    ...SENDING.map(([method, path]) => [method, path] as const),
    ['OPTIONS', '/health'] as const,
    ['PUT', '/nothing'] as const,
  ])('%s %s: no sniffing, no frames, no referrer, no cache, and nothing in it runs', async (method, path) => {
    for (const upgrade of [false, true]) {
      const headers: Record<string, string> = upgrade ? { upgrade: 'h2c' } : {};
      const response = await askWith(LISTED, request(path, { method, headers }));
      await response.body?.cancel();
      expect(response.status).not.toBe(101);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
        'x-frame-options': 'DENY',
        'cache-control': expect.stringContaining('no-store'),
        'content-security-policy': expect.stringContaining("default-src 'none'"),
      });
    }
  });

  it('are there of an upgrade too that is answered without a socket', async () => {
    for (const path of ['/stats', '/nothing', '/bench/suites']) {
      const upgrade = upgradeRequest(path);
      const response = await askWith(LISTED, upgrade);
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
      await response.body?.cancel();
    }
    const unsupported = await askWith(LISTED, upgradeRequest('/ws/messages', 'other'));
    expect([unsupported.status, unsupported.headers.get('x-content-type-options')]).toEqual([400, 'nosniff']);
  });

  it('a page has a policy for what it needs', async () => {
    const page = await askWith({ BENCH: 'open' }, request('/bench', { headers: { accept: 'text/html' } }));
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-[^ ;]+'; style-src 'sha256-/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    await page.body?.cancel();
  });
});
