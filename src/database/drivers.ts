/**
 * The drivers: node-postgres, and Neon's, which speaks the same protocol over WebSockets and has the same interface. Neon's is an
 * optional peer of the package, and is loaded by the first connection that asks for it. node-postgres is not: Drizzle's module for
 * it would have to be loaded in the same way, and then esbuild initializes parts of Drizzle only after code that extends its
 * classes ("Class extends value undefined", where a Worker starts).
 */

import type pg from 'pg';
import { errorText, SluiceError } from '../core/errors.ts';
import { parseAddress } from './address.ts';
import { PgClient } from './client.ts';
import { clientConfig, shutOutEnvironment } from './client-config.ts';
import type { DatabaseTarget } from './target.ts';

/**
 * A client that is not connected yet.
 *
 * @param socket makes the TCP socket of node-postgres
 * @throws SluiceError `invalid_configuration` where the driver is not installed; `invalid_options` for an address that is refused
 */
export async function createClient(
  target: DatabaseTarget,
  socket?: (config: { ssl?: unknown }) => unknown,
): Promise<pg.Client> {
  if (target.driver === 'neon') return createNeonClient(target);
  return new PgClient(
    target.url,
    socket === undefined ? {} : { stream: socket as NonNullable<pg.ClientConfig['stream']> },
  );
}

async function createNeonClient({ url, neonProxy }: DatabaseTarget): Promise<pg.Client> {
  const address = parseAddress(url);
  const { Client } = await loadNeon();
  const client = new Client(clientConfig(address));
  shutOutEnvironment(client, address);
  if (neonProxy !== undefined) {
    // A plain Postgres behind a tunnel: no TLS on the WebSocket, and its password exchange (SCRAM) cannot be pipelined.
    // The proxy knows its one database; as a function, because a string would get an `?address=` appended.
    client.neonConfig.wsProxy = () => neonProxy;
    client.neonConfig.useSecureWebSocket = false;
    client.neonConfig.pipelineTLS = false;
    client.neonConfig.pipelineConnect = false;
  }
  // Neon's driver is node-postgres with another socket.
  return client as unknown as pg.Client;
}

async function loadNeon(): Promise<typeof import('@neondatabase/serverless')> {
  // Within `try`, so that bundlers take it as a package that may be missing.
  try {
    return await import('@neondatabase/serverless');
  } catch (error) {
    throw missing('@neondatabase/serverless', error);
  }
}

function missing(name: string, cause: unknown): SluiceError {
  return new SluiceError(
    'invalid_configuration',
    `The package ${name} could not be loaded: install it (npm install ${name}). ${errorText(cause)}`,
    { cause },
  );
}
