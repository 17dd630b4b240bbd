/** The message store as the suite `store` measures it. */

import { PostgresMessageEngine } from '../../../src/messages/engines/postgres-engine.ts';
import { SqliteMessageEngine } from '../../../src/messages/engines/sqlite-engine.ts';
import { MessageStore } from '../../../src/messages/message-store.ts';
import { messageSchema } from '../../../src/messages/sql/schema.ts';
import { createStatements } from '../../../src/store/store-schema.ts';
import type { BenchedStore } from '../../jobs/store-under-test.ts';
import { MESSAGE_FLOOR, type MessageRow } from './floor.ts';
import { type StoreJob, storeFixtureKey } from './job.ts';
import { StorePlan } from './plan.ts';

export const MESSAGE_STORE: BenchedStore<StoreJob, MessageStore, MessageRow> = {
  name: 'store',
  onSqlite: (sqlite) => new MessageStore(new SqliteMessageEngine(sqlite)),
  onPostgres: (place) => new MessageStore(new PostgresMessageEngine({ ...place, preparesStatements: true })),
  // What the figures of one store and of ten have to tell apart.
  connections: 1,
  schemaStatements: (schema) => createStatements(schema, [messageSchema]),
  settledTables: [],
  floor: MESSAGE_FLOOR,
  plan: (engine) => new StorePlan(engine),
  targetOf: storeFixtureKey,
};
