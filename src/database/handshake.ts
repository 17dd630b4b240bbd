/** What a failed connection failed of: node-postgres and workerd do not say when it was TLS. */

import { errorText } from '../core/errors.ts';

/** How far a connection has come. */
type Stage = 'socket' | 'tls' | 'session';

/** The parts of node-postgres's connection that say how far it has come; Neon's driver has them too. */
interface ConnectionEvents {
  once(event: string, listener: () => void): unknown;
}

/** What the server says first, once TLS is done. */
const SESSION_EVENTS = [
  'authenticationOk',
  'authenticationCleartextPassword',
  'authenticationMD5Password',
  'authenticationSASL',
  'errorMessage',
];

const PRIVATE_CA =
  "for a private CA, name the CA's file in the variable NODE_EXTRA_CA_CERTS on this machine, and use Hyperdrive in a deployment";
const OTHER_NAME = 'write the host in the address as the certificate has it';
const EXPIRED = 'renew it at the server, and see that the clock is right';

/** From what the platform says to what is wrong with the certificate, and the remedy. */
const CERTIFICATE_FAULTS: readonly (readonly [RegExp, string])[] = [
  [
    /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_UNTRUSTED|UnknownIssuer|self.signed/i,
    `The certificate of the server is of a CA that is not trusted here: ${PRIVATE_CA}`,
  ],
  [
    /ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH|not valid for name/i,
    `The certificate of the server is for another name: ${OTHER_NAME}`,
  ],
  [
    /CERT_HAS_EXPIRED|CERT_NOT_YET_VALID|expired/i,
    `The certificate of the server has expired, or is not valid yet: ${EXPIRED}`,
  ],
  // workerd keeps the reason for its log.
  [
    /internal error|TLS Handshake Failed/i,
    `The certificate of the server is not accepted. It is of a CA that is not trusted here (${PRIVATE_CA}), or for another name (${OTHER_NAME}), or has expired (${EXPIRED})`,
  ],
];

/** Follows one connection while it is opened. */
export class Handshake {
  #stage: Stage;

  /** @param isSecure whether TLS begins before the driver tells of it, as with a WebSocket */
  constructor(isSecure = false) {
    this.#stage = isSecure ? 'tls' : 'socket';
  }

  watch(client: object): void {
    const { connection } = client as { connection?: ConnectionEvents };
    connection?.once('sslconnect', () => {
      this.#stage = 'tls';
    });
    for (const event of SESSION_EVENTS) {
      connection?.once(event, () => {
        this.#stage = 'session';
      });
    }
  }

  /** The reason of a failure in words, with the remedy where TLS is the reason. */
  reasonOf(error: unknown): string {
    const text = textOf(error);
    if (/does not support SSL/.test(text))
      return 'The server has no TLS, and the address asks for it: leave sslmode out of the address, or turn ssl on at the server';
    if (/no encryption$|SSL off$|connection is insecure/.test(text))
      return `${text}. The server may ask for TLS: add sslmode=require to the address`;
    if (this.#stage !== 'tls') return text;
    const code = (error as { code?: unknown } | null)?.code;
    const fault = CERTIFICATE_FAULTS.find(([pattern]) => pattern.test(`${String(code)} ${text}`))?.[1];
    return `The TLS handshake failed. ${fault ?? text}`;
  }
}

function textOf(error: unknown): string {
  // A failed WebSocket of the Neon driver rejects with an event, which has no text.
  if (error instanceof Error) return errorText(error);
  if (typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string')
    return error.message;
  return 'the connection could not be opened';
}
