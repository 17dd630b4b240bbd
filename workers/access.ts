/** Who may use what is off by default: nobody unless a variable says so, and only with the token where one is set. */

import { type ErrorCode, SluiceError } from '../src/core/errors.ts';
import type { Env } from './env.ts';

/** A part of the Worker that a variable opens and a secret guards. */
export interface Door {
  variable: string;
  token: string;
  code: ErrorCode;
  /** Said where it is closed, before the remedy. */
  closed: string;
}

const ADMIN_DOOR: Door = {
  variable: 'ADMIN',
  token: 'ADMIN_TOKEN',
  code: 'admin_disabled',
  closed: 'The admin routes are off: they show messages and can drop them',
};

/** @throws SluiceError `admin_disabled` or `unauthorized` */
export function assertAdminAccess(env: Env, authorization: string | undefined): Promise<void> {
  return assertAccess(ADMIN_DOOR, env, authorization);
}

/**
 * For what shows nothing and starts nothing, such as a page that asks for the token itself.
 *
 * @throws SluiceError with the code of the door
 */
export function assertOpen(door: Door, env: Env): void {
  if (variableOf(env, door.variable) === 'on') return;
  throw new SluiceError(door.code, `${door.closed}. Set the variable ${door.variable} to "on" to allow this`);
}

/** @throws SluiceError with the code of the door, or `unauthorized` */
export async function assertAccess(door: Door, env: Env, authorization: string | undefined): Promise<void> {
  assertOpen(door, env);
  const token = variableOf(env, door.token);
  if (typeof token !== 'string' || token === '') return;
  const given = /^Bearer +(.*)$/i.exec(authorization ?? '')?.[1] ?? '';
  if (await isSame(given, token)) return;
  throw new SluiceError('unauthorized', `A token is asked for: send "Authorization: Bearer <${door.token}>"`);
}

// Comparing digests takes the same time for every token, so the time says nothing about how much of it was right.
async function isSame(left: string, right: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const digests = await Promise.all(
    [left, right].map((text) => crypto.subtle.digest('SHA-256', encoder.encode(text))),
  );
  return crypto.subtle.timingSafeEqual(digests[0] as ArrayBuffer, digests[1] as ArrayBuffer);
}

function variableOf(env: Env, name: string): unknown {
  return (env as unknown as Record<string, unknown>)[name];
}
