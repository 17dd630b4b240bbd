/** What the drivers are told about a database: the address alone. What the environment's variables say is shut out. */

import type pg from 'pg';
import { SluiceError } from '../core/errors.ts';
import type { DatabaseAddress } from './address.ts';

/** What both drivers are told: the parts of the address, since each would read the whole in its own way. */
export function clientConfig(address: DatabaseAddress): pg.ClientConfig {
  const { user, password, host, port, database, tls, options, applicationName } = address;
  return {
    user,
    host,
    port,
    database,
    // A driver that has no password looks for one in PGPASSWORD and in ~/.pgpass; with a function it asks that.
    password: password ?? refusePassword,
    // Said explicitly: PGSSLMODE decides otherwise, and NODE_TLS_REJECT_UNAUTHORIZED, which no Worker knows.
    ssl: tls ? { rejectUnauthorized: true } : false,
    ...(options === undefined ? {} : { options }),
    ...(applicationName === undefined ? {} : { application_name: applicationName }),
    ...{ sslnegotiation: 'postgres' },
  };
}

/** What node-postgres and Neon's driver keep for themselves. */
interface Internals {
  connectionParameters?: Record<string, unknown>;
  replication?: unknown;
}

/**
 * Takes back what a client has read from PGOPTIONS, PGAPPNAME, PGREPLICATION and PGCLIENT_ENCODING, which it does for every
 * value that is empty in its configuration. A Worker would not have them, or would have them from its own variables.
 */
export function shutOutEnvironment(client: object, { options, applicationName }: DatabaseAddress): void {
  const internals = client as Internals;
  internals.replication = undefined;
  if (internals.connectionParameters === undefined) return;
  Object.assign(internals.connectionParameters, {
    options,
    application_name: applicationName,
    replication: undefined,
    client_encoding: '',
    binary: false,
  });
}

function refusePassword(): never {
  throw new SluiceError(
    'database_unreachable',
    'the server asks for a password, and the address has none (PGPASSWORD and ~/.pgpass are not read)',
  );
}
