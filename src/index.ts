/** The public surface of the library. Inner files import each other directly; this list is for everybody else. */

// Errors.
export {
  closeCode,
  type ErrorCode,
  errorText,
  httpStatus,
  isSluiceError,
  SluiceError,
  toProblem,
} from './core/errors.ts';
export { systemTimers, type Timers } from './core/timers.ts';
export {
  type Connection,
  type Database,
  type OpenOptions,
  openConnection,
  sqlState,
} from './database/connection.ts';
// The database.
export { ConnectionPool, type ConnectionPoolOptions } from './database/connection-pool.ts';
export type { Sqlite, SqliteValue } from './database/sqlite.ts';
export {
  type DatabaseSettings,
  type DatabaseTarget,
  type Driver,
  describeTarget,
  resolveTarget,
} from './database/target.ts';
// The event store.
export { type EventCodec, jsonCodec, textCodec } from './events/codec.ts';
export type { EventEngine, EventQuery, EventRecord, QueryItem } from './events/engine.ts';
export {
  type HandlerTransaction,
  PostgresHandlerDatabase,
  type PostgresHandlerDatabaseOptions,
} from './events/engines/postgres-handler-database.ts';
export { SqliteEventEngine, type SqliteEventEngineOptions } from './events/engines/sqlite-engine.ts';
export {
  type SqliteEffect,
  SqliteHandlerDatabase,
  type SqliteHandlerDatabaseOptions,
} from './events/engines/sqlite-handler-database.ts';
export type {
  AppendConditionInput,
  Appended,
  NewEvent as NewTaggedEvent,
  QueryInput,
  QueryItemInput,
  ReadOptions,
  StoredEvent,
} from './events/event.ts';
export {
  EventStore,
  type EventStoreInfo,
  type EventStoreOptions,
  type SubscribeOptions,
} from './events/event-store.ts';
export {
  type BookmarkMove,
  type HandlerDatabase,
  type HandlerEnd,
  type HandlerFailure,
  type HandlerOptions,
  runHandler,
} from './events/handler.ts';
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
} from './events/projection.ts';
export { anyOf, matches, toQuery } from './events/query.ts';
export type { IterateOptions } from './events/read-options.ts';
// The way of a message.
export type { Intake, IntakeStats } from './ingest/intake.ts';
export { Pipeline, type PipelineOptions } from './ingest/pipeline.ts';
// The message store.
export type {
  CategorySummary,
  MessageEngine,
  MessageRecord,
  StreamSummary,
} from './messages/engine.ts';
export { PostgresMessageEngine } from './messages/engines/postgres-engine.ts';
export { schemaOfNamespace } from './messages/engines/postgres-schema.ts';
export { SqliteMessageEngine, type SqliteMessageEngineOptions } from './messages/engines/sqlite-engine.ts';
export type {
  ExpectedVersion,
  ImportedMessage,
  JsonObject,
  JsonValue,
  Message as StoredMessage,
  NewMessage,
  Written,
} from './messages/message.ts';
export {
  MessageStore,
  type MessageStoreOptions,
  type StoreInfo,
  type StreamWrite,
} from './messages/message-store.ts';
export { cardinalId, category, consumerGroupMember, hash64, id, isCategory } from './messages/names.ts';
export type { CategoryReadOptions, ListOptions, StreamReadOptions } from './messages/read-options.ts';
export type { EventMessage, NewEvent, StreamEvent, TypedStream } from './messages/typed-stream.ts';
export { type Producer, startProducer } from './outbox/producer.ts';
// The wire.
export { checkJson } from './protocol/check-json.ts';
export {
  type DecodedFrame,
  decodeFrame,
  encodeErrorFrame,
  type FrameLimits,
  type Refusal,
  type RefusalCode,
} from './protocol/frame.ts';
export { shardOf } from './protocol/producer.ts';
// Tables.
export { messages } from './schema/messages.ts';
export {
  fromMessage,
  fromPayload,
  fromProducer,
  fromReceivedAt,
  fromSequence,
  messageSources,
} from './sinks/column-sources.ts';
export type { Message, MessageBatch, MessageColumns } from './sinks/message-batch.ts';
// Sinks: a table, what goes into its columns, and how it is batched; or streams of the message store.
export type { ColumnSource, Sink, SinkColumn, StreamSink, TableSink, TextShape } from './sinks/sink.ts';
export { resolveSinkOptions, SINK_OPTIONS, type SinkOptions } from './sinks/sink-options.ts';
export { defineStreamSink, type StreamSinkDefinition } from './sinks/stream-sink.ts';
export { defineSink, type TableSinkDefinition } from './sinks/table-sink.ts';
// Writers.
export { WRITER_MODES, type WriterMode } from './sinks/writer-mode.ts';
export {
  createNamespaceSchema,
  dropNamespaceSchema,
  PostgresNamespaces,
} from './store/postgres-namespaces.ts';
export type { PrepareWrite, Write, WritePlan, Writer } from './writers/writer.ts';
export { WRITERS } from './writers/writers.ts';
