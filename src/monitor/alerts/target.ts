/**
 * Where a webhook may go. An address that somebody gives is asked from inside: without a guard it could reach what is meant for nobody
 * outside, as the metadata of a cloud machine. Names are not resolved here; a Worker on Cloudflare reaches no private network by them.
 */

import { SluiceError } from '../../core/errors.ts';

const MAX_ADDRESS_LENGTH = 2_048;

export interface TargetRules {
  /** Lets private addresses, names without a dot and plain `http` through. */
  allowPrivate: boolean;
  /** The Worker runs on a developer's machine: addresses of that machine are allowed. */
  isLocal: boolean;
}

/**
 * @param where names it in errors: `The variable ALERT_WEBHOOKS at 1`
 * @throws SluiceError `invalid_options`, which never repeats the address: its path may be a secret
 */
export function checkTarget(given: string, { allowPrivate, isLocal }: TargetRules, where: string): URL {
  if (given.length > MAX_ADDRESS_LENGTH || !URL.canParse(given))
    throw wrong(where, 'it is no address: write it as https://example.com/alerts');
  const url = new URL(given);
  if (url.username !== '' || url.password !== '')
    throw wrong(where, 'a user and a password in an address are sent by no Worker: leave them out');
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw wrong(where, `it begins with ${url.protocol}: https is allowed`);
  const host = url.hostname.replace(/\.$/, '').toLowerCase();
  if (allowPrivate || (isLocal && isLoopback(host))) return url;
  if (isPrivate(host)) {
    throw wrong(
      where,
      'its host is private or of this machine. To allow it, give the webhook "allowPrivate": true',
    );
  }
  if (url.protocol !== 'https:')
    throw wrong(where, 'https is allowed: what is sent by http can be read by others');
  return url;
}

function wrong(where: string, why: string): SluiceError {
  return new SluiceError('invalid_options', `${where} has an address that cannot be used: ${why}`);
}

/** The URL parser has brought all forms of an address of IPv4 to four decimal numbers. */
const IPV4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/;

function isLoopback(host: string): boolean {
  return (
    host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(\.\d+){3}$/.test(host)
  );
}

/** Names that are never public (RFC 6761, RFC 6762, RFC 8375, ICANN's .internal). */
const PRIVATE_NAME = /(^|\.)(localhost|local|internal|intranet|lan|home\.arpa|corp|home|test|invalid)$/;

function isPrivate(host: string): boolean {
  if (host.startsWith('[')) return isPrivateIpv6(host.slice(1, -1));
  if (IPV4.test(host)) return isPrivateIpv4(host);
  return !host.includes('.') || PRIVATE_NAME.test(host);
}

/** What the registry of special addresses has as not reachable from everywhere (IANA, RFC 6890), and multicast. */
function isPrivateIpv4(host: string): boolean {
  const [a = 0, b = 0, c = 0] = host.split('.').map(Number);
  return (
    a === 0 ||
    a === 10 ||
    a === 127 ||
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    (a === 192 && b === 0 && (c === 0 || c === 2)) ||
    (a === 192 && b === 88 && c === 99) ||
    (a === 198 && (b === 18 || b === 19)) ||
    (a === 198 && b === 51 && c === 100) ||
    (a === 203 && b === 0 && c === 113) ||
    a >= 224
  );
}

function isPrivateIpv6(host: string): boolean {
  const words = ipv6Words(host);
  const [a = 0, b = 0] = words;
  // Only 2000::/3 is given out. In it, what holds an address of IPv4 (6to4, Teredo) or is for documents reaches something else.
  const isGlobal = a >= 0x2000 && a <= 0x3fff;
  const isSpecial = a === 0x2002 || (a === 0x2001 && (b < 0x200 || b === 0xdb8)) || a === 0x3fff;
  return !isGlobal || isSpecial;
}

/** The eight numbers of an address, as the URL parser writes it. */
function ipv6Words(host: string): number[] {
  const [head = '', tail] = host.split('::');
  const wordsOf = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const [before, after] = [wordsOf(head), wordsOf(tail ?? '')];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...new Array<number>(zeros).fill(0), ...after];
}
