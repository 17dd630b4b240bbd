/** What a shard measures, as the samples of a report. */

import type { Measurements } from '../ingest/measurements.ts';
import type { PipelineFigures } from '../ingest/pipeline-figures.ts';
import type { LaneState } from '../outbox/lane-faults.ts';
import type { CounterName, GaugeName } from './metrics.ts';
import type { HistogramSample, Sample } from './shard-report.ts';

/** Of a shard without a sink, which writes nothing: what it holds. */
export interface HeldFigures {
  counts: Record<string, number>;
  messages: number;
  outboxBytes: number;
}

export interface FigureSources {
  measured: Measurements;
  state: LaneState | 'held';
  figures: PipelineFigures | HeldFigures;
  sockets: { raw: number; v1: number; producers: number };
  deadLetters: { count: number; maxRows: number };
  /** Memory of the isolate; undefined where the platform does not tell. */
  heapBytes: number | undefined;
}

export interface ShardSamples {
  counters: Sample<CounterName>[];
  gauges: Sample<GaugeName>[];
  histograms: HistogramSample[];
}

const STATES = ['running', 'retrying', 'paused', 'stopped', 'held'] as const;
const LANE_STATES: readonly LaneState[] = ['running', 'retrying', 'paused', 'stopped'];

export function shardSamples(sources: FigureSources): ShardSamples {
  return {
    counters: countersOf(sources.figures.counts),
    gauges: [...gaugesOf(sources)],
    histograms: histogramsOf(sources),
  };
}

/** How a shard names a counter: `messages_refused_total|gap` (src/ingest/shard-counts.ts). */
export function countKey(name: string, label: string): string {
  return label === '' ? name : `${name}|${label}`;
}

function countersOf(counts: Record<string, number>): Sample<CounterName>[] {
  return Object.entries(counts).map(([key, count]) => {
    const bar = key.indexOf('|');
    return bar === -1
      ? [key as CounterName, '', count]
      : [key.slice(0, bar) as CounterName, key.slice(bar + 1), count];
  });
}

function* gaugesOf(sources: FigureSources): Generator<Sample<GaugeName>> {
  const { measured, state, figures, sockets, deadLetters, heapBytes } = sources;
  yield* queueOf(figures);
  for (const one of STATES) if (one === state) yield ['state', one, 1];
  yield ['last_commit_timestamp_seconds', '', measured.lastCommitAtMs / 1_000];
  yield ['last_try_timestamp_seconds', '', measured.lastTryAtMs / 1_000];
  yield ['sockets', 'raw', sockets.raw];
  yield ['sockets', 'sluice.v1', sockets.v1];
  yield ['producers', '', sockets.producers];
  yield ['dead_letters', '', deadLetters.count];
  yield ['dead_letters_limit', '', deadLetters.maxRows];
  const { open, busy, waiting, limit } = measured.connections.figures;
  yield ['database_connections', 'open', open];
  yield ['database_connections', 'busy', busy];
  yield ['database_connections', 'waiting', waiting];
  yield ['database_connections_limit', '', limit];
  if (heapBytes !== undefined) yield ['heap_bytes', '', heapBytes];
}

function* queueOf(figures: PipelineFigures | HeldFigures): Generator<Sample<GaugeName>> {
  yield ['outbox_bytes', '', figures.outboxBytes];
  if ('messages' in figures) {
    yield ['queue_messages', '', figures.messages];
    return;
  }
  const { messages, bytes, maxMessages, maxBytes } = figures.queue;
  yield ['queue_messages', '', messages];
  yield ['queue_bytes', '', bytes];
  yield ['queue_limit_bytes', '', maxBytes];
  yield ['queue_limit_messages', '', maxMessages];
  yield ['queue_oldest_timestamp_seconds', '', (figures.oldestAtMs ?? 0) / 1_000];
  yield ['credit_messages', '', figures.creditMessages];
  yield ['isolate_buffered_bytes', '', figures.isolate.bytes];
  yield ['isolate_limit_bytes', '', figures.isolate.maxBytes];
  for (const [lane, state] of figures.lanes.entries())
    yield ['lane_state', String(lane), LANE_STATES.indexOf(state)];
}

function histogramsOf({ measured, figures }: FigureSources): HistogramSample[] {
  const samples: HistogramSample[] = [
    [
      'ack_duration_seconds',
      'ackLevel' in figures ? figures.ackLevel : 'stored',
      measured.ackStored.snapshot(),
    ],
    ['ack_duration_seconds', 'committed', measured.ackCommitted.snapshot()],
    ['batch_messages', '', measured.batchMessages.snapshot()],
    ['connect_duration_seconds', '', measured.connections.durations.snapshot()],
    ['event_loop_delay_seconds', '', measured.timerDelay.snapshot()],
  ];
  if ('flush' in figures) samples.push(['flush_duration_seconds', '', figures.flush]);
  return samples.filter(([, , { count }]) => count > 0);
}
