/** Connections of both drivers to the Postgres of the test run. */

import { type SQL, sql } from 'drizzle-orm';
import { afterAll, beforeAll, inject } from 'vitest';
import { type NeonTunnel, startNeonTunnel } from '../../local/neon-tunnel.ts';
import type { Connection } from '../../src/database/connection.ts';
import type { DatabaseTarget, Driver } from '../../src/database/target.ts';
import { openConnection } from './open-connection.ts';

export interface TestDatabase {
  readonly target: DatabaseTarget;
  /** Opens a connection that is closed after the last test. */
  open(): Promise<Connection>;
}

/**
 * To be called where tests are collected: opens the tunnel for the Neon driver, and closes all in the end.
 *
 * @param url of another database of the same server, or of another role
 */
export function testDatabase(driver: Driver, url: string = inject('databaseUrl')): TestDatabase {
  const connections: Connection[] = [];
  let tunnel: NeonTunnel | undefined;
  beforeAll(async () => {
    if (driver !== 'neon') return;
    const { hostname, port } = new URL(url);
    tunnel = await startNeonTunnel({ target: { host: hostname, port: Number(port) }, port: 0 });
  });
  afterAll(async () => {
    for (const connection of connections) connection.close();
    await tunnel?.close();
  });
  return {
    get target() {
      return tunnel === undefined ? { url, driver } : { url, driver, neonProxy: tunnel.address };
    },
    async open() {
      const connection = await openConnection(this.target);
      connections.push(connection);
      return connection;
    },
  };
}

/** The rows that a query answers with. */
export async function rowsOf<Row = Record<string, unknown>>(
  { db }: Connection,
  query: SQL | string,
): Promise<Row[]> {
  const result = await db.execute(typeof query === 'string' ? sql.raw(query) : query);
  return (result as unknown as { rows: Row[] }).rows;
}

let tables = 0;

/** A table's name that no other test uses. */
export function freshName(prefix: string): string {
  tables += 1;
  return `${prefix}_${process.pid}_${tables}_${Math.random().toString(36).slice(2, 8)}`;
}
