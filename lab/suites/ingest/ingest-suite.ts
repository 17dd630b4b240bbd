/** The suite `ingest`: the same messages from WebSockets into Postgres, five ways. */

import { SluiceError } from '../../../src/core/errors.ts';
import { MAX_CONNECTIONS, MAX_SHARDS } from '../../../src/core/limits.ts';
import { type OptionsOf, optionTable } from '../../../src/core/option-table.ts';
import { ACK_LEVELS } from '../../../src/protocol/sluice-v1.ts';
import { SINK_OPTIONS, type SinkOptions } from '../../../src/sinks/sink-options.ts';
import { WRITER_MODES, type WriterMode } from '../../../src/sinks/writer-mode.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import { DRIVER_OPTION, type Suite, type Variant } from '../../suite.ts';
import { BENCH_COLUMNS } from './bench-sink.ts';

/** What a client of the bench may wait for. */
export const BENCH_ACKS = ['raw', ...ACK_LEVELS] as const;
export type BenchAck = (typeof BENCH_ACKS)[number];

/** What may become of messages that share a key. */
export const BENCH_CONFLICTS = ['error', 'ignore', 'update'] as const;
export type BenchConflict = (typeof BENCH_CONFLICTS)[number];

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
  conflicts: {
    kind: 'choices',
    choices: BENCH_CONFLICTS,
    default: ['error'],
    description:
      'What becomes of messages that share a key: ignore and update are upserts; error: none does, and the table has no such key',
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

/** The floors, in the order in which they are shown. */
export const COPY_FLOOR = 'floor: copy';
export const INSERT_FLOOR = 'floor: insert';
export const INTAKE_FLOOR = 'floor: intake';

/** Awaited INSERTs that the round-trip floor takes: enough for a median, few enough to be over in a second. */
export const INSERT_FLOOR_ROWS = 500;

const FLOORS: readonly Variant[] = [
  { name: COPY_FLOOR, role: 'floor', description: 'the same rows by one COPY from one client, no Worker' },
  {
    name: INSERT_FLOOR,
    role: 'floor',
    description: `one awaited INSERT after another on one connection (${INSERT_FLOOR_ROWS} rows)`,
  },
  { name: INTAKE_FLOOR, role: 'floor', description: 'the same frames into a shard that only counts them' },
];

export const ingestSuite: Suite<typeof INGEST_PARAMETERS> = {
  name: 'ingest',
  title: 'WebSocket messages into Postgres',
  unit: 'messages',
  parameters: INGEST_PARAMETERS,
  presets: {
    // Ends within half a minute, the start of Postgres included.
    quick: { messages: 500 },
    // The reference run: 10 clients with 100,000 messages each.
    full: { clients: 10, messages: 100_000 },
  },
  variants: (parameters) => [...measuredVariants(parameters), ...FLOORS],
  unitsPerRep: ({ name }, { clients, messages }) =>
    name === INSERT_FLOOR ? INSERT_FLOOR_ROWS : clients * messages,
  baseline: 'naive',
  sharesOf: [
    { floor: COPY_FLOOR, title: 'of COPY' },
    { floor: INTAKE_FLOOR, title: 'of intake' },
  ],
  labels: ['batch', 'ack', 'durability', 'delivery'],
  columns: [
    { title: 'ack p50 ms', metric: 'ackP50Ms', digits: 1 },
    { title: 'ack p99 ms', metric: 'ackP99Ms', digits: 1 },
    { title: 'stored rows/M', metric: 'storageRowsPerMillion', digits: 0 },
    { title: 'flushes', metric: 'flushes', digits: 0 },
    { title: 'p50 ms', metric: 'flushP50Ms', digits: 1 },
    { title: 'p99 ms', metric: 'flushP99Ms', digits: 1 },
    { title: 'loop ms', metric: 'loopDelayP99Ms', digits: 0 },
  ],
  notes: ({ rate }) => [
    'Time runs from the first frame sent to the last row committed. Every message is parsed and checked on its way.',
    'ack: from the call that sends to the ack. stored rows/M: rows that the shard wrote to its own storage for a million messages; Cloudflare bills them.',
    "p50 and p99: how long one flush took. loop: p99 delay of the load generator's event loop; a high one means that the generator was busy too.",
    ...(rate > 0
      ? [`The clients sent ${rate} messages/s on a schedule: messages/s cannot be higher than that.`]
      : []),
    'Client, Worker and Postgres share one machine where they run on one; a local Worker has one thread for all shards.',
  ],
};

/** What a measured variant is, told by its labels. */
export interface IngestVariant {
  mode: WriterMode;
  ack: BenchAck;
  durability: SinkOptions['durability'];
  /** What becomes of messages that share a key. */
  conflict: BenchConflict;
  /** Rows of one flush. */
  batch: number;
}

// Each way of writing with each level on each kind of durability that has it, and each size of batches. The first of
// these has the plain name.
function measuredVariants(parameters: IngestParameters): Variant[] {
  const { modes, acks, durability: durabilities, batch, conflicts } = parameters;
  const variants: Variant[] = [];
  for (const mode of WRITER_MODES) {
    if (!modes.includes(mode)) continue;
    const { description, isExactlyOnce } = WRITERS[mode];
    // Those that write row by row know no batches.
    const sizes = isExactlyOnce ? batch : batch.slice(0, 1);
    let isFirst = true;
    for (const durability of durabilities) {
      for (const ack of acks) {
        // Without an outbox nothing is ever stored.
        if (ack === 'stored' && durability === 'memory') continue;
        const delivery = isExactlyOnce && durability === 'outbox' ? 'exactly once' : 'at least once';
        for (const size of sizes) {
          const suffix = `${acks.length * durabilities.length > 1 ? ` ${ack} ${durability}` : ''}${sizes.length > 1 ? ` ${size}` : ''}`;
          const labels = { batch: isExactlyOnce ? String(size) : '', ack, durability, delivery };
          const name = isFirst ? mode : `${mode}${suffix}`;
          for (const conflict of conflicts) {
            variants.push(
              conflict === 'error'
                ? { name, role: 'measured', description, labels }
                : {
                    name: `${name} ${conflict}`,
                    role: 'measured',
                    description: `${description}; ${parameters.duplicates} % have a known key: ${conflict}`,
                    labels: { ...labels, conflict },
                  },
            );
          }
          isFirst = false;
        }
      }
    }
  }
  if (variants.length === 0) {
    throw new SluiceError(
      'invalid_options',
      `Cannot use acks ${acks.join(', ')} with durability ${durabilities.join(', ')}: without an outbox nothing is stored, so acks none, committed and raw are allowed`,
    );
  }
  return variants;
}

/** Reads a measured variant back. */
export function ingestVariantOf(
  { name, labels }: Variant,
  { batch: [first = SINK_OPTIONS.batchRows.default] }: Pick<IngestParameters, 'batch'>,
): IngestVariant {
  const {
    ack,
    durability,
    batch,
    conflict = 'error',
  } = labels as {
    ack: BenchAck;
    durability: SinkOptions['durability'];
    batch: string;
    conflict?: BenchConflict;
  };
  return {
    mode: name.split(' ')[0] as WriterMode,
    ack,
    durability,
    conflict,
    batch: batch === '' ? first : Number(batch),
  };
}

/** The options of the sink that a variant is measured with. */
export function sinkOptionsOf(
  { mode, durability, batch }: Pick<IngestVariant, 'mode' | 'durability' | 'batch'>,
  parameters: IngestParameters,
): Partial<SinkOptions> {
  return {
    writer: mode,
    durability,
    batchRows: batch,
    lingerMs: parameters.linger,
    workers: parameters.workers,
    connections: parameters.connections,
    shards: parameters.shards,
    sockets: parameters.sockets,
  };
}
