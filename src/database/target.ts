/** Which database to talk to, and by which driver. */

import { SluiceError } from '../core/errors.ts';
import { describeAddress, formatAddress, isNeonHost, parseAddress } from './address.ts';

/** `tcp`: node-postgres over a TCP socket, any Postgres. `neon`: Neon's driver, Postgres over a WebSocket. */
export const DRIVERS = ['tcp', 'neon'] as const;
export type Driver = (typeof DRIVERS)[number];

export interface DatabaseTarget {
  /**
   * `postgres://user:password@host:port/database`, by the rules of `docs/database-addresses.md`. Holds a password: never
   * log it, see `describeTarget`.
   */
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
  if (hyperdriveUrl !== undefined && driver !== 'neon') return targetOf(hyperdriveUrl, 'tcp');
  if (databaseUrl === undefined || databaseUrl.trim() === '') {
    throw new SluiceError(
      'invalid_options',
      'No database is set: bind Hyperdrive or set DATABASE_URL to postgres://user:password@host:port/database',
    );
  }
  const { host } = parseAddress(databaseUrl);
  const chosen = driver === 'auto' ? (isNeonHost(host) ? 'neon' : 'tcp') : driver;
  const target = targetOf(databaseUrl, chosen);
  return chosen === 'neon' && neonProxy !== undefined && neonProxy !== '' ? { ...target, neonProxy } : target;
}

/** Written alike wherever it goes from here: another process, a file of variables, the Worker. */
function targetOf(url: string, driver: Driver): DatabaseTarget {
  return { url: formatAddress(parseAddress(url)), driver };
}

/** Names a database for messages and logs: driver, user, host, port and name, never the password. */
export function describeTarget({ url, driver }: DatabaseTarget): string {
  return `${describeAddress(parseAddress(url))} (${driver})`;
}
