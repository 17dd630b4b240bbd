/** What a run of the suite `ingest` can be told. */

import { MAX_CONNECTIONS, MAX_SHARDS } from '../../../src/core/limits.ts';
import { type OptionsOf, optionTable } from '../../../src/core/option-table.ts';
import { ACK_LEVELS } from '../../../src/protocol/sluice-v1.ts';
import { SINK_OPTIONS } from '../../../src/sinks/sink-options.ts';
import { WRITER_MODES } from '../../../src/sinks/writer-mode.ts';
import { DRIVER_OPTION } from '../../suite.ts';
import { BENCH_COLUMNS } from './bench-sink.ts';

/** What a client of the bench may wait for. */
export const BENCH_ACKS = ['raw', ...ACK_LEVELS] as const;
export type BenchAck = (typeof BENCH_ACKS)[number];

/** What may become of messages that share a key. */
export const BENCH_CONFLICTS = ['error', 'ignore', 'update'] as const;
export type BenchConflict = (typeof BENCH_CONFLICTS)[number];

/** What a sink of the bench makes of a message. */
export const BENCH_SINKS = ['plain', 'mapped', 'routed'] as const;
export type BenchSinkKind = (typeof BENCH_SINKS)[number];

export const INGEST_PARAMETERS = optionTable({
  modes: {
    kind: 'choices',
    choices: WRITER_MODES,
    default: WRITER_MODES,
    description: 'The ways of writing to compare',
  },
  acks: {
    kind: 'choices',
    choices: BENCH_ACKS,
    default: ['stored'],
    description: 'What the clients wait for: a level of sluice.v1, or raw sockets, which wait for nothing',
  },
  durability: {
    kind: 'choices',
    choices: SINK_OPTIONS.durability.choices,
    default: ['outbox'],
    description: "Where messages wait: in the shard's storage, or in its memory",
  },
  sinks: {
    kind: 'choices',
    choices: BENCH_SINKS,
    default: ['plain'],
    description:
      'What a sink makes of a message: plain: a row with its text; mapped: a row with a column for each member; routed: the same, in one or two of three tables (bulk, unnest, copy)',
  },
  conflicts: {
    kind: 'choices',
    choices: BENCH_CONFLICTS,
    default: ['error'],
    description:
      'What becomes of messages that share a key (plain): ignore and update are upserts; error: none does, and the table has no such key',
  },
  duplicates: {
    kind: 'integer',
    min: 0,
    max: 50,
    default: 10,
    description: 'Of a hundred messages, how many have the key of an earlier one (ignore, update)',
  },
  clients: {
    kind: 'integer',
    min: 1,
    max: 1_000,
    default: 10,
    description: 'WebSockets that send at the same time',
  },
  messages: {
    kind: 'integer',
    min: 1,
    max: 10_000_000,
    default: 10_000,
    description: 'Messages that each client sends',
  },
  frame: { kind: 'integer', min: 1, max: 5_000, default: 1, description: 'Messages in one frame' },
  batch: {
    kind: 'integers',
    min: 1,
    max: 50_000,
    default: [SINK_OPTIONS.batchRows.default],
    description: 'Rows of one flush (bulk, unnest, copy); several are compared',
  },
  linger: {
    kind: 'integer',
    min: 0,
    max: 60_000,
    default: SINK_OPTIONS.lingerMs.default,
    description: 'Milliseconds that a batch waits for more (bulk, unnest, copy)',
  },
  workers: {
    kind: 'integer',
    min: 1,
    max: MAX_CONNECTIONS,
    default: SINK_OPTIONS.workers.default,
    description: 'Connections that share the queue (buffered)',
  },
  connections: {
    kind: 'integer',
    min: 0,
    max: MAX_CONNECTIONS,
    default: 0,
    description:
      'Connections of a shard, each with its producers; 0: 4 for naive, 1 for bulk, unnest and copy',
  },
  shards: {
    kind: 'integer',
    min: 1,
    max: MAX_SHARDS,
    default: 1,
    description: 'Durable Objects that share the clients',
  },
  sockets: {
    kind: 'choice',
    choices: SINK_OPTIONS.sockets.choices,
    default: 'hibernatable',
    description: 'Kind of sockets in the shard',
  },
  rate: {
    kind: 'integer',
    min: 0,
    max: 10_000_000,
    default: 0,
    description:
      'Messages per second of all clients together, on a fixed schedule; 0: as fast as they are taken',
  },
  driver: DRIVER_OPTION,
  column: {
    kind: 'choice',
    choices: BENCH_COLUMNS,
    default: 'jsonb',
    description: 'Type of the payload column',
  },
});

export type IngestParameters = OptionsOf<typeof INGEST_PARAMETERS>;
