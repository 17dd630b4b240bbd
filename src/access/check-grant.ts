/**
 * Looks at what was granted, by a token's claims or by somebody's function, before anything relies on it; and whether it
 * allows what is asked for.
 */

import { type ErrorCode, SluiceError } from '../core/errors.ts';
import {
  MAX_GRANT_BYTES,
  MAX_GRANT_NAMES,
  MAX_PRODUCER_LENGTH,
  MAX_TENANT_LENGTH,
  MAX_TOKEN_ID_LENGTH,
} from '../core/limits.ts';
import type { Grant, PriorityClass } from './grant.ts';
import { LIMITED, readLimits } from './limits.ts';
import { matchesPattern } from './pattern.ts';
import { isTenantName } from './tenant.ts';

const SINK = /^[A-Za-z0-9_-]{1,64}$/;
const PRODUCER = /^[A-Za-z0-9._:@-]+$/;
const PRODUCER_PATTERN = /^[A-Za-z0-9._:@*-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get into a log or a header.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const PRIORITIES: readonly unknown[] = ['high', 'normal', 'low'] satisfies PriorityClass[];

const MEMBERS = {
  tenant: (value: unknown) =>
    isTenantName(value) ? undefined : `a text of 1 to ${MAX_TENANT_LENGTH} characters of A-Z a-z 0-9 . _ -`,
  sinks: asNames(SINK, 64, 'A-Z a-z 0-9 _ -'),
  producers: asNames(PRODUCER_PATTERN, MAX_PRODUCER_LENGTH, 'A-Z a-z 0-9 . _ : @ - *'),
  producer: asName(PRODUCER, MAX_PRODUCER_LENGTH, 'A-Z a-z 0-9 . _ : @ -'),
  priority: (value: unknown) => (PRIORITIES.includes(value) ? undefined : 'high, normal or low'),
  limits: asLimitsOf,
  expiresAtMs: asTime,
  tokenId: asTokenId,
  once: asOnce,
} satisfies Record<keyof Grant, (value: unknown) => string | undefined>;

/**
 * A grant, copied, once all of it is what it should be. It takes at most `MAX_GRANT_BYTES` as JSON, so that it fits what a
 * socket keeps through hibernation (16 KB).
 *
 * @param code of the error: `invalid_configuration` where the deployment is to blame, `unauthorized` where the token is
 * @throws SluiceError of this code; it names the member and what is allowed, and never its value
 */
export function checkGrant(value: unknown, code: ErrorCode = 'invalid_configuration'): Grant {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SluiceError(code, 'What is granted has to be an object of tenant, sinks, producers, …');
  const grant: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue;
    if (!Object.hasOwn(MEMBERS, name)) {
      throw new SluiceError(
        code,
        `What is granted has a member that is not known: there are ${Object.keys(MEMBERS).join(', ')}`,
      );
    }
    const allowed = MEMBERS[name as keyof Grant](member);
    if (allowed !== undefined)
      throw new SluiceError(code, `What is granted is wrong at ${name}: it has to be ${allowed}`);
    grant[name] = member;
  }
  if (grant.once !== undefined) {
    // Each producer has its shard, and that one remembers what was used.
    if (grant.producer === undefined)
      throw new SluiceError(code, 'What is granted once has to say the producer it is for, as producer');
    grant.producers = [grant.producer];
  }
  const text = JSON.stringify(grant);
  // A character takes two bytes in a socket's attachment where one of them is outside Latin-1.
  if (text.length * 2 > MAX_GRANT_BYTES)
    throw new SluiceError(
      code,
      `What is granted is too long: ${MAX_GRANT_BYTES / 2} characters of JSON are allowed`,
    );
  return JSON.parse(text) as Grant;
}

/**
 * Whether a grant allows a producer of a tenant to send to a sink.
 *
 * @param asked `producer`: the name that the client gave itself; undefined where it gave none. `tenant`: what the address names
 * @throws SluiceError `forbidden`
 */
export function assertAllows(
  grant: Grant,
  asked: { sink: string; producer: string | undefined; tenant: string | undefined },
): void {
  const { sink, producer, tenant } = asked;
  if (tenant !== undefined && tenant !== grant.tenant)
    throw new SluiceError('forbidden', 'The token is not of the tenant that the address names');
  if (grant.sinks !== undefined && !grant.sinks.includes(sink))
    throw new SluiceError('forbidden', `The token does not allow the sink ${sink}`);
  const { producers } = grant;
  if (producer === undefined || producer === grant.producer || producers === undefined) return;
  if (producers.some((pattern) => matchesPattern(pattern, producer))) return;
  throw new SluiceError('forbidden', 'The token does not allow this producer');
}

type Check = (value: unknown) => string | undefined;

function asName(pattern: RegExp, maxLength: number, allowed: string): Check {
  return (value) =>
    typeof value === 'string' && value.length <= maxLength && pattern.test(value)
      ? undefined
      : `a text of 1 to ${maxLength} characters of ${allowed}`;
}

function asNames(pattern: RegExp, maxLength: number, allowed: string): Check {
  const isName = asName(pattern, maxLength, allowed);
  return (value) =>
    Array.isArray(value) &&
    value.length <= MAX_GRANT_NAMES &&
    value.every((name) => isName(name) === undefined)
      ? undefined
      : `a list of at most ${MAX_GRANT_NAMES} texts, each of 1 to ${maxLength} characters of ${allowed}`;
}

function asTime(value: unknown): string | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 0
    ? undefined
    : 'a time in whole milliseconds since 1970';
}

function asTokenId(value: unknown): string | undefined {
  return typeof value === 'string' &&
    value.length >= 1 &&
    value.length <= MAX_TOKEN_ID_LENGTH &&
    !CONTROL.test(value)
    ? undefined
    : `a text of 1 to ${MAX_TOKEN_ID_LENGTH} characters without control characters`;
}

function asOnce(value: unknown): string | undefined {
  const { id, untilMs, ...others } = recordOf(value) ?? {};
  return asTokenId(id) === undefined && asTime(untilMs) === undefined && Object.keys(others).length === 0
    ? undefined
    : 'an object of id and untilMs';
}

function asLimitsOf(value: unknown): string | undefined {
  try {
    readLimits(value, '');
    return undefined;
  } catch {
    // Its sentence has the value in it.
    return `an object of ${LIMITED.join(', ')}, each an object of limits within their bounds`;
  }
}

function recordOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
