/** JSON Web Tokens, static tokens and tickets over real sockets, as the variables set them up. */

import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LabEnv } from '../../lab/workers/env.ts';
import { tokenProtocol } from '../../src/access/credentials.ts';
import { issueTicket, type TicketRequest } from '../../src/access/tickets.ts';
import { attachmentsOf, bearer, outcome, upgrade, workerWith } from './access-support.ts';
import { abortShard, Client, messagesOf, until, upgradeRequest, useDatabase } from './support.ts';

const query = useDatabase();

const SECRET = 'a-secret-of-thirty-two-bytes-or-more-1';
const OTHER = 'a-secret-of-thirty-two-bytes-or-more-2';
const JWT = { AUTHORIZE: 'jwt', JWT_SECRET: SECRET };
const TICKETS = { AUTHORIZE: 'tickets', TICKET_SECRETS: SECRET };

/** All that the Worker and its shards wrote to the console, and all that clients were told. */
let told: string[] = [];
/** What must not be in it. */
let secrets: string[] = [];

beforeEach(() => {
  told = [];
  secrets = [SECRET, OTHER];
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    vi.spyOn(console, method).mockImplementation((...texts) => {
      told.push(texts.map(String).join(' '));
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  const all = told.join('\n');
  for (const secret of secrets) {
    expect(all).not.toContain(secret);
    expect(all).not.toContain(btoa(secret).replaceAll('=', ''));
  }
});

/** Asks, and keeps all that the answer says. */
async function tell(ask: (request: Request) => Promise<Response>, request: Request): Promise<string> {
  const response = await ask(request);
  told.push(JSON.stringify([...response.headers]));
  if (response.status !== 101) told.push(await response.clone().text());
  const result = await outcome(response);
  told.push(result);
  return result;
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

async function token(claims: Record<string, unknown> = {}, secret = SECRET): Promise<string> {
  const made = await new SignJWT({ exp: nowSeconds() + 600, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret));
  secrets.push(made);
  return made;
}

async function ticket(more: Partial<TicketRequest> = {}, secret = SECRET): Promise<string> {
  const made = await issueTicket(secret, { sink: 'messages', producer: 'ticket-1', ...more });
  secrets.push(made);
  return made;
}

const protocols = (mode: string, given: string) => ({
  'sec-websocket-protocol': `${mode}, ${tokenProtocol(given)}`,
});

describe.each([
  ['jwt', JWT, (): Promise<string> => token(), (): Promise<string> => token({}, OTHER)],
  [
    'tokens',
    { AUTHORIZE: 'tokens' },
    async (): Promise<string> => 'static-token-1',
    async (): Promise<string> => 'static-token-2',
  ],
] as const)('AUTHORIZE=%s', (name, variables, right, wrong) => {
  it('lets in by the header and by the subprotocol, v1 and raw, and nobody without', async () => {
    const hash = await sha256('static-token-1');
    const ask = workerWith(undefined, {
      ...variables,
      ...(name === 'tokens' ? { INGEST_TOKENS: `hall:sha256:${hash}` } : {}),
    });
    const [good, bad] = [await right(), await wrong()];
    secrets.push(good, bad);
    const path = '/ws/messages?producer=ways';
    for (const [given, expected] of [
      [good, ['open', 'open', 'open', 'open', '426']],
      [
        bad,
        [
          expect.stringMatching(/^1008 unauthorized: /),
          expect.stringMatching(/^4401 unauthorized: /),
          expect.stringMatching(/^1008 unauthorized: /),
          expect.stringMatching(/^4401 unauthorized: /),
          '401',
        ],
      ],
    ] as const) {
      const v1 = { 'sec-websocket-protocol': 'sluice.v1', ...bearer(given) };
      const outcomes = [
        await tell(ask, upgrade(path, bearer(given))),
        await tell(ask, upgrade(path, v1)),
        await tell(ask, upgrade(path, protocols('sluice.raw', given))),
        await tell(ask, upgrade(path, protocols('sluice.v1', given))),
        await tell(ask, new Request(`http://sluice${path}`, { headers: bearer(given) })),
      ];
      expect(outcomes, given).toEqual(expected);
    }
    expect(await tell(ask, upgrade(path))).toMatch(/^1008 unauthorized: /);
    expect(await tell(ask, upgrade(`${path}&ticket=${good}`, bearer(good)))).toMatch(
      /^1008 invalid_options: /,
    );
    const open = workerWith(undefined, { ...variables, AUTHORIZE: 'open' });
    expect(await tell(open, upgrade(path)), 'the control').toBe('open');
  });
});

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

describe('a JSON Web Token', () => {
  it('that has expired, or is for another audience, opens nothing', async () => {
    const ask = workerWith(undefined, {
      ...JWT,
      JWT_AUDIENCE: 'sluice other',
      JWT_ISSUER: 'https://id.example',
    });
    const right = { aud: 'other', iss: 'https://id.example' };
    const upgradeWith = async (claims: object) =>
      tell(ask, upgrade('/ws/messages', bearer(await token(claims as Record<string, unknown>))));
    expect(await upgradeWith(right)).toBe('open');
    expect(await upgradeWith({ ...right, exp: nowSeconds() - 60 })).toMatch(/^1008 unauthorized: .*expired/);
    expect(await upgradeWith({ ...right, aud: 'third' })).toMatch(/^1008 unauthorized: /);
    expect(await upgradeWith({ ...right, iss: 'https://id.example.com' })).toMatch(/^1008 unauthorized: /);
  });

  it('may be in the hello of sluice.v1; its tenant has to be the one of the address', async () => {
    const ask = workerWith(undefined, JWT);
    const hello = async (path: string, given: string | undefined): Promise<string> => {
      await inShard({ AUTHORIZE: 'jwt', JWT_SECRET: SECRET });
      const client = new Client(await ask(upgradeRequest(path, 'sluice.v1')));
      client.send(JSON.stringify({ t: 'hello', token: given }));
      await until(() => expect(client.frames.length > 0 || client.isClosed).toBe(true));
      told.push(...client.frames);
      if (client.isClosed) {
        const { code, reason } = await client.closed;
        told.push(reason);
        return `${code} ${reason}`;
      }
      const { t, producer } = await client.frame<{ t: string; producer: string }>(0);
      await client.close();
      return `${t} ${producer}`;
    };
    const path = '/ws/messages?producer=hello-1';
    expect(await hello(path, await token())).toBe('welcome hello-1');
    expect(await hello(`${path}&tenant=acme`, await token({ tenant: 'acme' }))).toBe('welcome hello-1');
    expect(await hello(path, undefined)).toMatch(/^4401 unauthorized: /);
    expect(await hello(path, await token({}, OTHER))).toMatch(/^4401 unauthorized: /);
    expect(await hello(path, await token({ tenant: 'acme' }))).toMatch(/^4403 forbidden: .*tenant/);
    expect(await hello(`${path}&tenant=acme`, await token({ tenant: 'other' }))).toMatch(/^4403 forbidden: /);
    expect(await hello(`${path}&tenant=acme`, await token())).toMatch(/^4403 forbidden: /);
    expect(await hello(path, await token({ producers: ['hello-2'] }))).toMatch(/^4403 forbidden: /);
    expect(await hello(path, await token({ sinks: ['others'] }))).toMatch(/^4403 forbidden: /);
    const unnamed = '/ws/messages';
    expect(await hello(unnamed, await token({ producers: ['hello-2'] }))).toMatch(/^welcome [0-9a-f-]{36}$/);
    await inShard({ AUTHORIZE: 'open' });
  });
});

const shard = () => env.SHARD.getByName('messages/0');

/** Lets the running shard see other variables, as after a deployment. */
function inShard(variables: Partial<LabEnv>): Promise<void> {
  return runInDurableObject(shard(), (instance) => {
    const held = instance as unknown as { env: LabEnv };
    held.env = { ...held.env, ...variables };
  });
}

describe('a ticket', () => {
  const path = (made: string, more = '') => `/ws/messages?ticket=${made}${more}`;

  it('opens one socket, as the producer it is for, and its message arrives', async () => {
    const ask = workerWith(undefined, TICKETS);
    const client = new Client(
      await ask(upgrade(path(await ticket({ producer: 'ticket-row', tenant: 'acme' })))),
    );
    expect(client.producer).toBe('ticket-row');
    client.send('{"from": "a ticket"}');
    await until(async () => expect(await messagesOf(query, 'acme/ticket-row')).toHaveLength(1));
    const [attached] = await attachmentsOf();
    expect(attached?.kept.access, 'nothing is left of its use').toMatchObject({ producer: 'ticket-row' });
    expect(attached?.kept.access).not.toHaveProperty('once');
    await client.close();
  });

  it('opens no second one: not later, not at the same time, and not after a restart of the shard', async () => {
    const ask = workerWith(undefined, TICKETS);
    const used = /^(1008|4401) unauthorized: The ticket was used before/;
    const made = await ticket({ producer: 'twice' });
    expect(await tell(ask, upgrade(path(made)))).toBe('open');
    expect(await tell(ask, upgrade(path(made)))).toMatch(used);
    expect(await tell(ask, upgradeRequest(path(made, '&producer=twice'), 'sluice.v1'))).toMatch(used);
    await abortShard(shard());
    expect(await tell(ask, upgrade(path(made)))).toMatch(used);

    const shared = await ticket({ producer: 'at-once' });
    const all = await Promise.all(Array.from({ length: 8 }, () => tell(ask, upgrade(path(shared)))));
    expect(all.filter((one) => one === 'open')).toHaveLength(1);
    expect(all.filter((one) => used.test(one))).toHaveLength(7);
    expect(await tell(ask, upgrade(path(await ticket({ producer: 'twice' })))), 'another one').toBe('open');
  });

  it('opens nothing else than its sink, as nobody else than its producer, and only in time', async () => {
    const ask = workerWith(undefined, TICKETS);
    const other = await ticket({ sink: 'others' });
    expect(await tell(ask, upgrade(path(other)))).toMatch(/^1008 forbidden: .*sink/);
    const made = await ticket();
    expect(await tell(ask, upgrade(path(made, '&producer=ticket-2')))).toMatch(/^1008 forbidden: .*producer/);
    expect(await tell(ask, upgrade(path(made, '&tenant=acme')))).toMatch(/^1008 forbidden: .*tenant/);
    expect(await tell(ask, upgrade(path(await ticket({}, OTHER))))).toMatch(/^1008 unauthorized: Nobody/);
    const old = await issueTicket(
      SECRET,
      { sink: 'messages', producer: 'ticket-1' },
      { now: () => Date.now() - 60_000, randomId: () => crypto.randomUUID() },
    );
    expect(await tell(ask, upgrade(path(old)))).toMatch(/^1008 unauthorized: .*expired/);
    // None of these has used it up.
    expect(await tell(ask, upgrade(path(made, '&producer=ticket-1'))), 'the control').toBe('open');
  });

  it('may come by the other ways too, once among all of them', async () => {
    const ask = workerWith(undefined, TICKETS);
    const made = await ticket({ producer: 'ways-1' });
    expect(await tell(ask, upgrade('/ws/messages', protocols('sluice.v1', made)))).toBe('open');
    expect(await tell(ask, upgrade('/ws/messages', bearer(made)))).toMatch(/used before/);
    expect(await tell(ask, upgrade(path(made)))).toMatch(/used before/);
  });

  it('is made for an operator over HTTP, and for nobody else', async () => {
    const variables = {
      ...TICKETS,
      OPERATORS: 'closed',
      OPERATE_TOKENS: 'operate-token',
      READ_TOKENS: 'read-token',
    };
    const ask = workerWith(undefined, variables);
    const post = (body: unknown, headers: Record<string, string> = bearer('operate-token')) =>
      ask(
        new Request('http://sluice/admin/tickets', {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...headers },
          body: JSON.stringify(body),
        }),
      );
    const order = { sink: 'messages', producer: 'made-1', priority: 'low' };
    const response = await post(order);
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const { ticket: made } = (await response.json()) as { ticket: string };
    secrets.push(made);
    expect(await tell(ask, upgrade(path(made)))).toBe('open');
    expect(await tell(ask, upgrade(path(made)))).toMatch(/used before/);

    expect((await post(order, {})).status).toBe(401);
    expect((await post(order, bearer('read-token'))).status).toBe(403);
    for (const [wrong, status] of [
      [{ ...order, sink: 'others' }, 404],
      [{ ...order, sink: undefined }, 400],
      [{ ...order, producer: 'a/b' }, 400],
      [{ ...order, role: 'admin' }, 400],
      [{ ...order, lifetimeMs: 1e9 }, 400],
      [[], 400],
    ] as const)
      expect((await post(wrong)).status, JSON.stringify(wrong)).toBe(status);
    const without = workerWith(undefined, { ...variables, AUTHORIZE: 'open' });
    const refused = await without(
      new Request('http://sluice/admin/tickets', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...bearer('operate-token') },
        body: JSON.stringify(order),
      }),
    );
    expect(await refused.json()).toMatchObject({ code: 'invalid_configuration', detail: /tickets/ });
  });
});

describe('a secret that is replaced', () => {
  const steps = {
    jwt: {
      before: { AUTHORIZE: 'jwt', JWT_SECRET: OTHER },
      both: { AUTHORIZE: 'jwt', JWT_SECRET: `${SECRET} ${OTHER}` },
      after: { AUTHORIZE: 'jwt', JWT_SECRET: SECRET },
      old: (producer: string) => token({ jti: producer }, OTHER),
      fresh: (producer: string) => token({ jti: producer }),
    },
    tickets: {
      before: { AUTHORIZE: 'tickets', TICKET_SECRETS: OTHER },
      both: { AUTHORIZE: 'tickets', TICKET_SECRETS: `${SECRET} ${OTHER}` },
      after: { AUTHORIZE: 'tickets', TICKET_SECRETS: SECRET },
      old: (producer: string) => ticket({ producer }, OTHER),
      fresh: (producer: string) => ticket({ producer }),
    },
  };

  it.each(['jwt', 'tickets'] as const)(
    'by way of both at once lets nobody wait and loses no message: %s',
    async (name) => {
      const { before, both, after, old, fresh } = steps[name];
      const sent = new Map<string, number>();
      const sockets: { client: Client; producer: string }[] = [];
      const sendAll = (): void => {
        for (const { client, producer } of sockets) {
          const n = sent.get(producer) ?? 0;
          client.send(`{"n": ${n}}`);
          sent.set(producer, n + 1);
        }
      };
      const open = async (variables: object, producer: string, given: string): Promise<void> => {
        const ask = workerWith(undefined, { ...variables });
        sendAll();
        const response = await ask(upgrade(`/ws/messages?producer=${producer}`, bearer(given)));
        sendAll();
        sockets.push({ client: new Client(response), producer });
      };
      const refused = async (variables: object, given: string): Promise<string> =>
        tell(workerWith(undefined, { ...variables }), upgrade('/ws/messages', bearer(given)));

      await open(before, `${name}-1`, await old(`${name}-1`));
      await open(both, `${name}-2`, await old(`${name}-2`));
      await open(both, `${name}-3`, await fresh(`${name}-3`));
      await open(after, `${name}-4`, await fresh(`${name}-4`));
      expect(await refused(after, await old(`${name}-5`)), 'the old one is gone').toMatch(
        /^1008 unauthorized/,
      );
      expect(await refused(before, await fresh(`${name}-5`)), 'the control').toMatch(/^1008 unauthorized/);
      sendAll();
      for (const [producer, count] of sent) {
        await until(async () => {
          const rows = await messagesOf(query, producer);
          expect(rows.map(({ payload }) => payload)).toEqual(
            Array.from({ length: count }, (_, n) => `{"n": ${n}}`),
          );
        });
      }
      expect([...sent.values()]).toEqual([7, 5, 3, 1]);
      for (const { client } of sockets) await client.close();
    },
  );
});

describe('a list of several', () => {
  it('takes the credentials of each; a wrong list is said', async () => {
    const variables = { AUTHORIZE: 'jwt, tickets', JWT_SECRET: SECRET, TICKET_SECRETS: SECRET };
    const ask = workerWith(undefined, variables);
    expect(await tell(ask, upgrade('/ws/messages', bearer(await token())))).toBe('open');
    expect(await tell(ask, upgrade(`/ws/messages?ticket=${await ticket({ producer: 'several' })}`))).toBe(
      'open',
    );
    expect(await tell(ask, upgrade(`/ws/messages?ticket=${await token()}`))).toMatch(/^1008 unauthorized: /);
    for (const [wrong, says] of [
      [{ ...variables, AUTHORIZE: 'jwt,basic' }, /AUTHORIZE is wrong/],
      [{ ...variables, AUTHORIZE: 'jwt,open' }, /AUTHORIZE is wrong/],
      [{ ...variables, AUTHORIZE: 'constructor' }, /AUTHORIZE is wrong/],
      [{ ...variables, JWT_SECRET: '' }, /JWT_SECRET/],
      [{ ...variables, AUTHORIZE: 'jwt', JWT_SECRET: 'short' }, /JWT_SECRET/],
    ] as const)
      expect(
        await tell(workerWith(undefined, wrong), upgrade('/ws/messages', bearer(await token()))),
      ).toMatch(says);
  });
});

describe('keys of an issuer', () => {
  it('are fetched from its address, and a new one is known at once', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const asked: string[] = [];
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input) => {
      asked.push(String(input));
      return Response.json({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one', use: 'sig' }] });
    });
    const url = `https://id.example/${crypto.randomUUID()}`;
    const ask = workerWith(undefined, { AUTHORIZE: 'jwt', JWKS_URL: url, JWT_AUDIENCE: 'sluice' });
    const sign = (kid: string) =>
      new SignJWT({ exp: nowSeconds() + 60, aud: 'sluice' })
        .setProtectedHeader({ alg: 'ES256', kid })
        .sign(privateKey);
    expect(await tell(ask, upgrade('/ws/messages', bearer(await sign('one'))))).toBe('open');
    expect(await tell(ask, upgrade('/ws/messages', bearer(await sign('one'))))).toBe('open');
    expect(asked).toEqual([url]);
    expect(await tell(ask, upgrade('/ws/messages', bearer(await sign('two'))))).toMatch(
      /^1013 authorization_unavailable: /,
    );
    expect(
      await tell(workerWith(undefined, { AUTHORIZE: 'jwt', JWKS_URL: url }), upgrade('/ws/messages')),
    ).toMatch(/^1011 invalid_configuration: .*JWT_AUDIENCE/);
  });
});
