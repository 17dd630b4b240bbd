/** The options of a sink: how its messages are buffered, batched and written. */

import { MESSAGE_OVERHEAD_BYTES } from './ingest/message-buffer.ts';
import { DEFAULT_MAX_MESSAGE_BYTES, MAX_CONNECTIONS, MAX_FRAME_BYTES, MAX_SHARDS } from './limits.ts';
import { type OptionsOf, optionTable, resolveOptions } from './option-table.ts';
import { WRITER_MODES } from './writers/mode.ts';

export const SINK_OPTIONS = optionTable({
  writer: {
    kind: 'choice',
    choices: WRITER_MODES,
    default: 'copy',
    description: 'How a batch is put into Postgres',
  },
  shards: {
    kind: 'integer',
    min: 1,
    max: MAX_SHARDS,
    default: 1,
    description: 'Durable Objects the producers are spread over',
  },
  sockets: {
    kind: 'choice',
    choices: ['hibernatable', 'resident'],
    default: 'hibernatable',
    description:
      'hibernatable: idle connections cost nothing; resident: less work per frame, never hibernates',
  },
  batchRows: {
    kind: 'integer',
    min: 1,
    max: 50_000,
    default: 5_000,
    description:
      'Rows that trigger a flush; bulk and unnest write no more in one go, copy takes all that waits',
  },
  batchBytes: {
    kind: 'integer',
    min: 1_024,
    max: 64 * 1024 * 1024,
    default: 4 * 1024 * 1024,
    description: 'Buffered bytes that trigger a flush, and the most that one batch holds',
  },
  lingerMs: {
    kind: 'integer',
    min: 0,
    max: 60_000,
    default: 100,
    description: 'How long the oldest message waits for company before it is flushed',
  },
  alarmMs: {
    kind: 'integer',
    min: 100,
    max: 600_000,
    default: 2_000,
    description:
      'How long after the first buffered message the alarm flushes, whatever became of the linger timer',
  },
  workers: {
    kind: 'integer',
    min: 1,
    max: MAX_CONNECTIONS,
    default: 4,
    description: 'Connections of a shard that share one queue (writer buffered only)',
  },
  connections: {
    kind: 'integer',
    min: 0,
    max: MAX_CONNECTIONS,
    default: 0,
    description:
      "Connections of a shard, each with the producers assigned to it, so that a producer's order holds; 0: 4 for naive, 1 for the others",
  },
  maxBufferBytes: {
    kind: 'integer',
    min: 64 * 1024,
    max: 64 * 1024 * 1024,
    default: 32 * 1024 * 1024,
    description: 'Buffered bytes of a shard at which further messages are refused',
  },
  maxMessageBytes: {
    kind: 'integer',
    min: 1,
    max: MAX_FRAME_BYTES,
    default: DEFAULT_MAX_MESSAGE_BYTES,
    description: 'Largest single message',
  },
});

export type SinkOptions = OptionsOf<typeof SINK_OPTIONS>;

/**
 * Fills in the defaults of a sink's options and checks them, each by itself and against each other.
 *
 * @throws SluiceError `invalid_options`
 */
export function resolveSinkOptions(given: Readonly<Record<string, unknown>>, path = ''): SinkOptions {
  const options = resolveOptions(SINK_OPTIONS, given, path);
  // A trigger near the buffer's limit might never be reached before frames are refused; a message larger than the
  // buffer could never come in.
  return {
    ...options,
    batchBytes: Math.min(options.batchBytes, options.maxBufferBytes / 2),
    maxMessageBytes: Math.min(options.maxMessageBytes, options.maxBufferBytes - MESSAGE_OVERHEAD_BYTES),
  };
}
