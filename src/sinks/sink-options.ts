/** The options of a sink: how its messages are buffered, batched and written. */

import { DEFAULT_MAX_MESSAGE_BYTES, MAX_CONNECTIONS, MAX_FRAME_BYTES, MAX_SHARDS } from '../core/limits.ts';
import { type OptionsOf, optionTable, resolveOptions } from '../core/option-table.ts';
import { MESSAGE_OVERHEAD_BYTES } from './message-batch.ts';
import { WRITER_MODES } from './writer-mode.ts';

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
    description: 'Durable Objects that share the producers',
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
      'Rows that start a flush. bulk and unnest write at most this many at once; copy takes everything that waits',
  },
  batchBytes: {
    kind: 'integer',
    min: 1_024,
    max: 64 * 1024 * 1024,
    default: 4 * 1024 * 1024,
    description: 'Buffered bytes that start a flush, and the most that one batch holds',
  },
  lingerMs: {
    kind: 'integer',
    min: 0,
    max: 60_000,
    default: 100,
    description: 'How long the oldest message waits for others before a flush',
  },
  alarmMs: {
    kind: 'integer',
    min: 100,
    max: 600_000,
    default: 2_000,
    description:
      'How long after the first buffered message the alarm of the Durable Object flushes, if nothing else has',
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
      'Connections of a shard. Each producer has one of them, so that its order holds. 0: 4 for naive, 1 for the others',
  },
  durability: {
    kind: 'choice',
    choices: ['outbox', 'memory'],
    default: 'outbox',
    description:
      "outbox: messages wait in the shard's storage and are written exactly once; memory: they wait in memory only, are written at least once, and nothing is billed for storage",
  },
  groupMs: {
    kind: 'integer',
    min: 0,
    max: 1_000,
    default: 2,
    description: 'How long messages are gathered before they become one row of the outbox, and are acked',
  },
  maxBufferBytes: {
    kind: 'integer',
    min: 64 * 1024,
    max: 64 * 1024 * 1024,
    default: 32 * 1024 * 1024,
    description:
      'Buffered bytes of a shard in memory. Further messages wait in the outbox only; without an outbox they are refused',
  },
  maxOutboxBytes: {
    kind: 'integer',
    min: 64 * 1024,
    max: 8 * 1024 * 1024 * 1024,
    default: 1024 * 1024 * 1024,
    description:
      'Bytes of text in the outbox of a shard at which further messages are refused. The credit of clients shrinks before that',
  },
  maxOutboxRows: {
    kind: 'integer',
    min: 1_000,
    max: 100_000_000,
    default: 10_000_000,
    description: 'Messages in the outbox of a shard at which further ones are refused',
  },
  keepSettledMs: {
    kind: 'integer',
    min: 0,
    max: 600_000,
    default: 10_000,
    description:
      'How long messages stay in the outbox after they were committed. If the database fails over to a copy that lags behind, they can be written again. 0: not at all',
  },
  keepSettledBytes: {
    kind: 'integer',
    min: 0,
    max: 1024 * 1024 * 1024,
    default: 64 * 1024 * 1024,
    description:
      'Bytes of such messages that a shard keeps at most, in addition to maxOutboxBytes. The oldest are deleted first',
  },
  maxDeadLetters: {
    kind: 'integer',
    min: 1,
    max: 1_000_000,
    default: 10_000,
    description: 'Dead letters of a shard at which it pauses, until some are retried or dropped',
  },
  maxDeadLetterBytes: {
    kind: 'integer',
    min: 64 * 1024,
    max: 1024 * 1024 * 1024,
    default: 64 * 1024 * 1024,
    description: 'Bytes of dead letters of a shard at which it pauses too',
  },
  deadLetters: {
    kind: 'choice',
    choices: ['shard', 'table'],
    default: 'shard',
    description:
      'shard: dead letters are in the shard that has them; table: they are also copied to sluice_dead_letters in Postgres',
  },
  maxMessageBytes: {
    kind: 'integer',
    min: 1,
    max: MAX_FRAME_BYTES,
    default: DEFAULT_MAX_MESSAGE_BYTES,
    description: 'Bytes of the largest message that is taken',
  },
  replacementCharacter: {
    kind: 'choice',
    choices: ['refuse', 'store'],
    default: 'refuse',
    description:
      'What happens to a message in a text frame that holds U+FFFD. This character stands for bytes that were not UTF-8',
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
