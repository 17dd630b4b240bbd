/** `sluice/events`: the event store with dynamic consistency boundaries, its engines, and what is built on it. */

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
export { schemaOfNamespace } from '../store/namespaces.ts';
export {
  createNamespaceSchema,
  dropNamespaceSchema,
  PostgresNamespaces,
  type PostgresNamespacesOptions,
} from '../store/postgres-namespaces.ts';
export type { PostgresEngineOptions } from '../store/postgres-store.ts';
// Namespaces.
export type { StoreSchema } from '../store/store-schema.ts';
export { type EventCodec, jsonCodec, textCodec } from './codec.ts';
export type { EventEngine, EventQuery, EventRecord, QueryItem } from './engine.ts';
// Engines.
export {
  appendEventsOn,
  openEvents,
  PostgresEventEngine,
} from './engines/postgres-engine.ts';
export {
  type HandlerTransaction,
  PostgresHandlerDatabase,
  type PostgresHandlerDatabaseOptions,
} from './engines/postgres-handler-database.ts';
export { SqliteEventEngine, type SqliteEventEngineOptions } from './engines/sqlite-engine.ts';
export {
  type SqliteEffect,
  SqliteHandlerDatabase,
  type SqliteHandlerDatabaseOptions,
} from './engines/sqlite-handler-database.ts';
// The store.
export type {
  AppendConditionInput,
  Appended,
  NewEvent,
  QueryInput,
  QueryItemInput,
  ReadOptions,
  StoredEvent,
} from './event.ts';
export {
  EventStore,
  type EventStoreInfo,
  type EventStoreOptions,
  type SubscribeOptions,
} from './event-store.ts';
// Handlers.
export {
  type BookmarkMove,
  type HandlerDatabase,
  type HandlerEnd,
  type HandlerFailure,
  type HandlerOptions,
  runHandler,
} from './handler.ts';
// Projections and decisions.
export {
  compose,
  type Decided,
  type DecideOptions,
  type Decision,
  type DecisionStore,
  decide,
  type EventShape,
  type Projected,
  type Projection,
  type ProjectionDefinition,
  type ProjectionStore,
  type Projections,
  type ProjectOptions,
  project,
  projection,
  type StateOf,
  type StatesOf,
  type Stored,
} from './projection.ts';
export { anyOf, matches, toQuery } from './query.ts';
export type { IterateOptions } from './read-options.ts';
export { Semaphore } from './semaphore.ts';
export { eventSchema } from './sql/schema.ts';
