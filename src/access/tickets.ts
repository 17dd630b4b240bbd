/**
 * Tickets: what a server gives to one of its users, so that they may open one socket, soon and once. A ticket is a JSON Web
 * Token; that it is used once is seen to by the shard of the producer it names.
 */

import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { SluiceError } from '../core/errors.ts';
import { DEFAULT_TICKET_LIFETIME_MS, MAX_TICKET_LIFETIME_MS, MAX_TOKEN_LENGTH } from '../core/limits.ts';
import type { AccessQuestion, Authorize } from './authorize.ts';
import { checkGrant } from './check-grant.ts';
import { type FromEnv, fromEnv, secretsOf } from './from-env.ts';
import type { Grant } from './grant.ts';
import { TICKET_TYPE } from './ticket-type.ts';

const ALGORITHM = 'HS256';

/** A secret of 32 bytes or more, or several, in a list or with white space between them. The first one signs. */
export type TicketSecrets = string | readonly string[] | undefined;

/** What a ticket allows. */
export interface TicketRequest extends Pick<Grant, 'tenant' | 'priority' | 'limits'> {
  /** The sink that it opens a socket to. */
  sink: string;
  /** The producer that it is for. The address need not name it. */
  producer: string;
  /** When the session ends that it opens, in milliseconds since 1970. Default: never; an operator can still end it. */
  expiresAtMs?: number | undefined;
  /** Names the session's right for operators, who list and revoke by it. Default: the ticket's own number. */
  tokenId?: string | undefined;
  /** How long the ticket may be used, 1,000 to 300,000 ms. Default: 30,000. */
  lifetimeMs?: number | undefined;
}

/** What else a ticket is made of; tests give their own. */
export interface TicketDependencies {
  now: () => number;
  /** A text that nobody else ever got. */
  randomId: () => string;
}

const PLATFORM: TicketDependencies = { now: Date.now, randomId: () => crypto.randomUUID() };

/**
 * Makes a ticket. A page then connects to `/ws/<sink>?ticket=<ticket>`.
 *
 * ```ts
 * const ticket = await issueTicket(process.env.TICKET_SECRETS, { sink: 'readings', producer: user.id });
 * ```
 *
 * @throws SluiceError `invalid_configuration` where a secret is missing or wrong; `invalid_options` where the request is
 */
export async function issueTicket(
  secrets: TicketSecrets,
  request: TicketRequest,
  { now, randomId }: TicketDependencies = PLATFORM,
): Promise<string> {
  const [secret] = secretsOf(secrets, 'The secret of tickets (TICKET_SECRETS)');
  const { sink, producer, tenant, priority, limits, expiresAtMs, tokenId, ...rest } = request;
  const { lifetimeMs = DEFAULT_TICKET_LIFETIME_MS, ...unknown } = rest;
  const [first] = Object.keys(unknown);
  if (first !== undefined) throw wrong(`${JSON.stringify(first.slice(0, 40))} is not known`);
  if (!(lifetimeMs >= 1_000 && lifetimeMs <= MAX_TICKET_LIFETIME_MS))
    throw wrong(`lifetimeMs may be 1000 to ${MAX_TICKET_LIFETIME_MS}`);
  // As the door will see them.
  for (const [name, value] of Object.entries({ sink, producer }))
    if (value === undefined) throw wrong(`it has to name its ${name}`);
  checkGrant(
    { tenant, sinks: [sink], producer, producers: [producer], priority, limits, expiresAtMs, tokenId },
    'invalid_options',
  );
  const issuedAt = Math.floor(now() / 1000);
  const ticket = await new SignJWT(
    withoutMissing({ sink, producer, tenant, priority, limits, ends: expiresAtMs, id: tokenId }),
  )
    .setProtectedHeader({ alg: ALGORITHM, typ: TICKET_TYPE })
    .setIssuedAt(issuedAt)
    .setExpirationTime(Math.ceil((now() + lifetimeMs) / 1000))
    .setJti(randomId())
    .sign(encoder.encode(secret));
  if (ticket.length > MAX_TOKEN_LENGTH) throw wrong('it is too long: give it shorter limits');
  return ticket;
}

/** An `Authorize` that knows tickets, and what it knows them by. */
export interface TicketAuthorize {
  (request: Request, question: AccessQuestion): Promise<Grant | undefined>;
  /** The secrets, for who issues tickets on behalf of the Worker. */
  secretsFor(env: unknown): TicketSecrets;
}

/**
 * Knows tickets that `issueTicket` made with one of these secrets: in the address (`?ticket=`), or in the place of a token.
 *
 * @param secrets or a function of the Worker's bindings that gives them
 * @throws SluiceError `invalid_configuration` where they are wrong; at each request where they are missing, or a function gives them
 */
export function tickets(secrets: FromEnv<TicketSecrets>): TicketAuthorize {
  const what = 'The secret of tickets (TICKET_SECRETS)';
  // What is missing is told at the first request: tools that load a Worker have none of its secrets.
  if (typeof secrets !== 'function' && secrets !== undefined) secretsOf(secrets, what);
  const authorize = async (_: Request, question: AccessQuestion): Promise<Grant | undefined> => {
    const known = secretsOf(fromEnv(secrets, question.env), what);
    const ticket = question.ticket ?? question.token;
    if (ticket === undefined || !isTicket(ticket)) return undefined;
    for (const secret of known) {
      const claims = await claimsOf(ticket, secret, question.nowMs);
      if (claims !== undefined) return grantOf(claims);
    }
    return undefined;
  };
  return Object.assign(authorize, {
    secretsFor: (env: unknown) => fromEnv(secrets, env),
  }) satisfies Authorize;
}

const encoder = new TextEncoder();

function isTicket(ticket: string): boolean {
  try {
    return decodeProtectedHeader(ticket).typ === TICKET_TYPE;
  } catch {
    return false;
  }
}

/** Undefined where it is signed with another secret. */
async function claimsOf(ticket: string, secret: string, nowMs: number): Promise<JWTPayload | undefined> {
  try {
    const { payload } = await jwtVerify(ticket, encoder.encode(secret), {
      algorithms: [ALGORITHM],
      typ: TICKET_TYPE,
      requiredClaims: ['exp', 'jti', 'sink', 'producer'],
      currentDate: new Date(nowMs),
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired)
      throw new SluiceError('unauthorized', 'The ticket has expired: get another one');
    if (error instanceof errors.JWTClaimValidationFailed)
      throw new SluiceError('unauthorized', `The ticket is wrong at ${error.claim}`);
    return undefined;
  }
}

function grantOf({ exp, jti, sink, producer, tenant, priority, limits, ends, id }: JWTPayload): Grant {
  const untilMs = (exp ?? 0) * 1000;
  return checkGrant(
    {
      tenant,
      sinks: [sink],
      producer,
      priority,
      limits,
      expiresAtMs: ends,
      tokenId: id ?? jti,
      once: { id: jti, untilMs },
    },
    'unauthorized',
  );
}

function wrong(sentence: string): SluiceError {
  return new SluiceError('invalid_options', `Cannot make this ticket: ${sentence}`);
}

function withoutMissing(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
