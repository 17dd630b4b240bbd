/** Runs the variants of the suite `ingest`, wherever it is: what differs between the CLI and the Worker comes in as ports. */

import { sql } from 'drizzle-orm';
import { SluiceError } from '../../../src/core/errors.ts';
import { type HistogramSnapshot, LatencyHistogram } from '../../../src/core/latency-histogram.ts';
import type { Connection, Database } from '../../../src/database/connection.ts';
import type { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import type { IntakeStats } from '../../../src/ingest/intake.ts';
import type { MessageBatch } from '../../../src/sinks/message-batch.ts';
import { copyStatement, encodeCopyText } from '../../../src/writers/copy.ts';
import { clientBoundWarnings } from '../../measure/client-bound.ts';
import { flushLatency, latencyRecords } from '../../measure/latency-record.ts';
import type { ServerWatch } from '../../measure/server-watch.ts';
import { WindowCounter } from '../../measure/window-counter.ts';
import type { RepResult } from '../../result.ts';
import { Histogram } from '../../statistics/histogram.ts';
import type { RepContext, SuiteHost, Variant } from '../../suite.ts';
import type { LoadSchedule, ScheduledReport } from '../rates/scheduled-load.ts';
import { auditTable } from './audit.ts';
import {
  type BenchSinkSpec,
  benchSink,
  benchTableName,
  createBenchCheckpoints,
  createBenchTable,
  dropBenchTable,
} from './bench-sink.ts';
import {
  type BenchAck,
  COPY_FLOOR,
  INSERT_FLOOR,
  INSERT_FLOOR_ROWS,
  INTAKE_FLOOR,
  type IngestParameters,
  type IngestVariant,
  ingestVariantOf,
  sinkOptionsOf,
} from './ingest-suite.ts';
import { benchPayload, benchProducer } from './payload.ts';

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
export interface LoadOrder {
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
  /** How long the clients waited for their acks; null where they wait for none. */
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
  load(order: LoadOrder, onSent: (messages: number) => void): Promise<LoadReport>;
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
   * Behind the name of every table: lower-case letters and digits. Shards outlive whoever measures with them, and what
   * those of a lost place still write must not get into the tables of the next. Default: nothing.
   */
  tableSuffix?: string;
  /**
   * Ends the load that is under way and its shards, whatever they still hold; none begins after it. Default: nothing,
   * for a place whose shards end with it.
   */
  abandon?(): Promise<void>;
}

/** Of no account: the floors' sinks are never flushed. */
const FLOOR_BATCH_ROWS = 1;

export class IngestHost implements SuiteHost {
  readonly #ports: IngestPorts;
  readonly #parameters: IngestParameters;

  constructor(ports: IngestPorts, parameters: IngestParameters) {
    this.#ports = ports;
    this.#parameters = parameters;
  }

  run(
    variant: Variant,
    _rep: number,
    onUnits: (done: number) => void,
    { server }: Pick<RepContext, 'server'> = { server: undefined },
  ): Promise<RepResult> {
    switch (variant.name) {
      case COPY_FLOOR:
        return this.#copyFloor(onUnits, server);
      case INSERT_FLOOR:
        return this.#insertFloor();
      case INTAKE_FLOOR:
        return this.#intakeFloor(onUnits);
      default:
        return this.#measure(variant.name, ingestVariantOf(variant, this.#parameters), onUnits, server);
    }
  }

  /** Sends a few messages through every mode, so that no measured run pays for code that has never run. */
  async warmUp(): Promise<void> {
    const messages = Math.min(this.#parameters.messages, Math.ceil(2_000 / this.#parameters.clients));
    const host = new IngestHost(this.#ports, { ...this.#parameters, messages, rate: 0 });
    const [ack = 'stored'] = this.#parameters.acks;
    const [durability = 'outbox'] = this.#parameters.durability;
    const [batch = 1] = this.#parameters.batch;
    for (const mode of this.#parameters.modes) {
      await host.#measure(mode, { mode, ack, durability, batch }, () => {}, undefined);
    }
  }

  /** Ends what is under way, and drops every table of the suite. */
  async close(): Promise<void> {
    await this.#ports.abandon?.();
    const tables = [...this.#parameters.modes, 'floor'].map((name) => this.#tableOf(name));
    // A place with names of its own may have others beside it, whose shards go by the same checkpoints.
    if (this.#ports.tableSuffix === undefined) tables.push('checkpoints');
    for (const table of tables) await this.#execute(dropBenchTable(table));
  }

  async #measure(
    name: string,
    variant: IngestVariant,
    onUnits: (done: number) => void,
    server: ServerWatch | undefined,
  ): Promise<RepResult> {
    const { clients, messages } = this.#parameters;
    const spec = this.#spec(variant, variant.mode);
    await this.#recreate(spec);
    const order = this.#order(spec, variant.ack);
    await server?.begin();
    const { load, shards, endedAtMs, windows } = await this.#send(order, onUnits);
    const elapsedMs = endedAtMs - load.firstFrameAtMs;
    const figures = await server?.end(clients * messages, [benchTableName(spec.table)]);

    const audit = await this.#ports.slot.use(({ db }) =>
      auditTable(db, {
        table: spec.table,
        run: order.target.run,
        clients,
        messagesPerClient: messages,
        refused: load.refused,
      }),
    );
    const latency = flushLatency(shards);
    const ackLatency = new LatencyHistogram();
    if (load.ackLatency !== null) ackLatency.merge(load.ackLatency);
    const storageRows = shards.reduce((sum, { storageRowsWritten }) => sum + storageRowsWritten, 0);
    return {
      units: clients * messages,
      elapsedMs,
      metrics: {
        ackP50Ms: ackLatency.percentile(0.5) ?? null,
        ackP99Ms: ackLatency.percentile(0.99) ?? null,
        storageRowsPerMillion:
          variant.durability === 'outbox' ? (storageRows / (clients * messages)) * 1_000_000 : null,
        flushes: shards.reduce((sum, { flushes }) => sum + flushes, 0),
        flushP50Ms: latency.percentile(0.5) ?? null,
        flushP99Ms: latency.percentile(0.99) ?? null,
        loopDelayP99Ms: load.loopDelayP99Ms,
      },
      audit,
      histograms: latencyRecords({ ack: ackLatency, flush: latency }),
      ...(windows.length === 0 ? {} : { windows }),
      ...(figures === undefined ? {} : { server: figures }),
      warnings: clientBoundWarnings(name, load.loopDelayP99Ms),
    };
  }

  /** What is sent says nothing about what is done: clients and shards hold tens of thousands of messages. */
  async #send(
    order: LoadOrder,
    onUnits: (done: number) => void,
  ): Promise<{ load: LoadReport; shards: IntakeStats[]; endedAtMs: number; windows: number[] }> {
    let counter: WindowCounter | undefined;
    const onCommitted = (rows: number): void => {
      // From the first rows on: until then clients connect, and the first batch waits for more.
      if (counter !== undefined) counter.reached(rows);
      else if (rows > 0) counter = new WindowCounter(() => this.#ports.now(), rows);
    };
    const stopWatching = this.#ports.watchCommitted?.(order.target, onCommitted);
    try {
      const load = await this.#ports.load(order, onUnits);
      const shards = await this.#ports.drain(order.target);
      const endedAtMs = this.#ports.now();
      if (stopWatching !== undefined) onCommitted(shards.reduce((sum, { committed }) => sum + committed, 0));
      return { load, shards, endedAtMs, windows: counter?.windows ?? [] };
    } finally {
      stopWatching?.();
    }
  }

  async #intakeFloor(onUnits: (done: number) => void): Promise<RepResult> {
    const { clients, messages, frame } = this.#parameters;
    const order = this.#order(null, 'raw');
    const load = await this.#ports.load(order, onUnits);
    const shards = await this.#ports.drain(order.target);
    const elapsedMs = this.#ports.now() - load.firstFrameAtMs;
    const frames = clients * Math.ceil(messages / frame);
    const received = shards.reduce((sum, shard) => sum + shard.received, 0);
    if (received !== frames) {
      throw new SluiceError('internal', `The intake floor counted ${received} frames of ${frames} sent`);
    }
    return {
      units: clients * messages,
      elapsedMs,
      metrics: { loopDelayP99Ms: load.loopDelayP99Ms },
      audit: null,
    };
  }

  async #copyFloor(onUnits: (done: number) => void, server: ServerWatch | undefined): Promise<RepResult> {
    const { clients, messages } = this.#parameters;
    const spec = this.#spec({ mode: 'copy', durability: 'memory', batch: FLOOR_BATCH_ROWS }, 'floor');
    await this.#recreate(spec);
    const sink = benchSink(spec);
    const run = this.#ports.randomId();
    // The rows are made before the clock starts, as a program would have them; encoding them is part of the work.
    const batches = Array.from({ length: clients }, (_, client) =>
      batchOf(benchProducer(run, client), messages),
    );
    await server?.begin();
    const startedAtMs = this.#ports.now();
    let done = 0;
    await this.#ports.slot.use((connection) =>
      connection.copyStream(
        copyStatement(sink),
        (function* chunks() {
          for (const batch of batches) {
            yield* encodeCopyText(sink, batch);
            done += messages;
            onUnits(done);
          }
        })(),
      ),
    );
    const elapsedMs = this.#ports.now() - startedAtMs;
    const figures = await server?.end(clients * messages, [benchTableName(spec.table)]);
    const audit = await this.#ports.slot.use(({ db }) =>
      auditTable(db, { table: spec.table, run, clients, messagesPerClient: messages, refused: 0 }),
    );
    return {
      units: clients * messages,
      elapsedMs,
      metrics: {},
      audit,
      ...(figures === undefined ? {} : { server: figures }),
    };
  }

  async #insertFloor(): Promise<RepResult> {
    const spec = this.#spec({ mode: 'naive', durability: 'memory', batch: FLOOR_BATCH_ROWS }, 'floor');
    await this.#recreate(spec);
    const run = this.#ports.randomId();
    const producer = benchProducer(run, 0);
    const latency = new Histogram();
    const { elapsedMs, audit } = await this.#ports.slot.use(async (connection) => {
      const startedAtMs = this.#ports.now();
      let endedAtMs = startedAtMs;
      for (let n = 0; n < INSERT_FLOOR_ROWS; n += 1) {
        const beganAtMs = endedAtMs;
        await insertOne(connection, spec, producer, n);
        endedAtMs = this.#ports.now();
        latency.record((endedAtMs - beganAtMs) * 1_000);
      }
      const audited = await auditTable(connection.db, {
        table: spec.table,
        run,
        clients: 1,
        messagesPerClient: INSERT_FLOOR_ROWS,
        refused: 0,
      });
      return { elapsedMs: endedAtMs - startedAtMs, audit: audited };
    });
    const flush = latency.toRecord();
    return {
      units: INSERT_FLOOR_ROWS,
      elapsedMs,
      metrics: { flushP50Ms: flush.p50Us / 1_000, flushP99Ms: flush.p99Us / 1_000 },
      audit,
      histograms: { flush },
    };
  }

  #spec(variant: Pick<IngestVariant, 'mode' | 'durability' | 'batch'>, name: string): BenchSinkSpec {
    const table = this.#tableOf(name);
    return { table, column: this.#parameters.column, options: sinkOptionsOf(variant, this.#parameters) };
  }

  #tableOf(name: string): string {
    return `${name}${this.#ports.tableSuffix ?? ''}`;
  }

  #order(spec: BenchSinkSpec | null, ack: BenchAck): LoadOrder {
    const { clients, messages, frame, rate, driver, shards, acks } = this.#parameters;
    return {
      target: { run: this.#ports.randomId(), spec, driver, shards },
      clients,
      messagesPerClient: messages,
      messagesPerFrame: frame,
      ratePerSecond: rate,
      ack,
      withHeaders: spec === null && acks[0] !== 'raw',
    };
  }

  async #recreate({ table, column }: BenchSinkSpec): Promise<void> {
    await this.#execute(dropBenchTable(table));
    await this.#execute(createBenchTable(table, column));
    await this.#execute(createBenchCheckpoints());
  }

  #execute(statement: ReturnType<typeof sql.raw>): Promise<unknown> {
    return this.#ports.slot.use(({ db }: { db: Database }) => db.execute(statement));
  }
}

function insertOne(
  { db }: Connection,
  { table }: BenchSinkSpec,
  producer: string,
  n: number,
): Promise<unknown> {
  return db.execute(
    sql`insert into ${sql.raw(benchTableName(table))} (producer, epoch, sequence, payload, received_at) values (${producer}, ${0}, ${n}, ${benchPayload(producer, n)}, ${new Date().toISOString()})`,
  );
}

function batchOf(producer: string, messages: number): MessageBatch {
  const rows = Array.from({ length: messages }, (_, n) => n);
  const atMs = Date.now();
  return {
    columns: {
      producers: rows.map(() => producer),
      sequences: rows,
      epochs: rows.map(() => 0),
      payloads: rows.map((n) => benchPayload(producer, n)),
      plain: rows.map(() => true),
      receivedAtMs: rows.map(() => atMs),
    },
    from: 0,
    to: messages,
    position: 0n,
    bytes: 0,
  };
}
