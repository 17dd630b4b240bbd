/** What a token, a ticket or a function of the request grants: who somebody is, and what they may do. */

import type { LimitsOf } from './limits.ts';

/** A producer's class, which decides who waits when there is too much. */
export type PriorityClass = 'high' | 'normal' | 'low';

/** Who may send, and what. Plain data: it goes from the Worker to the shard, and stays with the socket through hibernation. */
export interface Grant {
  /**
   * Whose producers these are, 1 to 64 characters of `A-Z a-z 0-9 . _ -`. Two tenants may name a producer alike, and are two
   * producers: its name in Postgres begins with the tenant's and a `/`. Default: names are as clients say them.
   */
  tenant?: string;
  /** The sinks that may be sent to. Default: all. */
  sinks?: readonly string[];
  /**
   * Names that a producer may have, in which `*` stands for any characters: `device-7`, `floor-2.*`. Default: all.
   * A client that names no producer gets a name of the server's own, which needs no permission.
   */
  producers?: readonly string[];
  /** The name of a client that names no producer. It needs no permission. Default: one of the server's own. */
  producer?: string;
  /** Default: `normal`. */
  priority?: PriorityClass;
  /** Over the limits of the deployment, each that is given. */
  limits?: LimitsOf;
  /** When it ends, in milliseconds since 1970. Default: never. */
  expiresAtMs?: number;
  /**
   * Names the token for operators, who list sessions by it and revoke it: `jti` of a JWT, the name of a static token. It is
   * never the token itself.
   */
  tokenId?: string;
  /**
   * It opens one socket: the shard remembers `id` until `untilMs` (milliseconds since 1970), and refuses the next who comes
   * with it. It holds for `producer` alone, which has to be given, since each producer's shard remembers for itself.
   */
  once?: { id: string; untilMs: number };
}
