/** The public surface of the library. Inner files import each other directly; this list is for everybody else. */

// The database.
export {
  type Connection,
  type Database,
  type OpenOptions,
  openConnection,
  sqlState,
} from './database/connection.ts';
export {
  type DatabaseSettings,
  type DatabaseTarget,
  type Driver,
  describeTarget,
  resolveTarget,
} from './database/target.ts';
// Errors.
export {
  closeCode,
  type ErrorCode,
  errorText,
  httpStatus,
  isSluiceError,
  SluiceError,
  toProblem,
} from './errors.ts';
// The way of a message.
export type { Intake, IntakeStats } from './ingest/intake.ts';
export type { Message, MessageBatch, MessageColumns } from './ingest/message-batch.ts';
export { Pipeline, type PipelineOptions } from './ingest/pipeline.ts';
export { type Producer, startProducer } from './ingest/producer.ts';
export { systemTimers, type Timers } from './ingest/timers.ts';
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
// Sinks: a table, what goes into its columns, and how it is batched.
export {
  type ColumnSource,
  defineSink,
  fromMessage,
  fromPayload,
  fromProducer,
  fromReceivedAt,
  fromSequence,
  messageSources,
  type Sink,
  type SinkColumn,
  type SinkDefinition,
  type TextShape,
} from './sink.ts';
export { resolveSinkOptions, SINK_OPTIONS, type SinkOptions } from './sink-options.ts';
// Writers.
export { WRITER_MODES, type WriterMode } from './writers/mode.ts';
export type { PrepareWrite, Write, WritePlan, Writer } from './writers/writer.ts';
export { WRITERS } from './writers/writers.ts';
