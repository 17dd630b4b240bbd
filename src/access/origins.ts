/**
 * Which pages may ask. A browser says with a request of which origin its page is: scheme, host and port, as in
 * `https://app.example.com` or `http://localhost:5173`. Where other programs say it, it means nothing.
 */

import { SluiceError } from '../core/errors.ts';
import { MAX_ORIGIN_LENGTH, MAX_ORIGINS } from '../core/limits.ts';

interface Rule {
  scheme: string;
  host: string;
  /** Also hosts whose name ends with a dot and `host`, and not `host` itself. */
  isSuffix: boolean;
  /** Empty: the scheme's own. Undefined: any. */
  port: string | undefined;
}

/** Hosts of the machine itself. A page that asks from there is on it. */
const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** A list of origins and of patterns of them. */
export class Origins {
  readonly #rules: readonly Rule[];
  readonly #hasAll: boolean;
  readonly #hasNull: boolean;

  /**
   * @param list each of them an origin as a browser writes it (`https://app.example.com`), a pattern of hosts below one
   * (`https://*.example.com`), a host at any port (`http://localhost:*`), `null` for pages that have no origin (files, sandboxed
   * frames), or `*` for every page that has one
   * @throws SluiceError `invalid_options` for one that no browser writes so; it says how it is written
   */
  constructor(list: readonly string[]) {
    if (list.length > MAX_ORIGINS) throw wrong(`there are ${list.length}, and ${MAX_ORIGINS} are allowed`);
    this.#hasAll = list.includes('*');
    this.#hasNull = list.includes('null');
    this.#rules = list.filter((entry) => entry !== '*' && entry !== 'null').map(readRule);
  }

  /**
   * Whether a page may ask a Worker. One of the Worker's own origin always may; and where the Worker is on this machine, one of
   * this machine, at whatever port.
   *
   * @param origin the header `Origin`, as it came
   * @param own the address that was asked
   */
  allow(origin: string, own: URL): boolean {
    if (origin === 'null') return this.#hasNull;
    if (origin === own.origin) return true;
    const page = parseOrigin(origin);
    if (page === undefined) return false;
    if (LOOPBACK.has(own.hostname) && LOOPBACK.has(page.hostname)) return true;
    return this.#hasAll || this.#rules.some((rule) => fits(page, rule));
  }
}

/** Undefined for what no browser writes: another spelling of an origin, several, or something else. */
function parseOrigin(origin: string): URL | undefined {
  // An asterisk may stand in a host, but for URL only.
  if (origin.length > MAX_ORIGIN_LENGTH || origin.includes('*') || !URL.canParse(origin)) return undefined;
  const url = new URL(origin);
  return /^https?:$/.test(url.protocol) && url.origin === origin ? url : undefined;
}

function fits(page: URL, { scheme, host, isSuffix, port }: Rule): boolean {
  if (page.protocol !== scheme || (port !== undefined && page.port !== port)) return false;
  if (!isSuffix) return page.hostname === host;
  return page.hostname.length > host.length + 1 && page.hostname.endsWith(`.${host}`);
}

function readRule(entry: string): Rule {
  const [scheme, rest] = splitAt(entry, '://');
  const anyPort = rest.endsWith(':*');
  const place = anyPort ? rest.slice(0, -2) : rest;
  const isSuffix = place.startsWith('*.');
  const name = isSuffix ? place.slice(2) : place;
  const origin = `${scheme}://${name}`;
  const url = parseOrigin(origin);
  if (url === undefined || (anyPort && url.port !== ''))
    throw wrong(`${JSON.stringify(entry.slice(0, 100))} is none${hint(entry)}`);
  if (isSuffix && !url.hostname.includes('.') && url.hostname !== 'localhost')
    throw wrong(`${JSON.stringify(entry)} would be every host below "${url.hostname}"`);
  return { scheme: url.protocol, host: url.hostname, isSuffix, port: anyPort ? undefined : url.port };
}

/** How a browser writes what was meant, where that can be told. */
function hint(entry: string): string {
  if (entry.includes('*') || !URL.canParse(entry)) return '';
  const { origin } = new URL(entry);
  return origin === 'null' ? '' : `: a browser writes ${JSON.stringify(origin)}`;
}

function splitAt(text: string, mark: string): [before: string, after: string] {
  const at = text.indexOf(mark);
  return at === -1 ? ['', text] : [text.slice(0, at), text.slice(at + mark.length)];
}

function wrong(why: string): SluiceError {
  return new SluiceError(
    'invalid_options',
    `Cannot use these origins: ${why}. Origins as "https://app.example.com", patterns as "https://*.example.com" and "http://localhost:*", "null" and "*" are allowed`,
    { details: { option: 'origins' } },
  );
}
