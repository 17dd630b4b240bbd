/** JSON Web Tokens: whose they are by their signature, and what they grant by their claims. */

import {
  type CryptoKey,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import { SluiceError } from '../core/errors.ts';
import type { Authorize } from './authorize.ts';
import { checkGrant } from './check-grant.ts';
import { type FromEnv, fromEnv, secretsOf } from './from-env.ts';
import type { Grant } from './grant.ts';
import { IssuerKeys } from './jwks.ts';
import { TICKET_TYPE } from './ticket-type.ts';

/** How a token may be signed with a key of an issuer. None of them takes a public key for a secret. */
const PUBLIC_KEY_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;
/** And with a secret. */
const SECRET_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const;

export type JwtAlgorithm = (typeof PUBLIC_KEY_ALGORITHMS)[number] | (typeof SECRET_ALGORITHMS)[number];

export interface JwtOptions {
  /** Where the issuer publishes its keys (a JSON Web Key Set): `https`, or `http` to this machine. This or `secret`. */
  jwks?: string | undefined;
  /** A secret of 32 bytes or more that the tokens are signed with, or several, in a list or with white space between them. */
  secret?: string | readonly string[] | undefined;
  /** What `aud` has to be or to have among others: one of these. With `jwks`, this or `issuer` has to be given. */
  audience?: string | readonly string[] | undefined;
  /** What `iss` has to be: one of these. */
  issuer?: string | readonly string[] | undefined;
  /** Default: with `jwks` those of public keys (RS, PS, ES and EdDSA), with `secret` HS256, HS384 and HS512. */
  algorithms?: readonly JwtAlgorithm[] | undefined;
  /** How far the clocks of issuer and server may be apart, 0 to 300 seconds. Default: 5. */
  clockToleranceSeconds?: number | undefined;
  /** Whether a token has to say when it expires. Default: true. */
  requireExpiry?: boolean | undefined;
  /**
   * What the claims grant, where they are not named as here: `tenant`, `sinks`, `producers`, `producer`, `priority`, `limits`
   * as in a `Grant`, `exp`, and `jti` as its `tokenId`. What the function leaves out of `expiresAtMs` and `tokenId` comes from
   * `exp` and `jti`.
   */
  grant?: ((claims: JWTPayload) => Grant | Promise<Grant>) | undefined;
}

/** What else it stands on; tests give their own. */
export interface JwtDependencies {
  fetch: typeof fetch;
  /** By which keys grow old. The time of a token is looked at by the clock of the question. */
  now: () => number;
  /** Lets work go on when the request is over that began it. */
  keepAlive: (work: Promise<void>) => void;
}

const PLATFORM: JwtDependencies = {
  fetch: (...request) => fetch(...request),
  now: Date.now,
  keepAlive() {},
};

const MAX_CLOCK_TOLERANCE_SECONDS = 300;

/** Addresses of keys that one `jwt()` remembers the keys of: there is one, unless a function of the bindings gives others. */
const MAX_ISSUERS = 8;

/**
 * Knows JSON Web Tokens that are signed with a key of an issuer, or with a secret.
 *
 * ```ts
 * createSluice({ sinks, authorize: jwt({ jwks: 'https://id.example.com/jwks.json', audience: 'sluice' }) });
 * createSluice({ sinks, authorize: jwt((env) => ({ secret: env.JWT_SECRET })) });
 * ```
 *
 * @param options or a function of the Worker's bindings that gives them
 * @throws SluiceError `invalid_configuration` where options are wrong; at each request where they are missing, or a function gives them
 */
export function jwt(options: FromEnv<JwtOptions>, dependencies: JwtDependencies = PLATFORM): Authorize {
  // What is missing is told at the first request: tools that load a Worker have none of its secrets.
  if (typeof options !== 'function' && (options.jwks || options.secret)) readOptions(options);
  const issuers = new Map<string, IssuerKeys>();

  function keysOf(url: URL): IssuerKeys {
    let keys = issuers.get(url.href);
    if (keys === undefined) {
      if (issuers.size >= MAX_ISSUERS) issuers.clear();
      keys = new IssuerKeys({ ...dependencies, url });
      issuers.set(url.href, keys);
    }
    return keys;
  }

  return async (_, { token, env, nowMs }) => {
    const checked = readOptions(fromEnv(options, env));
    if (token === undefined || !isJwt(token)) return undefined;
    const verify: JWTVerifyOptions = { ...checked.verify, currentDate: new Date(nowMs) };
    const claims =
      checked.jwks === undefined
        ? await verifyBySecrets(token, checked.secrets, verify)
        : await verifyByKeys(token, keysOf(checked.jwks), verify);
    if (claims === undefined) return undefined;
    return grantOf(claims, checked);
  };
}

interface CheckedOptions {
  jwks: URL | undefined;
  secrets: readonly string[];
  verify: JWTVerifyOptions;
  toleranceMs: number;
  grant: JwtOptions['grant'];
}

function readOptions(options: JwtOptions): CheckedOptions {
  const { jwks, secret, audience, issuer, algorithms, requireExpiry = true, grant } = options;
  const { clockToleranceSeconds: tolerance = 5 } = options;
  if ((jwks === undefined || jwks === '') === (secret === undefined || secret.length === 0))
    throw wrong('it needs jwks (JWKS_URL) or secret (JWT_SECRET), and not both');
  const known: readonly string[] = jwks ? PUBLIC_KEY_ALGORITHMS : SECRET_ALGORITHMS;
  const allowed = algorithms ?? known;
  if (allowed.length === 0 || !allowed.every((name) => known.includes(name)))
    throw wrong(`algorithms may be ${known.join(', ')} with ${jwks ? 'jwks' : 'a secret'}`);
  if (!(tolerance >= 0 && tolerance <= MAX_CLOCK_TOLERANCE_SECONDS))
    throw wrong(`clockToleranceSeconds may be 0 to ${MAX_CLOCK_TOLERANCE_SECONDS}`);
  const audiences = namesOf(audience);
  const issuersAllowed = namesOf(issuer);
  // An issuer signs tokens for others too, and each of these would open this door.
  if (jwks && audiences === undefined && issuersAllowed === undefined)
    throw wrong(
      'say with jwks whose tokens are meant: audience (JWT_AUDIENCE), issuer (JWT_ISSUER), or both',
    );
  return {
    jwks: jwks ? addressOf(jwks) : undefined,
    secrets: jwks ? [] : secretsOf(secret, 'The secret of jwt (JWT_SECRET)'),
    verify: {
      algorithms: [...allowed],
      clockTolerance: tolerance,
      requiredClaims: requireExpiry ? ['exp'] : [],
      ...(audiences === undefined ? {} : { audience: audiences }),
      ...(issuersAllowed === undefined ? {} : { issuer: issuersAllowed }),
    },
    toleranceMs: tolerance * 1000,
    grant,
  };
}

function namesOf(given: string | readonly string[] | undefined): string[] | undefined {
  const names = typeof given === 'string' ? [given] : [...(given ?? [])];
  return names.length === 0 || names.every((name) => name === '') ? undefined : names;
}

function addressOf(jwks: string): URL {
  const url = URL.canParse(jwks) ? new URL(jwks) : undefined;
  const isLocal = url !== undefined && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
  if (url !== undefined && (url.protocol === 'https:' || (url.protocol === 'http:' && isLocal))) return url;
  // Keys that came over a plain connection may be anybody's.
  throw wrong('the address of keys (jwks, JWKS_URL) has to begin with https://');
}

function wrong(sentence: string): SluiceError {
  return new SluiceError('invalid_configuration', `jwt is set up wrongly: ${sentence}`);
}

/** Tells whether a token may be one: another kind is none of ours, and neither is a ticket, whatever it is signed with. */
function isJwt(token: string): boolean {
  try {
    const { alg, typ } = decodeProtectedHeader(token);
    return typeof alg === 'string' && typ !== TICKET_TYPE;
  } catch {
    return false;
  }
}

async function verifyBySecrets(
  token: string,
  secrets: readonly string[],
  verify: JWTVerifyOptions,
): Promise<JWTPayload | undefined> {
  for (const secret of secrets) {
    const claims = await verified(token, encoder.encode(secret), verify);
    if (claims !== undefined) return claims;
  }
  return undefined;
}

const encoder = new TextEncoder();

async function verifyByKeys(
  token: string,
  keys: IssuerKeys,
  verify: JWTVerifyOptions,
): Promise<JWTPayload | undefined> {
  const header = decodeProtectedHeader(token);
  // Before its key is looked for: whose algorithm is not allowed has none, and fetches nothing.
  if (!verify.algorithms?.includes(header.alg as string)) return undefined;
  for (const key of await keys.find({ ...header, alg: header.alg as string })) {
    const claims = await verified(token, key, verify);
    if (claims !== undefined) return claims;
  }
  return undefined;
}

/** Undefined where it is signed by somebody else, or is meant for somebody else. */
async function verified(
  token: string,
  key: CryptoKey | Uint8Array,
  verify: JWTVerifyOptions,
): Promise<JWTPayload | undefined> {
  try {
    return (await jwtVerify(token, key, verify)).payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired)
      throw new SluiceError('unauthorized', 'The token has expired: get a fresh one');
    if (!(error instanceof errors.JWTClaimValidationFailed)) return undefined;
    if (error.claim === 'iss' || error.claim === 'aud') return undefined;
    throw new SluiceError('unauthorized', sentenceOf(error));
  }
}

function sentenceOf({ claim, reason }: { claim: string; reason: string }): string {
  if (claim === 'exp' && reason === 'missing') return 'The token does not say when it expires: give it exp';
  if (claim === 'nbf' && reason === 'check_failed') return 'The token is not valid yet: see its nbf';
  return `The token is wrong at ${claim}`;
}

async function grantOf(claims: JWTPayload, { grant, toleranceMs }: CheckedOptions): Promise<Grant> {
  const { exp, jti, tenant, sinks, producers, producer, priority, limits } = claims;
  // The tolerance holds as long as the session does: else its first frame would ask for another token.
  const expiresAtMs = exp === undefined ? undefined : Math.floor(exp * 1000) + toleranceMs;
  const own = checkGrant({ expiresAtMs, tokenId: jti }, 'unauthorized');
  if (grant === undefined)
    return checkGrant({ ...own, tenant, sinks, producers, producer, priority, limits }, 'unauthorized');
  // Checked by itself: nothing at all, from a function that forgets to return, would allow everything.
  return { ...own, ...checkGrant(await grant(claims)) };
}
