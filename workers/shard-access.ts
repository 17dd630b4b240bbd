/** Who speaks over the sockets of a shard: what the Worker said of each, the tokens that come within it, and tickets used up. */

import { assertAllows } from '../src/access/check-grant.ts';
import { checkToken } from '../src/access/credentials.ts';
import type { Grant } from '../src/access/grant.ts';
import { clientName, tenantOf } from '../src/access/producer-name.ts';
import { decodeAccess, type SocketAccess } from '../src/access/socket-access.ts';
import { SluiceError } from '../src/core/errors.ts';
import { MAX_UNNAMED_SOCKETS } from '../src/core/limits.ts';
import type { SessionAccess } from '../src/ingest/intake.ts';
import type { UsedTickets } from '../src/ingest/used-tickets.ts';
import { ADDRESS_HEADER, ASSIGNED_HEADER, GRANT_HEADER } from './objects.ts';
import type { ShardRevocations } from './shard-revocations.ts';

/** What a socket keeps of it through hibernation. */
export interface KeptAccess {
  access: SocketAccess;
  /** Where it connected to, for those who are asked about a further token of it. */
  address: string;
  /** True where the server has given the producer its name, which needs no permission then. */
  isAssigned: boolean;
}

/** A shard of which everybody who reaches it may do all: its route says who that is. */
export const OPEN_ACCESS: KeptAccess = { access: 'open', address: '', isAssigned: false };

/** What is granted to a socket; undefined where everybody may send, or where it has not said yet who it is. */
export function grantOf({ access }: KeptAccess): Grant | undefined {
  return typeof access === 'string' ? undefined : access;
}

/** Asks whose a token is. */
export type AskForToken = (
  request: Request,
  asked: { sink: string; producer: string | undefined; tenant: string | undefined; token: string },
) => Promise<Grant>;

export interface ShardAccessOptions {
  sink: string;
  ask: AskForToken;
  tickets: Pick<UsedTickets, 'use'>;
  revocations: ShardRevocations;
  now: () => number;
  /** Default: `MAX_UNNAMED_SOCKETS`. */
  maxUnnamed?: number;
}

export class ShardAccess {
  readonly #options: ShardAccessOptions;
  /** Sockets that have not said yet who they are, by what is kept of each. */
  readonly #unnamed = new Set<KeptAccess>();

  constructor(options: ShardAccessOptions) {
    this.#options = options;
  }

  /** What the Worker says of a request. @throws SluiceError `invalid_configuration` where it says nothing */
  read(request: Request): KeptAccess {
    const { headers } = request;
    return {
      access: decodeAccess(headers.get(GRANT_HEADER)),
      address: headers.get(ADDRESS_HEADER) ?? '',
      isAssigned: headers.has(ASSIGNED_HEADER),
    };
  }

  /**
   * Lets a socket in. Nothing may be awaited between this and its acceptance: a ticket is used up here.
   *
   * @throws SluiceError `unauthorized` for a ticket that was used; `too_many_connections` where too many have not said yet who
   *   they are; `authorization_unavailable`
   */
  admit(kept: KeptAccess, protocol: 'raw' | 'sluice.v1'): void {
    const { tickets, now, maxUnnamed = MAX_UNNAMED_SOCKETS } = this.#options;
    if (kept.access === 'none' && protocol === 'raw')
      throw new SluiceError('unauthorized', 'A raw socket says with the upgrade who it is');
    if (kept.access === 'none' && this.#unnamed.size >= maxUnnamed) {
      throw new SluiceError(
        'too_many_connections',
        'Too many sockets have still to send their hello: bring the token with the upgrade',
      );
    }
    if (typeof kept.access !== 'string') kept.access = this.#useUp(kept.access, tickets, now());
  }

  /**
   * What a session asks. `kept` changes with the grant.
   *
   * @param producer its whole name
   * @param save called when `kept` has changed
   */
  sessionAccess(kept: KeptAccess, producer: string, save: () => void): SessionAccess | undefined {
    const { access } = kept;
    if (access === 'open') return undefined;
    if (access === 'none') this.#unnamed.add(kept);
    return {
      grant: access === 'none' ? undefined : access,
      authorize: (token) => this.#authorize(kept, producer, token),
      onGrant: (grant) => {
        this.#unnamed.delete(kept);
        kept.access = grant;
        save();
      },
    };
  }

  /** The socket is gone. */
  leave(kept: KeptAccess): void {
    this.#unnamed.delete(kept);
  }

  async #authorize(kept: KeptAccess, owned: string, token: string): Promise<Grant> {
    const { sink, ask, tickets, revocations, now } = this.#options;
    checkToken(token);
    const tenant = tenantOf(owned);
    const name = clientName(owned);
    const producer = kept.isAssigned ? undefined : name;
    const request = new Request(kept.address, { headers: { authorization: `Bearer ${token}` } });
    const grant = await ask(request, { sink, producer, tenant, token });
    await revocations.loaded();
    revocations.assertNot({ producer: owned, grant }, now());
    if (grant.tenant !== tenant) {
      throw new SluiceError(
        'forbidden',
        'The token is of another tenant than the socket: name the tenant in the address, as ?tenant=',
      );
    }
    // A ticket is for one producer, also where the server gave this one its name.
    if (grant.once !== undefined) assertAllows(grant, { sink, producer: name, tenant });
    return this.#useUp(grant, tickets, now());
  }

  /** The grant as it is once its ticket was used. */
  #useUp(grant: Grant, tickets: Pick<UsedTickets, 'use'>, nowMs: number): Grant {
    const { once, ...used } = grant;
    if (once === undefined) return grant;
    tickets.use(once, nowMs);
    return used;
  }
}
