/** Namespaces of a test's own in the Postgres of the test run. */

import { afterAll, beforeAll } from 'vitest';
import { systemTimers } from '../../../src/core/timers.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { ConnectionPool } from '../../../src/database/connection-pool.ts';
import { eventSchema } from '../../../src/events/sql/schema.ts';
import type { AppendCommand, MessageRow } from '../../../src/messages/engine.ts';
import { PostgresMessageEngine } from '../../../src/messages/engines/postgres-engine.ts';
import { cardinalHash, messageCategory } from '../../../src/messages/names.ts';
import { messageSchema } from '../../../src/messages/sql/schema.ts';
import { schemaOfNamespace } from '../../../src/store/namespaces.ts';
import { createNamespaceSchema, dropNamespaceSchema } from '../../../src/store/postgres-namespaces.ts';
import { freshName, type TestDatabase, testDatabase } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';
import { TEST_LIMIT_MS } from '../../support/patience.ts';

/** What a namespace has. */
export const STORES = [messageSchema, eventSchema];

export interface StoreDatabase {
  readonly database: TestDatabase;
  /** A connection that lasts until the end of the file. */
  readonly connection: Connection;
  /** A new namespace, dropped at the end of the file. Returns its schema. */
  namespace(): Promise<string>;
  /** A pool that is closed at the end of the file. Default: 4 connections. */
  pool(size?: number, useTimeLimitMs?: number): ConnectionPool;
  /** An engine on a new namespace. */
  engine(size?: number): Promise<PostgresMessageEngine>;
}

/** To be called where tests are collected. */
export function storeDatabase(): StoreDatabase {
  const database = testDatabase('tcp');
  const names: string[] = [];
  const pools: ConnectionPool[] = [];
  let connection: Connection | undefined;
  let creator: Connection | undefined;
  beforeAll(async () => {
    connection = await database.open();
    // Their bodies are looked at when they are called; at their creation, that was 16 ms of CPU of 39 for a namespace.
    creator = await database.open();
    await creator.db.execute('set check_function_bodies = off');
  });
  afterAll(async () => {
    for (const pool of pools) pool.close();
    const last = await openConnection(database.target);
    for (const name of names) await dropNamespaceSchema(last, name, STORES).catch(() => {});
    last.close();
  });
  return {
    database,
    get connection() {
      if (connection === undefined) throw new Error('the connection is there once the tests run');
      return connection;
    },
    async namespace() {
      const name = freshName('store');
      if (creator === undefined) throw new Error('a namespace is made once the tests run');
      await createNamespaceSchema(creator, name, STORES);
      names.push(name);
      return schemaOfNamespace(name);
    },
    pool(size = 4, useTimeLimitMs = TEST_LIMIT_MS) {
      const pool = new ConnectionPool({
        open: () => openConnection(database.target),
        timers: systemTimers,
        size,
        useTimeLimitMs,
      });
      pools.push(pool);
      return pool;
    },
    async engine(size) {
      return new PostgresMessageEngine({ connections: this.pool(size), schema: await this.namespace() });
    },
  };
}

let rows = 0;

/** A message with an id that no other has. */
export function row(changes: Partial<MessageRow> = {}): MessageRow {
  rows += 1;
  return {
    id: `00000000-0000-4000-8000-${String(rows).padStart(12, '0')}`,
    type: 'Happened',
    data: '{"n":1}',
    metadata: null,
    correlation: null,
    ...changes,
  };
}

/** A command that appends messages to one stream. */
export function command(
  stream: string,
  messages: readonly MessageRow[] = [row()],
  expectedVersion: bigint | null = null,
): AppendCommand {
  return {
    appends: [
      {
        stream,
        category: messageCategory(stream),
        cardinalHash: cardinalHash(stream),
        expectedVersion,
        messages,
      },
    ],
  };
}
