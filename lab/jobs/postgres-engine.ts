/** Namespaces on Postgres: schemas of the bench's own, each named after the run. */

import { sql } from 'drizzle-orm';
import { quoteName } from '../../src/core/sql-text.ts';
import { systemTimers } from '../../src/core/timers.ts';
import type { Connection } from '../../src/database/connection.ts';
import { ConnectionPool } from '../../src/database/connection-pool.ts';
import type { Engine, Namespace } from './fixture.ts';
import { bareClient, createFloor, postgresFloor } from './postgres-floor.ts';
import type { StoreUnderTest } from './store-under-test.ts';

/** Every schema of the bench begins with this; nothing else is ever created or dropped by it. */
export const BENCH_SCHEMA_PREFIX = 'sluice_bench_';

export interface PostgresBenchOptions {
  openConnection: () => Promise<Connection>;
  /** Part of the schemas' names: letters and digits. */
  run: string;
}

/** A namespace in Postgres, and where. */
export interface PostgresNamespace<Store, Row> extends Namespace<Store, Row> {
  schema: string;
}

export interface PostgresEngine<Store, Row> extends Engine<Store, Row> {
  hasNames(): boolean;
  create(): Promise<PostgresNamespace<Store, Row>>;
}

export function postgresEngine<Store, Row>(
  underTest: StoreUnderTest<Store, Row>,
  { openConnection, run }: PostgresBenchOptions,
): PostgresEngine<Store, Row> {
  let made = 0;
  let hasNames = true;
  return {
    hasNames: () => hasNames,
    async create() {
      made += 1;
      const schema = `${BENCH_SCHEMA_PREFIX}${run}_${made}`;
      const owner = await openConnection();
      try {
        // An object that was lost in the middle of its run has left what the next one makes under the same name.
        await dropSchema(owner, schema);
        await inTransaction(owner, underTest.schemaStatements(schema));
      } catch (error) {
        owner.close();
        throw error;
      }
      const namespace = openNamespace(underTest, {
        owner,
        openConnection,
        schema,
        onNamesLost() {
          hasNames = false;
        },
      });
      return {
        ...namespace,
        schema,
        async drop() {
          namespace.close();
          try {
            await dropSchema(owner, schema);
          } finally {
            owner.close();
          }
        },
      };
    },
  };
}

interface OpenSchema {
  /** Open as long as the namespace. */
  owner: Connection;
  openConnection: () => Promise<Connection>;
  schema: string;
  /** Told where a pooler in between does not know the names of statements. */
  onNamesLost: () => void;
}

/** What the bench opens in a schema that is there, and how it closes all of it. */
export function openNamespace<Store, Row>(
  { connections, onPostgres, settledTables, floor }: StoreUnderTest<Store, Row>,
  { owner, openConnection, schema, onNamesLost }: OpenSchema,
): Omit<Namespace<Store, Row>, 'drop'> & { close(): void } {
  const open: { close(): void }[] = [];
  return {
    async openStore() {
      const pool = new ConnectionPool({ open: openConnection, timers: systemTimers, size: connections });
      open.push(pool);
      return onPostgres({ connections: pool, schema, onNamesLost });
    },
    async openFloor(hasIndexes) {
      await inTransaction(owner, createFloor(floor, schema, hasIndexes));
      const connection = await openConnection();
      open.push(connection);
      return postgresFloor(floor, connection, schema, onNamesLost);
    },
    async settle() {
      for (const table of settledTables)
        await bareClient(owner).query({ text: `vacuum (analyze) ${quoteName(schema)}.${quoteName(table)}` });
    },
    close() {
      // Their locks would hold up a drop.
      for (const connection of open.splice(0)) connection.close();
    },
  };
}

/** Drops all schemas of the bench whose names go on so. Nothing may be connected any more that uses them. */
export async function dropBenchSchemas(connection: Connection, prefix: string): Promise<void> {
  const result = (await connection.db.execute(
    sql`select nspname as name from pg_namespace where starts_with(nspname, ${BENCH_SCHEMA_PREFIX + prefix})`,
  )) as unknown as { rows: { name: string }[] };
  for (const { name } of result.rows) await dropSchema(connection, name);
}

async function dropSchema({ db }: Connection, schema: string): Promise<void> {
  await db.execute(sql.raw(`drop schema if exists ${quoteName(schema)} cascade`));
}

async function inTransaction({ db }: Connection, statements: readonly string[]): Promise<void> {
  await db.transaction(async (transaction) => {
    for (const statement of statements) await transaction.execute(sql.raw(statement));
  });
}
