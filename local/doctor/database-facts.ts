/** What the checks of a database know, and how they ask it. */

import { type DatabaseAddress, isNeonHost, parseAddress } from '../../src/database/address.ts';
import type { Connection } from '../../src/database/connection.ts';
import { openConnection } from '../../src/database/connection.ts';
import { type DatabaseTarget, describeTarget, resolveTarget } from '../../src/database/target.ts';
import { limitedQuestions } from '../../src/monitor/limited-questions.ts';
import type { Sink, TableSink } from '../../src/sinks/sink.ts';
import { CREDENTIALS } from '../postgres/data-directory.ts';

/** What is asked here is asked once, by somebody who waits for it. */
const LIMITS = { statementTimeoutMs: 15_000, lockTimeoutMs: 2_000, totalTimeLimitMs: 120_000 };

export interface DatabaseFacts {
  /** For people: no password. */
  shown: string;
  url: string;
  address: DatabaseAddress;
  /** The embedded Postgres, or that of docker-compose.yml: how it is tuned is nobody's concern. */
  isDevelopment: boolean;
  /** A host whose storage is not Postgres' own: settings of the WAL mean something else there. */
  isNeon: boolean;
  /** As in 180004. */
  version: number;
  role: string;
  sinks: readonly Sink[];
  /** The Worker has the message store or the event store. */
  hasStores: boolean;
  /** Each question is a transaction that only reads. @throws what the server says */
  ask<Row>(text: string): Promise<Row[]>;
  /** Another connection, which is to be closed. */
  open(): Promise<Connection>;
}

/** Sinks' tables, those of routes among them, each with the sink that writes it. */
export function tableSinks(sinks: readonly Sink[]): TableSink[] {
  return sinks.flatMap((sink) =>
    sink.kind === 'table' ? [sink] : sink.kind === 'routes' ? sink.routes.map((route) => route.sink) : [],
  );
}

/**
 * Opens a connection for the checks.
 *
 * @throws SluiceError `database_unreachable`; `invalid_options` for an address that is none
 */
export async function openDatabaseFacts(
  databaseUrl: string,
  { sinks, hasStores }: Pick<DatabaseFacts, 'sinks' | 'hasStores'>,
): Promise<{ facts: DatabaseFacts; close(): void }> {
  const target = resolveTarget({ databaseUrl, driver: 'tcp' });
  const connection = await openConnection(target);
  try {
    return {
      facts: await factsOf(connection, target, { sinks, hasStores }),
      close: () => connection.close(),
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

async function factsOf(
  connection: Connection,
  target: DatabaseTarget,
  given: Pick<DatabaseFacts, 'sinks' | 'hasStores'>,
): Promise<DatabaseFacts> {
  const address = parseAddress(target.url);
  const ask = limitedQuestions(connection, LIMITS, () => performance.now());
  // Not by `ask`: a pooler that allows no transactions is one of the things that are found.
  const { rows } = (await connection.db.execute(
    `select current_setting('server_version_num')::int as version, current_user::text as role`,
  )) as unknown as { rows: { version: number; role: string }[] };
  const { version, role } = rows[0] as { version: number; role: string };
  return {
    ...given,
    shown: describeTarget(target),
    url: target.url,
    address,
    isDevelopment:
      isLoopback(address.host) &&
      address.user === CREDENTIALS.user &&
      address.password === CREDENTIALS.password,
    isNeon: isNeonHost(address.host),
    version,
    role,
    ask,
    open: () => openConnection(target),
  };
}

/** A host that no network lies before. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

/** A host of a network that is not the internet's (RFC 1918, RFC 4193), or a name without a domain, as in a network of containers. */
export function isPrivate(host: string): boolean {
  return (
    /^10\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^f[cd][0-9a-f]{2}:/.test(host) ||
    !/[.:]/.test(host) ||
    /\.(local|internal|localdomain)$/.test(host)
  );
}
