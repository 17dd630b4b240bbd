/** Which database to talk to, and by which driver. */

import { SluiceError } from '../errors.ts';

/** `tcp`: node-postgres over a TCP socket, any Postgres. `neon`: Neon's driver, Postgres over a WebSocket. */
export const DRIVERS = ['tcp', 'neon'] as const;
export type Driver = (typeof DRIVERS)[number];

export interface DatabaseTarget {
  /** `postgres://user:password@host:port/database`. Holds a password: never log it, see `describeTarget`. */
  readonly url: string;
  readonly driver: Driver;
  /** Where the Neon driver's WebSocket goes instead of the Neon host: `host:port/path`, without TLS. For local use. */
  readonly neonProxy?: string;
}

/** What an environment says about its database; each may be missing. */
export interface DatabaseSettings {
  /** The connection string of a Hyperdrive binding. It wins: who binds Hyperdrive wants its pool. */
  hyperdriveUrl?: string | undefined;
  databaseUrl?: string | undefined;
  /** `auto` (default): Neon's driver for Neon hosts, TCP for all others. */
  driver?: string | undefined;
  neonProxy?: string | undefined;
}

/**
 * Decides on driver and address.
 *
 * @throws SluiceError `invalid_options` where no address is set, or where it is none.
 */
export function resolveTarget({
  hyperdriveUrl,
  databaseUrl,
  driver = 'auto',
  neonProxy,
}: DatabaseSettings): DatabaseTarget {
  if (driver !== 'auto' && driver !== 'tcp' && driver !== 'neon') {
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${JSON.stringify(driver)} as the driver: auto, tcp and neon are allowed`,
    );
  }
  if (hyperdriveUrl !== undefined && driver !== 'neon') {
    parseAddress(hyperdriveUrl);
    return { url: hyperdriveUrl, driver: 'tcp' };
  }
  if (databaseUrl === undefined || databaseUrl === '') {
    throw new SluiceError(
      'invalid_options',
      'No database is set: bind Hyperdrive or set DATABASE_URL to postgres://user:password@host:port/database',
    );
  }
  const { hostname } = parseAddress(databaseUrl);
  const chosen = driver === 'auto' ? (isNeonHost(hostname) ? 'neon' : 'tcp') : driver;
  if (chosen === 'neon' && neonProxy !== undefined && neonProxy !== '') {
    return { url: databaseUrl, driver: chosen, neonProxy };
  }
  return { url: databaseUrl, driver: chosen };
}

/** Hosts of Neon's own cloud, which answer its driver's WebSocket. */
export function isNeonHost(hostname: string): boolean {
  const host = hostname.toLowerCase();
  return host.endsWith('.neon.tech') || host.endsWith('.neon.build');
}

/** Names a database for messages and logs: driver, user, host, port and name, never the password. */
export function describeTarget({ url, driver }: DatabaseTarget): string {
  const address = parseAddress(url);
  const user = address.username === '' ? '' : `${address.username}@`;
  return `${user}${address.hostname}:${address.port || '5432'}${address.pathname} (${driver})`;
}

function parseAddress(text: string): URL {
  const address = URL.canParse(text) ? new URL(text) : undefined;
  if (
    address !== undefined &&
    /^postgres(ql)?:$/.test(address.protocol) &&
    address.hostname !== '' &&
    // A password with an unescaped # / or ? ends up in the port and behind it, and would be shown.
    !/@/.test(address.pathname + address.search + address.hash)
  )
    return address;
  // The text itself is not repeated: it may hold a password.
  throw new SluiceError(
    'invalid_options',
    'The database address is not of the form postgres://user:password@host:port/database',
  );
}
