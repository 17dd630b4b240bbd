/** The suite `ingest`: the same messages from WebSockets into Postgres, five ways. */

import type { Suite, Variant } from '../../suite.ts';
import { INGEST_PARAMETERS } from './ingest-parameters.ts';
import { measuredVariants } from './ingest-variants.ts';

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
