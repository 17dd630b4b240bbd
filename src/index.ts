/**
 * `sluice`: what the files of a schema share with the Worker and with tools. It imports no platform. Inner files import each
 * other directly; this list is for everybody else.
 */

// Who may send: a backend issues tickets; the rest are types of what decides.
export type { AccessQuestion, Authorize } from './access/authorize.ts';
export type { Grant, PriorityClass } from './access/grant.ts';
export type { AccessLimits, LimitsOf } from './access/limits.ts';
export { issueTicket, type TicketRequest, type TicketSecrets } from './access/tickets.ts';
// Errors: one family, with codes.
export {
  closeCode,
  type ErrorCode,
  errorText,
  httpStatus,
  isSluiceError,
  SluiceError,
  toProblem,
} from './core/errors.ts';
// The tables that Sluice brings: one for messages, and the one that counts batches.
export { checkpoints } from './schema/checkpoints.ts';
export { deadLetters } from './schema/dead-letters.ts';
export { messages } from './schema/messages.ts';
// Where a column gets its value from, besides the members of a message.
export {
  fromEpoch,
  fromMessage,
  fromPayload,
  fromProducer,
  fromReceivedAt,
  fromSequence,
  messageSources,
} from './sinks/column-sources.ts';
export type { Message, MessageColumns, ReadMessage } from './sinks/message-batch.ts';
export type { OnConflict } from './sinks/on-conflict.ts';
// Sinks: a table, what goes into its columns, and how it is batched; or streams of the message store.
export { defineRouteSink, type RouteDefinition, type RouteSinkDefinition } from './sinks/route-sink.ts';
export type { RowValue } from './sinks/row-function.ts';
export type {
  ColumnSource,
  RouteSink,
  Sink,
  SinkColumn,
  SinkRoute,
  StreamSink,
  TableSink,
  TextShape,
} from './sinks/sink.ts';
export { SINK_OPTIONS, type SinkOptions } from './sinks/sink-options.ts';
export { defineStreamSink, type StreamSinkDefinition } from './sinks/stream-sink.ts';
export { defineSink, type TableSinkDefinition } from './sinks/table-sink.ts';
// Ways of writing.
export { WRITER_MODES, type WriterMode } from './sinks/writer-mode.ts';
