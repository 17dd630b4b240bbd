/** What the Worker tells a shard of who connects, as text for a header. */

import { checkGrant } from './check-grant.ts';
import type { Grant } from './grant.ts';

/**
 * - `open`: everybody may send, without end.
 * - `none`: nobody has said yet who it is; the `hello` has to bring a token.
 */
export type SocketAccess = 'open' | 'none' | Grant;

/** ASCII only, as a header has to be. */
export function encodeAccess(access: SocketAccess): string {
  if (typeof access === 'string') return access;
  return JSON.stringify(access).replaceAll(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * Reads it again.
 *
 * @throws SluiceError `invalid_configuration` where it is missing or something else: the shard was not asked by the Worker's route
 */
export function decodeAccess(text: string | null): SocketAccess {
  if (text === 'open' || text === 'none') return text;
  let value: unknown;
  try {
    value = JSON.parse(text ?? '');
  } catch {}
  return checkGrant(value);
}
