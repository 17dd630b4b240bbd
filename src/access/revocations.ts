/** What an operator has taken back: tokens, producers and tenants that may not send any more, though their token is good. */

import { SluiceError } from '../core/errors.ts';
import type { Grant } from './grant.ts';
import { tenantOf } from './producer-name.ts';

export const REVOCABLE = ['token', 'producer', 'tenant'] as const;

/** What can be revoked: a token by its `tokenId`, a producer by its whole name (`acme/device-7`), all of a tenant. */
export type Revocable = (typeof REVOCABLE)[number];

/** Which one is meant. */
export interface RevokedName {
  kind: Revocable;
  name: string;
}

export interface Revocation extends RevokedName {
  /** When it was said, in milliseconds since 1970. */
  atMs: number;
  /** When it ends by itself; null: never. */
  untilMs: number | null;
}

/** Who speaks over a socket, as far as a revocation may mean it. */
export interface Revoked {
  /** The whole name of the producer. */
  producer: string;
  grant: Pick<Grant, 'tenant' | 'tokenId'> | undefined;
}

/** True where a name means this socket. */
export function isMeant({ kind, name }: RevokedName, { producer, grant }: Revoked): boolean {
  if (kind === 'token') return grant?.tokenId === name;
  if (kind === 'producer') return producer === name;
  return (grant?.tenant ?? tenantOf(producer)) === name;
}

/** The names that are revoked now, at most `MAX_REVOCATIONS`. */
export class Revocations {
  readonly #revoked: Readonly<Record<Revocable, Map<string, number | null>>> = {
    token: new Map(),
    producer: new Map(),
    tenant: new Map(),
  };

  add({ kind, name, untilMs }: Revocation): void {
    this.#revoked[kind].set(name, untilMs);
  }

  remove({ kind, name }: RevokedName): void {
    this.#revoked[kind].delete(name);
  }

  /**
   * Refuses a client that is revoked at `nowMs`.
   *
   * @throws SluiceError `forbidden`
   */
  assertNot({ producer, grant }: Revoked, nowMs: number): void {
    const tenant = grant?.tenant ?? tenantOf(producer);
    if (this.#holds('producer', producer, nowMs)) throw revoked('producer');
    if (tenant !== undefined && this.#holds('tenant', tenant, nowMs)) throw revoked('tenant');
    if (grant?.tokenId !== undefined && this.#holds('token', grant.tokenId, nowMs)) throw revoked('token');
  }

  #holds(kind: Revocable, name: string, nowMs: number): boolean {
    const untilMs = this.#revoked[kind].get(name);
    if (untilMs === undefined) return false;
    if (untilMs === null || nowMs < untilMs) return true;
    this.#revoked[kind].delete(name);
    return false;
  }
}

/** What a client is told whose token, producer or tenant was revoked. */
export function revokedText(kind: Revocable): string {
  return `the ${kind} was revoked by an operator: ask the one who gave you access`;
}

function revoked(kind: Revocable): SluiceError {
  return new SluiceError('forbidden', revokedText(kind));
}

/** The error of a list that is full. */
export function tooManyRevocations(max: number): SluiceError {
  return new SluiceError(
    'invalid_options',
    `There are ${max} revocations already: reinstate some, or change the secret that signs the tokens`,
    { details: { maxRevocations: max } },
  );
}
