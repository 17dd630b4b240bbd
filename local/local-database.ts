/** The database that a local command uses: DATABASE_URL where it is set, else the embedded Postgres. */

import os from 'node:os';
import { SluiceError } from '../src/core/errors.ts';
import { isNeonHost, parseAddress } from '../src/database/address.ts';
import { type DatabaseTarget, describeTarget, resolveTarget } from '../src/database/target.ts';
import type { Cleanup } from './cli/cleanup.ts';
import { unreadVariablesText } from './environment.ts';
import { startNeonTunnel } from './neon-tunnel.ts';
import { startDevelopmentPostgres } from './postgres/development.ts';

function hostCpu(): string {
  const cpus = os.cpus();
  return `${cpus.length} × ${cpus[0]?.model.trim() ?? 'unknown processor'}`;
}

export interface LocalDatabase {
  /** Direct address, for this machine. Written so that every program reads it alike (src/database/address.ts). */
  url: string;
  /** Variables that tell a local Worker how to reach it. */
  bindings: Record<string, string>;
  /** `host:port/path` of the tunnel for the Neon driver, where one was needed. */
  neonProxy: string | undefined;
}

export interface LocalDatabaseOptions {
  /** `auto`, `tcp` or `neon`; for `neon` and a plain Postgres a tunnel is started. */
  driver: string;
  /** Stops what was started. */
  cleanup: Cleanup;
  onLog: (message: string) => void;
  /** Default: that of the variable DATABASE_URL; where that is not set either, the embedded Postgres. */
  databaseUrl?: string | undefined;
  /** Where the Neon driver's WebSocket goes, instead of a tunnel that is started for it. */
  neonProxy?: string | undefined;
}

/**
 * Finds or starts the database.
 *
 * @throws SluiceError `invalid_options` for an address or a driver that cannot be used, before anything is started
 */
export async function openLocalDatabase({
  driver,
  cleanup,
  onLog,
  databaseUrl = process.env.DATABASE_URL,
  neonProxy,
}: LocalDatabaseOptions): Promise<LocalDatabase> {
  const unread = unreadVariablesText(process.env);
  if (unread !== undefined) onLog(unread);
  const target = await findTarget(databaseUrl, driver, cleanup, onLog);
  const bindings: Record<string, string> = {
    DATABASE_URL: target.url,
    DRIVER: driver,
    RUNS_ON: `local workerd on ${hostCpu()}`,
  };
  const { host, port, tls } = parseAddress(target.url);
  if (target.driver === 'neon' && neonProxy !== undefined) {
    bindings.NEON_PROXY = neonProxy;
    return { url: target.url, bindings, neonProxy };
  }
  if (target.driver !== 'neon' || isNeonHost(host))
    return { url: target.url, bindings, neonProxy: undefined };
  if (tls) {
    throw new SluiceError(
      'invalid_options',
      `Cannot reach ${describeTarget(target)} with TLS: for a Postgres that is not Neon's, the driver neon goes through a tunnel on this machine, which has no TLS. Use DRIVER=tcp`,
    );
  }
  const tunnel = await startNeonTunnel({ target: { host, port }, port: 0 });
  cleanup.add('close the Neon tunnel', () => tunnel.close());
  bindings.NEON_PROXY = tunnel.address;
  return { url: target.url, bindings, neonProxy: tunnel.address };
}

async function findTarget(
  databaseUrl: string | undefined,
  driver: string,
  cleanup: Cleanup,
  onLog: (message: string) => void,
): Promise<DatabaseTarget> {
  if (databaseUrl !== undefined && databaseUrl.trim() !== '') return resolveTarget({ databaseUrl, driver });
  const postgres = await startDevelopmentPostgres({ onLog });
  cleanup.add('stop Postgres', () => postgres.stop());
  return resolveTarget({ databaseUrl: postgres.url, driver });
}
