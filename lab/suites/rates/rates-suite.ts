/** The suite `rates`: an open load, faster in every step until it breaks, against BedrockRelay's baseline and its success criteria. */

import { SluiceError } from '../../../src/core/errors.ts';
import { MAX_CONNECTIONS, MAX_SHARDS } from '../../../src/core/limits.ts';
import { type OptionsOf, optionTable } from '../../../src/core/option-table.ts';
import { SINK_OPTIONS, type SinkOptions } from '../../../src/sinks/sink-options.ts';
import { WRITER_MODES, type WriterMode } from '../../../src/sinks/writer-mode.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import { DRIVER_OPTION, type Suite, type Variant } from '../../suite.ts';
import { BENCH_COLUMNS } from '../ingest/bench-sink.ts';
import type { RateTarget } from './breaking.ts';
import { concludeRates } from './conclude-rates.ts';
import { ladderRates } from './ladder.ts';
import type { LoadSchedule } from './scheduled-load.ts';

/** The bad example: only the bench has it (fire-and-forget.ts says what it is). */
export const FIRE_AND_FORGET = 'fire-and-forget';
export const RATE_MODES = [FIRE_AND_FORGET, ...WRITER_MODES] as const;
export type RateMode = (typeof RATE_MODES)[number];

/** How long after the target's time the oldest message may be uncommitted before sending is given up. */
const GIVE_UP_AFTER_MS = 5_000;

export const RATES_PARAMETERS = optionTable({
  modes: {
    kind: 'choices',
    choices: RATE_MODES,
    default: RATE_MODES,
    description:
      'The ways of writing to compare; fire-and-forget is the bad example of before, which no sink can be given',
  },
  pools: {
    kind: 'integers',
    min: 1,
    max: 500,
    default: [20],
    description: 'Connections of the pool, each with its own ladder (fire-and-forget)',
  },
  from: {
    kind: 'integer',
    min: 1,
    max: 1_000_000,
    default: 100,
    description: 'Messages per second of the first step; then 500, 1,000, 5,000, and doubled',
  },
  to: {
    kind: 'integer',
    min: 1,
    max: 1_000_000,
    default: 80_000,
    description: 'Messages per second that no step exceeds',
  },
  seconds: { kind: 'integer', min: 1, max: 600, default: 3, description: 'Measured seconds of a step' },
  lead: {
    kind: 'integer',
    min: 0,
    max: 60_000,
    default: 500,
    description: 'Milliseconds at the same rate before them, which are not measured',
  },
  slo: {
    kind: 'integer',
    min: 1,
    max: 60_000,
    default: 500,
    description: 'Target: milliseconds from when a message is due until it is committed, for 99 % of them',
  },
  errors: {
    kind: 'integer',
    min: 0,
    max: 1_000_000,
    default: 1_000,
    description: 'Target: failed messages in a million',
  },
  pending: {
    kind: 'integer',
    min: 1_000,
    max: 1_000_000,
    default: 50_000,
    description: 'Messages on their way at which the bench ends a step',
  },
  clients: {
    kind: 'integer',
    min: 1,
    max: 1_000,
    default: 10,
    description: 'Clients that take turns with the messages',
  },
  frame: {
    kind: 'integer',
    min: 1,
    max: 5_000,
    default: 100,
    description: 'Messages in one frame, at most; 1: each goes at once, otherwise it waits 5 ms for others',
  },
  durability: {
    kind: 'choice',
    choices: SINK_OPTIONS.durability.choices,
    default: 'outbox',
    description: "Where messages wait: in the shard's storage, or in its memory",
  },
  batch: {
    kind: 'integer',
    min: 1,
    max: 50_000,
    default: SINK_OPTIONS.batchRows.default,
    description: 'Rows of one flush (bulk, unnest, copy)',
  },
  linger: {
    kind: 'integer',
    min: 0,
    max: 60_000,
    default: SINK_OPTIONS.lingerMs.default,
    description: 'Milliseconds that a batch waits for more (bulk, unnest, copy)',
  },
  connections: {
    kind: 'integer',
    min: 0,
    max: MAX_CONNECTIONS,
    default: 0,
    description: 'Connections of a shard; 0: 4 for naive and buffered, 1 for bulk, unnest and copy',
  },
  shards: {
    kind: 'integer',
    min: 1,
    max: MAX_SHARDS,
    default: 1,
    description: 'Durable Objects that share the clients',
  },
  driver: DRIVER_OPTION,
  column: {
    kind: 'choice',
    choices: BENCH_COLUMNS,
    default: 'jsonb',
    description: 'Type of the payload column',
  },
});

export type RatesParameters = OptionsOf<typeof RATES_PARAMETERS>;

export const ratesSuite: Suite<typeof RATES_PARAMETERS> = {
  name: 'rates',
  title: 'An open load of packets into Postgres, faster until it breaks',
  unit: 'messages',
  parameters: RATES_PARAMETERS,
  presets: {
    quick: { modes: [FIRE_AND_FORGET, 'copy'], seconds: 1, lead: 200, to: 1_000 },
    // BedrockRelay's pool sweep, and steps long enough for a tail.
    full: { seconds: 10, lead: 2_000, pools: [10, 20, 50, 100], to: 320_000 },
  },
  variants: rateVariants,
  unitsPerRep: (variant, { seconds, lead }) =>
    Math.round((rateVariantOf(variant).ratePerSecond * (seconds * 1000 + lead)) / 1000),
  sharesOf: [],
  canBeChosen: (variant) => rateVariantOf(variant).mode !== FIRE_AND_FORGET,
  labels: ['mode', 'pool', 'rate'],
  columns: [
    { title: 'p50 ms', metric: 'dueP50Ms', digits: 1 },
    { title: 'p99 ms', metric: 'dueP99Ms', digits: 1 },
    { title: 'sent p99', metric: 'sentP99Ms', digits: 1 },
    { title: 'pending', metric: 'pendingMax', digits: 0 },
    { title: 'failed %', metric: 'failedPercent', digits: 2 },
    { title: 'busy', metric: 'poolActiveMax', digits: 0 },
    { title: 'waiting', metric: 'poolWaitingMax', digits: 0 },
    { title: 'heap MB', metric: 'heapMaxMb', digits: 0 },
    { title: 'loop ms', metric: 'loopDelayP99Ms', digits: 1 },
    { title: 'make µs', metric: 'makingUs', digits: 1 },
  ],
  conclude: concludeRates,
  notes: ({ modes, lead, frame }) => [
    `Every message has a time at which it is due, at equal distances. p50 and p99 count from that time until the sender knows that it is committed, also for messages that were sent late. sent p99 counts from sending; over a socket it includes the way there and back. The first ${lead} ms of each step are in no figure.`,
    "A message is one of BedrockRelay's packets: about 300 bytes of JSON, with 64-bit integers as texts and without NUL characters. make: to make the text of one.",
    `Clients speak sluice.v1 with the level committed, up to ${frame} messages in a frame. pending: sent and not known to be committed, at most. heap: of the process that sends, at most; loop: p99 delay of its event loop.`,
    ...(modes.includes(FIRE_AND_FORGET)
      ? [
          'fire-and-forget is the BAD EXAMPLE, as BedrockRelay wrote before: one INSERT for each message through a pool, not awaited, errors only logged, and nothing makes the sender wait; an INSERT that waits 2 s for a connection fails. It runs within the process that sends, so it has neither a socket nor a Worker to pass. What failed is lost. busy and waiting: connections in use, and INSERTs that wait for one, at most.',
        ]
      : []),
    'Client, Worker and Postgres share one machine where they run on one; a local Worker has one thread for all shards.',
  ],
};

/** What a step is, told by its labels. */
export interface RateVariant {
  mode: RateMode;
  /** Null for the modes of Sluice, whose shards have their own connections. */
  pool: number | null;
  ratePerSecond: number;
}

function rateVariants({ modes, pools, from, to }: RatesParameters): Variant[] {
  if (from > to) {
    throw new SluiceError(
      'invalid_options',
      `Cannot go from ${from} to ${to} messages/s: to must not be less`,
      {
        details: { option: 'to', value: to, allowed: `${from} or more` },
      },
    );
  }
  return RATE_MODES.filter((mode) => modes.includes(mode)).flatMap((mode) =>
    mode === FIRE_AND_FORGET
      ? pools.flatMap((pool) => ladder(mode, pool, ladderRates(from, to)))
      : ladder(mode, null, ladderRates(from, to)),
  );
}

function ladder(mode: RateMode, pool: number | null, rates: readonly number[]): Variant[] {
  const name = pool === null ? mode : `${mode} ×${pool}`;
  return rates.map((rate) => ({
    name: `${name} ${rate}/s`,
    role: 'measured',
    description:
      mode === FIRE_AND_FORGET
        ? `BAD EXAMPLE: INSERTs that nobody awaits, through a pool of ${pool}, at ${rate}/s`
        : `${WRITERS[mode].description}, at ${rate}/s`,
    labels: {
      mode: mode === FIRE_AND_FORGET ? `${mode} (bad example)` : mode,
      pool: pool === null ? '' : String(pool),
      rate: String(rate),
    },
    ladder: name,
  }));
}

/** Reads a step back. */
export function rateVariantOf({ labels = {} }: Pick<Variant, 'labels'>): RateVariant {
  const mode = RATE_MODES.find((known) => labels.mode?.split(' ')[0] === known);
  const ratePerSecond = Number(labels.rate);
  if (mode === undefined || !(ratePerSecond > 0)) {
    throw new SluiceError('internal', `This is no step of the suite rates: ${JSON.stringify(labels)}`);
  }
  return { mode, pool: labels.pool ? Number(labels.pool) : null, ratePerSecond };
}

/** What a step has to hold. */
export function rateTargetOf({ slo, errors }: RatesParameters): RateTarget {
  return { p99Ms: slo, errorsPerMillion: errors };
}

/** The schedule of a step. */
export function scheduleOf(
  ratePerSecond: number,
  { seconds, lead, pending, slo }: RatesParameters,
  seed: number,
): LoadSchedule {
  return {
    seed,
    ratePerSecond,
    warmUpMs: lead,
    measuredMs: seconds * 1000,
    pendingLimit: pending,
    giveUpMs: slo + GIVE_UP_AFTER_MS,
  };
}

/** The options of the sink that a step is measured with. */
export function rateSinkOptions(mode: WriterMode, parameters: RatesParameters): Partial<SinkOptions> {
  const { durability, batch, linger, connections, shards } = parameters;
  return {
    writer: mode,
    durability,
    batchRows: batch,
    lingerMs: linger,
    connections,
    workers: connections === 0 ? SINK_OPTIONS.workers.default : connections,
    shards,
  };
}
