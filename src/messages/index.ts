/** `sluice/messages`: the message store, its engines, and its namespaces in Postgres. */

// Errors that every call may throw.
export { type ErrorCode, isSluiceError, SluiceError } from '../core/errors.ts';
export { systemTimers, type Timers } from '../core/timers.ts';
// What the engines run on.
export { type Connection, type OpenOptions, openConnection } from '../database/connection.ts';
export {
  type ConnectionLender,
  ConnectionPool,
  type ConnectionPoolOptions,
} from '../database/connection-pool.ts';
export type { Sqlite, SqliteValue } from '../database/sqlite.ts';
export {
  type DatabaseSettings,
  type DatabaseTarget,
  type Driver,
  resolveTarget,
} from '../database/target.ts';
export {
  type NamespaceInfo,
  type NamespaceRecord,
  type StoreEngine,
  schemaOfNamespace,
} from '../store/namespaces.ts';
export {
  createNamespaceSchema,
  dropNamespaceSchema,
  PostgresNamespaces,
  type PostgresNamespacesOptions,
} from '../store/postgres-namespaces.ts';
export type { PostgresEngineOptions } from '../store/postgres-store.ts';
// Namespaces.
export type { StoreSchema } from '../store/store-schema.ts';
export type { CategorySummary, MessageEngine, MessageRecord, StreamSummary } from './engine.ts';
// Engines.
export {
  appendOn,
  openMessages,
  PostgresMessageEngine,
} from './engines/postgres-engine.ts';
export { SqliteMessageEngine, type SqliteMessageEngineOptions } from './engines/sqlite-engine.ts';
// The store.
export type {
  ExpectedVersion,
  ImportedMessage,
  JsonObject,
  JsonValue,
  Message,
  NewMessage,
  Written,
} from './message.ts';
export { MessageStore, type MessageStoreOptions, type StoreInfo, type StreamWrite } from './message-store.ts';
export { cardinalId, consumerGroupMember, hash64, isCategory, messageCategory, streamId } from './names.ts';
export type { CategoryReadOptions, ListOptions, StreamReadOptions } from './read-options.ts';
export { messageSchema } from './sql/schema.ts';
export type { EventMessage, NewEvent, StreamEvent, TypedStream } from './typed-stream.ts';
