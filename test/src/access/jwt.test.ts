import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import type { AccessQuestion } from '../../../src/access/authorize.ts';
import { type JwtOptions, jwt } from '../../../src/access/jwt.ts';

const SECRET = 'a-secret-of-thirty-two-bytes-or-more-1';
const OTHER = 'a-secret-of-thirty-two-bytes-or-more-2';
const NOW = 1_795_266_606_000;
const EXP = NOW / 1000 + 60;
const JWKS = 'https://id.example.com/jwks.json';
const request = new Request('http://sluice/');

function asked(token: string | undefined, nowMs = NOW, env: unknown = {}): AccessQuestion {
  return { sink: 'readings', producer: 'hall-1', env, token, ticket: undefined, nowMs };
}

/** A token signed with a secret. */
function signed(
  claims: Record<string, unknown> = { exp: EXP },
  secret = SECRET,
  header: Record<string, unknown> = {},
): Promise<string> {
  return new SignJWT(claims as JWTPayload)
    .setProtectedHeader({ alg: 'HS256', ...header })
    .sign(new TextEncoder().encode(secret));
}

/** A token whose signature is empty, or somebody's. */
function unsigned(header: unknown, claims: unknown, signature = ''): string {
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');
  return `${encode(header)}.${encode(claims)}.${signature}`;
}

const ask = async (token: string | undefined, options: JwtOptions = { secret: SECRET }, nowMs = NOW) =>
  jwt(options)(request, asked(token, nowMs));

describe('a token signed with a secret', () => {
  test('grants what its claims say', async () => {
    const claims = {
      tenant: 'acme',
      sinks: ['readings'],
      producers: ['hall-*'],
      producer: 'hall-9',
      priority: 'high',
      limits: { producer: { messagesPerSecond: 5 } },
    };
    const token = await signed({ ...claims, exp: EXP, jti: 'token 7', sub: 'user', scope: 'write' });
    expect(await ask(token)).toEqual({ ...claims, expiresAtMs: (EXP + 5) * 1000, tokenId: 'token 7' });
    expect(await ask(await signed())).toEqual({ expiresAtMs: (EXP + 5) * 1000 });
  });

  test('is known by each of several secrets, at the same time', async () => {
    const secret = `${OTHER} ${SECRET}`;
    expect(await ask(await signed({ exp: EXP }, SECRET), { secret })).toBeDefined();
    expect(await ask(await signed({ exp: EXP }, OTHER), { secret })).toBeDefined();
    expect(await ask(await signed({ exp: EXP }, SECRET), { secret: [OTHER] })).toBeUndefined();
  });

  test('is none of ours where it is no such token, or signed by somebody else', async () => {
    const good = await signed();
    const [header, payload, signature] = good.split('.') as [string, string, string];
    expect(await ask(good), 'the control').toBeDefined();
    const claims = { exp: EXP };
    for (const wrong of [
      undefined,
      'static-token',
      'a.b.c',
      `${header}.${payload}`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature}x`,
      `${header}.${Buffer.from('{"exp":9999999999}').toString('base64url')}.${signature}`,
      await signed(claims, OTHER),
      unsigned({ alg: 'none' }, claims),
      unsigned({ alg: 'None' }, claims, signature),
      unsigned({ alg: 'HS256' }, claims),
      unsigned({ alg: ['HS256'] }, claims, signature),
      unsigned({}, claims, signature),
      unsigned({ alg: 'HS256', crit: ['b64'], b64: false }, claims, signature),
    ])
      expect(await ask(wrong), wrong).toBeUndefined();
  });

  test('is refused once it has expired, where the clocks may differ by as much as is said', async () => {
    const token = await signed({ exp: EXP });
    const at = (seconds: number, clockToleranceSeconds?: number) =>
      ask(token, { secret: SECRET, clockToleranceSeconds }, (EXP + seconds) * 1000);
    expect(await at(4)).toBeDefined();
    await expect(at(5)).rejects.toMatchObject({ code: 'unauthorized', message: /expired/ });
    await expect(at(0, 0)).rejects.toThrow(/expired/);
    expect(await at(59, 60)).toMatchObject({ expiresAtMs: (EXP + 60) * 1000 });
    const later = await signed({ exp: EXP, nbf: NOW / 1000 + 6 });
    await expect(ask(later)).rejects.toThrow(/not valid yet/);
    expect(await ask(later, { secret: SECRET, clockToleranceSeconds: 6 })).toBeDefined();
  });

  test('has to say when it expires, unless it is said that it need not', async () => {
    const endless = await signed({ tenant: 'acme' });
    await expect(ask(endless)).rejects.toMatchObject({ code: 'unauthorized', message: /when it expires/ });
    expect(await ask(endless, { secret: SECRET, requireExpiry: false })).toEqual({ tenant: 'acme' });
    for (const exp of ['never', null, 1e300])
      await expect(
        ask(await signed({ exp }), { secret: SECRET, requireExpiry: false }),
      ).rejects.toMatchObject({
        code: 'unauthorized',
      });
  });

  test('is none of ours where it is for somebody else, or by somebody else', async () => {
    const options = { secret: SECRET, audience: ['sluice', 'other'], issuer: 'https://id.example.com' };
    const right = { exp: EXP, aud: 'sluice', iss: 'https://id.example.com' };
    expect(await ask(await signed(right), options)).toBeDefined();
    expect(await ask(await signed({ ...right, aud: ['x', 'other'] }), options)).toBeDefined();
    const { aud: _, ...nobody } = right;
    for (const wrong of [
      nobody,
      { ...right, aud: 'sluice2' },
      { ...right, aud: [] },
      { ...right, aud: { sluice: true } },
      { ...right, iss: 'https://id.example.com/' },
      { ...right, iss: undefined },
    ])
      expect(await ask(await signed(wrong), options), JSON.stringify(wrong)).toBeUndefined();
  });

  test('is refused where its claims are no grant; the sentence says which, and not what', async () => {
    for (const claims of [
      { sinks: 'readings' },
      { tenant: 'a/b' },
      { limits: 5 },
      { priority: 'urgent' },
      { jti: 7 },
    ]) {
      const failure = ask(await signed({ exp: EXP, ...claims }));
      await expect(failure).rejects.toMatchObject({ code: 'unauthorized' });
      await expect(failure).rejects.toThrow(claims.jti === 7 ? 'tokenId' : Object.keys(claims)[0]);
    }
  });

  test('grants what a function makes of its claims; its expiry and number hold unless it says otherwise', async () => {
    const token = await signed({ exp: EXP, jti: 'j', 'https://acme.example/org': 'acme' });
    const grant: JwtOptions['grant'] = (claims) => ({ tenant: claims['https://acme.example/org'] as string });
    const own = { tenant: 'acme', expiresAtMs: (EXP + 5) * 1000, tokenId: 'j' };
    expect(await ask(token, { secret: SECRET, grant })).toEqual(own);
    const early: JwtOptions['grant'] = async () => ({ expiresAtMs: NOW + 1, tokenId: undefined as never });
    expect(await ask(token, { secret: SECRET, grant: early })).toEqual({
      expiresAtMs: NOW + 1,
      tokenId: 'j',
    });
    // A function that forgets to return would allow everything.
    await expect(ask(token, { secret: SECRET, grant: (() => undefined) as never })).rejects.toMatchObject({
      code: 'invalid_configuration',
    });
  });

  test('may have its secret from the bindings, which may change', async () => {
    const known = jwt((env) => ({ secret: env.JWT_SECRET }));
    const token = await signed({ exp: EXP }, SECRET);
    expect(await known(request, asked(token, NOW, { JWT_SECRET: SECRET }))).toBeDefined();
    expect(await known(request, asked(token, NOW, { JWT_SECRET: `${OTHER} ${SECRET}` }))).toBeDefined();
    expect(await known(request, asked(token, NOW, { JWT_SECRET: OTHER }))).toBeUndefined();
    await expect(known(request, asked(token, NOW, {}))).rejects.toMatchObject({
      code: 'invalid_configuration',
    });
  });

  test.each<[string, JwtOptions]>([
    ['both', { secret: SECRET, jwks: JWKS, audience: 'a' }],
    ['a short secret', { secret: 'short' }],
    ['a plain address', { jwks: 'http://id.example.com/jwks.json', audience: 'a' }],
    ['no address', { jwks: 'id.example.com', audience: 'a' }],
    ['an address of anybody’s tokens', { jwks: JWKS }],
    ['an address with an empty audience', { jwks: JWKS, audience: '', issuer: [] }],
    ['a secret’s algorithm for a public key', { jwks: JWKS, audience: 'a', algorithms: ['RS256', 'HS256'] }],
    ['a public key’s algorithm for a secret', { secret: SECRET, algorithms: ['RS256'] }],
    ['the algorithm none', { secret: SECRET, algorithms: ['none' as never] }],
    ['no algorithms', { secret: SECRET, algorithms: [] }],
    ['a wide tolerance', { secret: SECRET, clockToleranceSeconds: 301 }],
    ['a tolerance that is no number', { secret: SECRET, clockToleranceSeconds: Number.NaN }],
  ])('is set up wrongly with %s', (_, options) => {
    expect(() => jwt(options)).toThrow(expect.objectContaining({ code: 'invalid_configuration' }));
    expect(() => jwt(options)).toThrow(expect.not.stringContaining('short'));
  });

  test.each<[string, JwtOptions]>([
    ['nothing', {}],
    ['an empty secret', { secret: '' }],
  ])('is set up wrongly with %s, which is told to those who ask', async (_, options) => {
    await expect(ask('token', options)).rejects.toMatchObject({ code: 'invalid_configuration' });
  });

  test('is signed in the ways that are allowed, and in no other', async () => {
    const options: JwtOptions = { secret: SECRET, algorithms: ['HS512'] };
    expect(await ask(await signed({ exp: EXP }, SECRET, { alg: 'HS512' }), options)).toBeDefined();
    expect(await ask(await signed({ exp: EXP }, SECRET, { alg: 'HS256' }), options)).toBeUndefined();
  });
});

/** An issuer: its keys, and what was asked of it. */
class Issuer {
  nowMs = NOW;
  fetches = 0;
  /** What it answers with in the place of its keys. */
  answer: (() => Response | Promise<Response>) | undefined;
  readonly #keys = new Map<string | undefined, { privateKey: CryptoKey; jwk: Record<string, unknown> }>();
  readonly authorize: ReturnType<typeof jwt>;

  constructor(options: JwtOptions = {}) {
    const get = async (): Promise<Response> => {
      this.fetches += 1;
      return this.answer?.() ?? Response.json(this.published);
    };
    this.authorize = jwt(
      { jwks: JWKS, audience: 'sluice', ...options },
      { fetch: get as typeof fetch, now: () => this.nowMs, keepAlive() {} },
    );
  }

  get published(): object {
    return { keys: [...this.#keys.values()].map(({ jwk }) => jwk) };
  }

  /** @param kid undefined: the key has no name */
  async add(kid: string | undefined, alg = 'ES256', more: object = {}): Promise<this> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), ...(kid === undefined ? {} : { kid }), ...more };
    this.#keys.set(kid ?? `unnamed ${this.#keys.size}`, { privateKey, jwk });
    return this;
  }

  remove(kid: string): void {
    this.#keys.delete(kid);
  }

  async sign(kid: string, header: object = {}, alg = 'ES256', key = kid): Promise<string> {
    const { privateKey } = this.#keys.get(key) as { privateKey: CryptoKey };
    return new SignJWT({ exp: this.nowMs / 1000 + 3600, aud: 'sluice' })
      .setProtectedHeader({ alg, kid, ...header })
      .sign(privateKey);
  }

  async ask(token: string) {
    return this.authorize(request, asked(token, this.nowMs));
  }
}

const unavailable = expect.objectContaining({ code: 'authorization_unavailable' });

describe('a token signed with a key of an issuer', () => {
  test.each(['RS256', 'PS384', 'ES256', 'ES512', 'EdDSA'])('is known by %s', async (alg) => {
    const issuer = await new Issuer().add('one', alg);
    expect(await issuer.ask(await issuer.sign('one', {}, alg))).toMatchObject({
      expiresAtMs: NOW + 3_605_000,
    });
    const stranger = await new Issuer().add('one', alg);
    expect(
      await issuer.ask(await stranger.sign('one', {}, alg)),
      'by a key of the same name',
    ).toBeUndefined();
  });

  test('is fetched the key for once, however many come, also at the same time', async () => {
    const issuer = await new Issuer().add('one');
    const token = await issuer.sign('one');
    await Promise.all(Array.from({ length: 20 }, () => issuer.ask(token)));
    issuer.nowMs += 599_000;
    const later = await issuer.sign('one');
    expect(await issuer.ask(later)).toBeDefined();
    expect(issuer.fetches).toBe(1);
  });

  test('is known by a new key at once, and by the old one as long as it is published', async () => {
    const issuer = await new Issuer().add('old');
    const old = await issuer.sign('old');
    expect(await issuer.ask(old)).toBeDefined();
    issuer.nowMs += 10_000;
    await issuer.add('new');
    expect(await issuer.ask(await issuer.sign('new'))).toBeDefined();
    expect(await issuer.ask(old)).toBeDefined();
    expect(issuer.fetches).toBe(2);
    issuer.remove('old');
    issuer.nowMs += 600_000;
    expect(await issuer.ask(await issuer.sign('new'))).toBeDefined();
    issuer.nowMs += 10_000;
    expect(await issuer.ask(old), 'the key is published no more').toBeUndefined();
  });

  test('cannot make the server fetch more often than is good, by keys that nobody has', async () => {
    const issuer = await new Issuer().add('one');
    const good = await issuer.sign('one');
    expect(await issuer.ask(good)).toBeDefined();
    for (let second = 0; second < 30; second += 1) {
      issuer.nowMs = NOW + second * 1000;
      const made = await issuer.sign(`made up ${second}`, {}, 'ES256', 'one');
      // Unknown where the keys were just asked for; else it cannot be told.
      await issuer.ask(made).then(
        (grant) => expect(grant).toBeUndefined(),
        (error) => expect(error).toEqual(unavailable),
      );
      expect(await issuer.ask(good), 'those who are known do not wait').toBeDefined();
    }
    expect(issuer.fetches).toBe(3);
  });

  test('is looked for nowhere where it is signed in a way that is not allowed', async () => {
    const issuer = await new Issuer({ algorithms: ['RS256'] }).add('one');
    expect(await issuer.ask(await issuer.sign('one'))).toBeUndefined();
    expect(
      await issuer.ask(unsigned({ alg: 'none', kid: 'one' }, { exp: EXP, aud: 'sluice' })),
    ).toBeUndefined();
    expect(issuer.fetches).toBe(0);
  });

  test('is not known by a secret that is the public key', async () => {
    const { publicKey } = await generateKeyPair('RS256', { extractable: true });
    const pem = await exportSPKI(publicKey);
    const jwk = { ...(await exportJWK(publicKey)), kid: 'one' };
    const forged = (secret: string) => signed({ exp: EXP, aud: 'sluice' }, secret, { kid: 'one' });
    for (const more of [{}, { alg: 'HS256' }]) {
      const issuer = new Issuer();
      issuer.answer = () => Response.json({ keys: [{ ...jwk, ...more }] });
      for (const secret of [pem, jwk.n as string])
        expect(await issuer.ask(await forged(secret))).toBeUndefined();
    }
    // A published secret is none of its keys either.
    const issuer = new Issuer();
    issuer.answer = () =>
      Response.json({ keys: [{ kty: 'oct', kid: 'one', k: Buffer.from(SECRET).toString('base64url') }] });
    expect(await issuer.ask(await forged(SECRET))).toBeUndefined();
    expect(issuer.fetches).toBe(0);
  });

  test('is tried with each key that may have signed it, where neither has a name', async () => {
    const issuer = await (await new Issuer().add(undefined)).add(undefined);
    const token = await issuer.sign(undefined as never, {}, 'ES256', 'unnamed 1');
    expect(await issuer.ask(token)).toBeDefined();
  });
});

describe('the address of the keys', () => {
  test('may fail for a while: the keys that are there go on', async () => {
    const issuer = await new Issuer().add('one');
    expect(await issuer.ask(await issuer.sign('one'))).toBeDefined();
    issuer.answer = () => new Response('down', { status: 503 });
    issuer.nowMs += 3_600_000;
    expect(await issuer.ask(await issuer.sign('one'))).toBeDefined();
    expect(issuer.fetches).toBe(2);
    // A key that cannot be looked for is not an unknown one.
    const made = await issuer.sign('made up', {}, 'ES256', 'one');
    await expect(issuer.ask(made)).rejects.toEqual(unavailable);
    issuer.answer = undefined;
    issuer.nowMs += 10_000;
    expect(await issuer.ask(await issuer.sign('made up', {}, 'ES256', 'one'))).toBeUndefined();
  });

  test('may not fail for more than a day: who left the issuer would come in for ever', async () => {
    const issuer = await new Issuer().add('one');
    expect(await issuer.ask(await issuer.sign('one'))).toBeDefined();
    issuer.answer = () => Promise.reject(new Error('no such host'));
    issuer.nowMs += 86_400_000;
    expect(await issuer.ask(await issuer.sign('one'))).toBeDefined();
    issuer.nowMs += 10_001;
    await expect(issuer.ask(await issuer.sign('one'))).rejects.toEqual(unavailable);
    issuer.answer = undefined;
    issuer.nowMs += 10_000;
    expect(await issuer.ask(await issuer.sign('one')), 'the control').toBeDefined();
  });

  test('is asked again soon where it has never answered', async () => {
    const issuer = await new Issuer().add('one');
    const token = await issuer.sign('one');
    issuer.answer = () => Promise.reject(new Error('no such host'));
    await expect(issuer.ask(token)).rejects.toEqual(unavailable);
    issuer.answer = undefined;
    await expect(issuer.ask(token), 'not at once').rejects.toEqual(unavailable);
    issuer.nowMs += 1_000;
    expect(await issuer.ask(token)).toBeDefined();
    expect(issuer.fetches).toBe(2);
  });

  test.each<[string, () => Response]>([
    [
      'another place',
      () => new Response(null, { status: 302, headers: { location: 'https://evil.example/' } }),
    ],
    ['no JSON', () => new Response('<html>')],
    ['null', () => Response.json(null)],
    ['no list', () => Response.json({ keys: {} })],
    ['a list of no keys', () => Response.json({ keys: ['a'] })],
    ['too many keys', () => Response.json({ keys: Array.from({ length: 101 }, () => ({ kty: 'EC' })) })],
    ['too much', () => new Response(`{"keys":[],"x":"${'x'.repeat(300_000)}"}`)],
  ])('is none where it answers with %s', async (_, answer) => {
    const issuer = await new Issuer().add('one');
    const token = await issuer.sign('one');
    issuer.answer = answer;
    await expect(issuer.ask(token)).rejects.toEqual(unavailable);
    issuer.answer = undefined;
    issuer.nowMs += 1_000;
    expect(await issuer.ask(token), 'the control').toBeDefined();
  });

  test('is asked by another request where the first was ended before it had an answer', async () => {
    const issuer = await new Issuer().add('one');
    const token = await issuer.sign('one');
    // As the platform leaves it: neither an answer nor an error.
    let asked = (): void => {};
    const begun = new Promise<void>((resolve) => {
      asked = resolve;
    });
    issuer.answer = () => {
      asked();
      return new Promise<Response>(() => {});
    };
    void issuer.ask(token).catch(() => {});
    await begun;
    issuer.answer = undefined;
    issuer.nowMs += 5_000;
    expect(await issuer.ask(token)).toBeDefined();
    expect(issuer.fetches).toBe(2);
  });
});
