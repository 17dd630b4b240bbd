/** What the suite `ingest` asks of the place that it runs in: a load, its shards, a database. */

import type { HistogramSnapshot } from '../../../src/core/exponential-histogram.ts';
import type { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import type { IntakeStats } from '../../../src/ingest/intake.ts';
import type { LoadSchedule, ScheduledReport } from '../rates/scheduled-load.ts';
import type { BenchSinkSpec } from './bench-sink.ts';
import type { BenchAck, IngestParameters } from './ingest-parameters.ts';

/** Which shards a run talks to. It travels to the Worker, and from there into the shards' names. */
export interface BenchTarget {
  /** Names the run; part of every producer's name. */
  run: string;
  /** Null: the shards only count frames. */
  spec: BenchSinkSpec | null;
  driver: string;
  shards: number;
}

/** What the load generator is to do. */
export interface LoadJob {
  target: BenchTarget;
  clients: number;
  messagesPerClient: number;
  messagesPerFrame: number;
  /** Messages per second of all clients together; 0: as fast as they are taken. */
  ratePerSecond: number;
  /** What the clients wait for. `raw`: they speak no protocol and wait for nothing. */
  ack: BenchAck;
  /** Raw sockets send the header lines of `sluice.v1` too, into a shard that only counts: the same frames. */
  withHeaders: boolean;
  /**
   * Each message at its time, whatever became of those before it; the acks have to be `committed`. It says how many
   * messages there are and at what rate, instead of `messagesPerClient` and `ratePerSecond`. Default: none.
   */
  schedule?: LoadSchedule;
}

export interface LoadReport {
  /** When the first frame was sent, by the ports' clock. */
  firstFrameAtMs: number;
  /** Messages that were answered with an error frame. */
  refused: number;
  /** p99 delay of the generator's event loop; null where it cannot be measured. */
  loopDelayP99Ms: number | null;
  /** How long the clients waited for their acks, in seconds; null where they wait for none. */
  ackLatency: HistogramSnapshot | null;
  /** What became of the schedule, where there was one. */
  scheduled?: ScheduledReport;
  /** Microseconds to make one message's text, on a schedule; null where the clock does not tell. */
  makingUs?: number | null;
}

export interface IngestPorts {
  /** A connection for tables, audits and floors. */
  slot: ConnectionSlot;
  /** Opens the sockets, sends everything, and resolves once the shards have received it all. */
  load(order: LoadJob, onSent: (messages: number) => void): Promise<LoadReport>;
  /** Flushes the shards and answers with their figures once everything is committed. */
  drain(target: BenchTarget): Promise<IntakeStats[]>;
  /**
   * Tells now and then how many rows the shards of a target have committed, until what it returns is called. Default:
   * nobody tells, and there are no windows.
   */
  watchCommitted?(target: BenchTarget, onCommitted: (rows: number) => void): () => void;
  /** Milliseconds, with fractions where the platform has them. */
  now(): number;
  /** A short random text, for the names of runs. */
  randomId(): string;
  /**
   * After the name of every table: lower-case letters and digits. Shards outlive the program that measures with them, and what
   * those of a lost place still write must not get into the tables of the next. Default: nothing.
   */
  tableSuffix?: string;
  /**
   * Ends the load that is under way and its shards, whatever they still hold; none begins after it. Default: nothing,
   * for a place whose shards end with it.
   */
  abandon?(): Promise<void>;
}

/** What the clients of a repetition do, in their own run. */
export function loadOf(
  spec: BenchSinkSpec | null,
  ack: BenchAck,
  ports: Pick<IngestPorts, 'randomId'>,
  parameters: IngestParameters,
): LoadJob {
  const { clients, messages, frame, rate, driver, shards, acks } = parameters;
  return {
    target: { run: ports.randomId(), spec, driver, shards },
    clients,
    messagesPerClient: messages,
    messagesPerFrame: frame,
    ratePerSecond: rate,
    ack,
    withHeaders: spec === null && acks[0] !== 'raw',
  };
}
