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
// The way of a message.
export type { Intake, IntakeStats } from './ingest/intake.ts';
export { Pipeline, type PipelineOptions } from './ingest/pipeline.ts';
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
export type { PrepareWrite, Write, WritePlan, Writer } from './writers/writer.ts';
export { WRITERS } from './writers/writers.ts';
