/** Namespaces of the suite `dcb` on Postgres: schemas of the bench's own, each named after the run. */

import { sql } from 'drizzle-orm';
import { quoteName } from '../../../src/core/sql-text.ts';
import { systemTimers } from '../../../src/core/timers.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { ConnectionPool } from '../../../src/database/connection-pool.ts';
import { PostgresEventEngine } from '../../../src/events/engines/postgres-engine.ts';
import { createEventStatements } from '../../../src/events/engines/postgres-schema.ts';
import { EventStore } from '../../../src/events/event-store.ts';
import { createSchemaStatements } from '../../../src/messages/engines/postgres-schema.ts';
import { bareClient } from '../store/postgres-floor.ts';
import { BENCH_SCHEMA_PREFIX, type PostgresBenchOptions } from '../store/store-postgres.ts';
import type { DcbNamespace } from './bench.ts';
import { directStore } from './bench-store.ts';
import { createEventFloor, postgresEventFloor } from './postgres-floor.ts';

/** As many as a namespace of the Worker has: appends go in groups on one of them, reads run beside. */
const CONNECTIONS = 4;

/** A namespace in Postgres, and where. */
export interface PostgresDcbNamespace extends DcbNamespace {
  schema: string;
}

export function postgresDcbEngine({ openConnection, run }: PostgresBenchOptions): {
  create(): Promise<PostgresDcbNamespace>;
  hasNames(): boolean;
} {
  let made = 0;
  let hasNames = true;
  const onNamesLost = (): void => {
    hasNames = false;
  };
  return {
    hasNames: () => hasNames,
    async create() {
      made += 1;
      const schema = `${BENCH_SCHEMA_PREFIX}${run}_${made}`;
      const owner = await openConnection();
      try {
        // A place that was lost in the middle of its run has left what the next one of the run makes under the same name.
        await owner.db.execute(sql.raw(`drop schema if exists ${quoteName(schema)} cascade`));
        await inTransaction(owner, [...createSchemaStatements(schema), ...createEventStatements(schema)]);
      } catch (error) {
        owner.close();
        throw error;
      }
      const place = postgresNamespace({ owner, openConnection, schema, onNamesLost });
      return {
        ...place,
        schema,
        async drop() {
          place.close();
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

interface Place {
  /** Open as long as the namespace. */
  owner: Connection;
  openConnection: () => Promise<Connection>;
  schema: string;
  /** Told where a pooler in between does not know the names of statements. */
  onNamesLost: () => void;
}

/** What the bench opens in a schema that is there, and how it closes all of it. */
export function postgresNamespace({
  owner,
  openConnection,
  schema,
  onNamesLost,
}: Place): Omit<DcbNamespace, 'drop'> & { close(): void } {
  const open: { close(): void }[] = [];
  let events: EventStore | undefined;
  function openEvents(): EventStore {
    if (events !== undefined) return events;
    const pool = new ConnectionPool({ open: openConnection, timers: systemTimers, size: CONNECTIONS });
    open.push(pool);
    events = new EventStore(
      new PostgresEventEngine({ connections: pool, schema, preparesStatements: true, onNamesLost }),
    );
    return events;
  }
  return {
    openStore: async () => directStore(openEvents()),
    openEvents: async () => openEvents(),
    async openFloor(hasIndex) {
      await inTransaction(owner, createEventFloor(schema, hasIndex));
      const connection = await openConnection();
      open.push(connection);
      return postgresEventFloor(connection, schema, onNamesLost);
    },
    async settle() {
      for (const table of ['events', 'event_postings']) {
        await bareClient(owner).query({ text: `vacuum (analyze) ${quoteName(schema)}.${table}` });
      }
    },
    close() {
      // Their locks would hold up a drop.
      for (const connection of open.splice(0)) connection.close();
    },
  };
}

/** Drops all schemas of the bench whose names go on so. Nothing may be connected any more that uses them. */
export async function dropBenchSchemas({ db }: Connection, prefix: string): Promise<void> {
  const result = (await db.execute(
    sql`select nspname as name from pg_namespace where starts_with(nspname, ${BENCH_SCHEMA_PREFIX + prefix})`,
  )) as unknown as { rows: { name: string }[] };
  for (const { name } of result.rows)
    await db.execute(sql.raw(`drop schema if exists ${quoteName(name)} cascade`));
}

async function inTransaction({ db }: Connection, statements: readonly string[]): Promise<void> {
  await db.transaction(async (transaction) => {
    for (const statement of statements) await transaction.execute(sql.raw(statement));
  });
}
