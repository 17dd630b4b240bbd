/** What decides who may send. */

import type { Grant } from './grant.ts';

/** What a request wants. */
export interface AccessQuestion {
  /** The sink that it asks for. It is there. */
  sink: string;
  /** The name that the client gave its producer; undefined where it gave none. */
  producer: string | undefined;
  /** The bindings and variables of the Worker. */
  // biome-ignore lint/suspicious/noExplicitAny: they are of the user's own type
  env: any;
  /** The token that the request brings (src/access/credentials.ts), of whatever kind; undefined where it brings none. */
  token: string | undefined;
  /** The ticket of its address. */
  ticket: string | undefined;
  nowMs: number;
}

/**
 * Says who a request is. It is asked at each upgrade, and again for a token that a session sends within itself; then the request
 * is one that was made of the token, with the address of the socket.
 *
 * `undefined` means that these credentials are not for it: the next one is asked, and if there is none, the request is
 * refused with `unauthorized`.
 *
 * @throws SluiceError `unauthorized` or `forbidden` with a sentence for the client, which must not repeat the token
 */
export type Authorize = (
  request: Request,
  question: AccessQuestion,
) => Grant | undefined | Promise<Grant | undefined>;
