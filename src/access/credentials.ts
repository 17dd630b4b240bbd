/** What a request says of who it is (PROTOCOL.md, "Who may connect"), and the request without it. */

import { decodeUtf8 } from '../core/decode-utf8.ts';
import { SluiceError } from '../core/errors.ts';
import { MAX_TOKEN_LENGTH } from '../core/limits.ts';

/** How a subprotocol begins that is a token. */
export const TOKEN_PROTOCOL = 'sluice.token.';

/** At most one of the two is there. */
export interface Credentials {
  token: string | undefined;
  ticket: string | undefined;
}

const TOKEN = /^[\x21-\x7e]+$/;
const BASE64URL = /^[A-Za-z0-9_-]+$/;

/**
 * Reads the token of the header `Authorization: Bearer …` or of a subprotocol, or the ticket of the address. Other schemes of
 * `Authorization` are left to who understands them.
 *
 * @throws SluiceError `invalid_options` where there is more than one; `unauthorized` where one is no token at all. Neither
 *   repeats it
 */
export function readCredentials(request: Request): Credentials {
  const bearer = bearerOf(request.headers.get('authorization'));
  const offered = tokenProtocolsOf(request.headers.get('sec-websocket-protocol'));
  const tickets = new URL(request.url).searchParams.getAll('ticket');
  if ((bearer === undefined ? 0 : 1) + offered.length + tickets.length > 1) {
    throw new SluiceError(
      'invalid_options',
      'Say in one way who you are: by Authorization, one sluice.token. subprotocol, or one ticket',
    );
  }
  const [protocol] = offered;
  if (protocol !== undefined) return { token: decodeTokenProtocol(protocol), ticket: undefined };
  if (bearer !== undefined)
    return { token: checkToken(bearer, 'The token of Authorization'), ticket: undefined };
  const [ticket] = tickets;
  return { token: undefined, ticket: ticket === undefined ? undefined : checkToken(ticket, 'The ticket') };
}

/**
 * A token that came in a frame.
 *
 * @throws SluiceError `unauthorized` where it is none at all; it does not repeat it
 */
export function checkToken(token: string, what = 'The token'): string {
  if (token.length > MAX_TOKEN_LENGTH)
    throw new SluiceError('unauthorized', `${what} is too long: ${MAX_TOKEN_LENGTH} characters are allowed`);
  if (!TOKEN.test(token))
    throw new SluiceError('unauthorized', `${what} is empty, or has other characters than visible ASCII`);
  return token;
}

/** The subprotocol that carries a token, which a browser offers beside `sluice.v1` or `sluice.raw`. */
export function tokenProtocol(token: string): string {
  const base64 = btoa(checkToken(token));
  return TOKEN_PROTOCOL + base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function bearerOf(authorization: string | null): string | undefined {
  if (authorization === null || !/^bearer(?:\s|$)/i.test(authorization)) return undefined;
  return authorization.slice('bearer'.length).trim();
}

function tokenProtocolsOf(header: string | null): string[] {
  if (header === null) return [];
  return header
    .split(',')
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol.startsWith(TOKEN_PROTOCOL));
}

function decodeTokenProtocol(protocol: string): string {
  const encoded = protocol.slice(TOKEN_PROTOCOL.length);
  const what = 'The token of the subprotocol';
  // Four characters hold three.
  if (encoded.length > Math.ceil((MAX_TOKEN_LENGTH * 4) / 3))
    return checkToken(' '.repeat(MAX_TOKEN_LENGTH + 1), what);
  const bytes = BASE64URL.test(encoded) ? decodeBase64Url(encoded) : undefined;
  if (bytes === undefined) throw new SluiceError('unauthorized', `${what} is no base64url without padding`);
  let token: string;
  try {
    token = decodeUtf8(bytes, what);
  } catch {
    throw new SluiceError('unauthorized', `${what} is no UTF-8`);
  }
  return checkToken(token, what);
}

/** Undefined where it is none: there is one way only to write some bytes. */
function decodeBase64Url(encoded: string): Uint8Array | undefined {
  let binary: string;
  try {
    binary = atob(encoded.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    return undefined;
  }
  const isCanonical = btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '') === encoded;
  return isCanonical ? Uint8Array.from(binary, (character) => character.charCodeAt(0)) : undefined;
}
