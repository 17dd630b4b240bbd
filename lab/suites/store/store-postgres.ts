/** Namespaces of the suite `store` on Postgres: schemas of the bench's own, each named after the run. */

import { sql } from 'drizzle-orm';
import { quoteName } from '../../../src/core/sql-text.ts';
import { systemTimers } from '../../../src/core/timers.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { ConnectionPool } from '../../../src/database/connection-pool.ts';
import { PostgresMessageEngine } from '../../../src/messages/engines/postgres-engine.ts';
import { createSchemaStatements } from '../../../src/messages/engines/postgres-schema.ts';
import { MessageStore } from '../../../src/messages/message-store.ts';
import { createFloor, postgresFloor } from './postgres-floor.ts';
import type { BenchEngine, BenchNamespace } from './store-bench.ts';

/** Every schema of the bench begins with this; nothing else is ever created or dropped by it. */
export const BENCH_SCHEMA_PREFIX = 'sluice_bench_';

export interface PostgresBenchOptions {
  openConnection: () => Promise<Connection>;
  /** Part of the schemas' names: letters and digits. */
  run: string;
}

export function postgresBenchEngine({ openConnection, run }: PostgresBenchOptions): BenchEngine {
  let made = 0;
  let hasNames = true;
  const onNamesLost = (): void => {
    hasNames = false;
  };
  return {
    hasNames: () => hasNames,
    async create(): Promise<BenchNamespace> {
      made += 1;
      const schema = `${BENCH_SCHEMA_PREFIX}${run}_${made}`;
      const owner = await openConnection();
      const open: { close(): void }[] = [];
      try {
        // A place that was lost in the middle of its run has left what the next one of the run makes under the same name.
        await owner.db.execute(sql.raw(`drop schema if exists ${quoteName(schema)} cascade`));
        await inTransaction(owner, createSchemaStatements(schema));
      } catch (error) {
        owner.close();
        throw error;
      }
      return {
        async openStore() {
          // One connection for a store: what the figures of one store and of ten have to tell apart.
          const pool = new ConnectionPool({ open: openConnection, timers: systemTimers, size: 1 });
          open.push(pool);
          return new MessageStore(
            new PostgresMessageEngine({ connections: pool, schema, preparesStatements: true, onNamesLost }),
          );
        },
        async openFloor(hasIndexes) {
          await inTransaction(owner, createFloor(schema, hasIndexes));
          const connection = await openConnection();
          open.push(connection);
          return postgresFloor(connection, schema, onNamesLost);
        },
        async drop() {
          // The others go first: their locks would hold up the drop.
          for (const connection of open.splice(0)) connection.close();
          try {
            await owner.db.execute(sql.raw(`drop schema if exists ${quoteName(schema)} cascade`));
          } finally {
            owner.close();
          }
        },
      };
    },
  };
}

async function inTransaction({ db }: Connection, statements: readonly string[]): Promise<void> {
  await db.transaction(async (transaction) => {
    for (const statement of statements) await transaction.execute(sql.raw(statement));
  });
}
