/** The database that a local command uses: DATABASE_URL where it is set, else the embedded Postgres. */

import os from 'node:os';
import { isNeonHost, resolveTarget } from '../src/database/target.ts';
import type { Cleanup } from './cli/cleanup.ts';
import { startNeonTunnel } from './neon-tunnel.ts';
import { startDevelopmentPostgres } from './postgres/development.ts';

function hostCpu(): string {
  const cpus = os.cpus();
  return `${cpus.length} × ${cpus[0]?.model.trim() ?? 'unknown processor'}`;
}

export interface LocalDatabase {
  /** Direct address, for this machine. */
  url: string;
  /** Variables that tell a local Worker how to reach it. */
  bindings: Record<string, string>;
  /** `host:port/path` of the tunnel for the Neon driver, where one was needed. */
  neonProxy: string | undefined;
}

/**
 * Finds or starts the database. What it starts is stopped by `cleanup`.
 *
 * @param driver `auto`, `tcp` or `neon`; for `neon` and a plain Postgres a tunnel is started
 */
export async function openLocalDatabase(
  driver: string,
  cleanup: Cleanup,
  onLog: (message: string) => void,
): Promise<LocalDatabase> {
  let url = process.env.DATABASE_URL;
  if (url === undefined || url === '') {
    const postgres = await startDevelopmentPostgres({ onLog });
    cleanup.add('stop Postgres', () => postgres.stop());
    url = postgres.url;
  }
  const target = resolveTarget({ databaseUrl: url, driver });
  const bindings: Record<string, string> = {
    DATABASE_URL: url,
    DRIVER: driver,
    RUNS_ON: `local workerd on ${hostCpu()}`,
  };
  let neonProxy: string | undefined;
  const address = new URL(url);
  if (target.driver === 'neon' && !isNeonHost(address.hostname)) {
    const tunnel = await startNeonTunnel({
      target: { host: address.hostname, port: Number(address.port || '5432') },
      port: 0,
    });
    cleanup.add('close the Neon tunnel', () => tunnel.close());
    neonProxy = tunnel.address;
    bindings.NEON_PROXY = tunnel.address;
  }
  return { url, bindings, neonProxy };
}
