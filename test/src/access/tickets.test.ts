import { decodeJwt, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { jwt } from '../../../src/access/jwt.ts';
import { issueTicket, type TicketRequest, tickets } from '../../../src/access/tickets.ts';

const SECRET = 'a-secret-of-thirty-two-bytes-or-more-1';
const OTHER = 'a-secret-of-thirty-two-bytes-or-more-2';
const NOW = 1_795_266_606_500;
const request = new Request('http://sluice/');
const order: TicketRequest = { sink: 'readings', producer: 'hall-1' };

let issued = 0;
function issue(more: Partial<TicketRequest> = {}, secrets: string | string[] = SECRET): Promise<string> {
  issued += 1;
  return issueTicket(secrets, { ...order, ...more }, { now: () => NOW, randomId: () => `ticket-${issued}` });
}
const asked = (ticket: string | undefined, nowMs = NOW, token?: string) => ({
  sink: 'readings',
  producer: 'hall-1',
  env: {},
  token,
  ticket,
  nowMs,
});

describe('a ticket', () => {
  test('grants one socket, for its sink and producer', async () => {
    const ticket = await issue();
    const until = { id: `ticket-${issued}`, untilMs: 1_795_266_637_000 };
    expect(await tickets(SECRET)(request, asked(ticket))).toEqual({
      sinks: ['readings'],
      producer: 'hall-1',
      producers: ['hall-1'],
      tokenId: until.id,
      once: until,
    });
    // In the place of a token too.
    expect(await tickets(SECRET)(request, asked(undefined, NOW, ticket))).toMatchObject({ once: until });
  });

  test('carries rights: tenant, priority, limits, the end of the session, a name for operators', async () => {
    const rights = {
      tenant: 'acme',
      priority: 'high',
      limits: { producer: { messagesPerSecond: 5 } },
      expiresAtMs: NOW + 3_600_000,
      tokenId: 'user 7',
    } as const;
    expect(await tickets(SECRET)(request, asked(await issue(rights)))).toMatchObject(rights);
  });

  test('is good for half a minute, or as long as it says', async () => {
    const short = await issue();
    const long = await issue({ lifetimeMs: 300_000 });
    const known = tickets(SECRET);
    expect(await known(request, asked(short, NOW + 30_000))).toBeDefined();
    await expect(known(request, asked(short, NOW + 31_000))).rejects.toMatchObject({ code: 'unauthorized' });
    expect(await known(request, asked(long, NOW + 300_000))).toBeDefined();
    await expect(known(request, asked(long, NOW + 301_000))).rejects.toThrow(/expired/);
  });

  test('is known by any of several secrets, and made with the first', async () => {
    const before = await issue({}, SECRET);
    const after = await issue({}, `${OTHER} ${SECRET}`);
    for (const ticket of [before, after])
      expect(await tickets(`${OTHER}\n${SECRET}`)(request, asked(ticket))).toBeDefined();
    expect(await tickets([OTHER])(request, asked(after))).toBeDefined();
    expect(await tickets([OTHER])(request, asked(before)), 'its secret is gone').toBeUndefined();
  });

  test('is none where something else is signed with its secret, and is nothing else', async () => {
    const claims = decodeJwt(await issue());
    const sign = (typ: string | undefined, payload: Record<string, unknown> = claims) =>
      new SignJWT(payload)
        .setProtectedHeader({ alg: 'HS256', ...(typ === undefined ? {} : { typ }) })
        .sign(new TextEncoder().encode(SECRET));
    const known = tickets([SECRET]);
    expect(await known(request, asked(await sign('sluice-ticket+jwt'))), 'the control').toBeDefined();
    expect(await known(request, asked(await sign('JWT')))).toBeUndefined();
    expect(await known(request, asked(await sign(undefined)))).toBeUndefined();
    for (const missing of ['exp', 'jti', 'sink', 'producer']) {
      const { [missing]: _, ...rest } = claims as Record<string, unknown>;
      await expect(known(request, asked(await sign('sluice-ticket+jwt', rest)))).rejects.toThrow(missing);
    }
    const asJwt = jwt({ secret: [SECRET] });
    expect(await asJwt(request, asked(undefined, NOW, await sign('JWT'))), 'the control').toBeDefined();
    expect(await asJwt(request, asked(undefined, NOW, await issue()))).toBeUndefined();
  });

  test('is none where it was changed, is cut off, or is no token', async () => {
    const ticket = await issue();
    const [header, payload, signature] = ticket.split('.') as [string, string, string];
    const changed = Buffer.from(JSON.stringify({ ...decodeJwt(ticket), producer: 'other' })).toString(
      'base64url',
    );
    const none = Buffer.from('{"alg":"none","typ":"sluice-ticket+jwt"}').toString('base64url');
    for (const wrong of [
      `${header}.${changed}.${signature}`,
      `${none}.${payload}.`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      'abc',
      undefined,
    ])
      expect(await tickets([SECRET])(request, asked(wrong)), wrong).toBeUndefined();
  });

  test.each<[string, object]>([
    ['no sink', { sink: undefined }],
    ['a sink that is none', { sink: 'a/b' }],
    ['no producer', { producer: undefined }],
    ['a pattern for a producer', { producer: 'hall-*' }],
    ['a life of no time', { lifetimeMs: 0 }],
    ['a long life', { lifetimeMs: 300_001 }],
    ['a life of any time', { lifetimeMs: Number.NaN }],
    ['a right that is not known', { role: 'admin' }],
    ['wrong limits', { limits: { tenant: { connections: -1 } } }],
  ])('is not made for %s', async (_, more) => {
    await expect(issue(more)).rejects.toMatchObject({ code: 'invalid_options' });
  });

  test.each([['short'], [''], [undefined], [[]], [Array.from({ length: 9 }, () => SECRET)]])(
    'is not made with the secret %j, and none is known by it',
    async (secrets) => {
      await expect(issueTicket(secrets, order)).rejects.toMatchObject({ code: 'invalid_configuration' });
      await expect(async () => tickets(secrets)(request, asked('a ticket'))).rejects.toMatchObject({
        code: 'invalid_configuration',
      });
    },
  );

  test('may be made and known by the bindings', async () => {
    const known = tickets((env) => env.TICKET_SECRETS);
    const env = { TICKET_SECRETS: SECRET };
    const ticket = await issue({}, env.TICKET_SECRETS);
    expect(await known(request, { ...asked(ticket), env })).toBeDefined();
    await expect(known(request, asked(ticket))).rejects.toMatchObject({ code: 'invalid_configuration' });
    expect(known.secretsFor(env)).toBe(env.TICKET_SECRETS);
  });
});
