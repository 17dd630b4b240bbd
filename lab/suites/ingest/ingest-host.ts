/** Runs the variants of the suite `ingest`, wherever it is: what differs between the CLI and the Worker comes in as ports. */

import { ExponentialHistogram } from '../../../src/core/exponential-histogram.ts';
import type { Database } from '../../../src/database/connection.ts';
import type { IntakeStats } from '../../../src/ingest/intake.ts';
import { clientBoundWarnings } from '../../measure/client-bound.ts';
import { flushLatency, latencyRecords, percentileMs } from '../../measure/latency-record.ts';
import type { ServerWatch } from '../../measure/server-watch.ts';
import { WindowCounter } from '../../measure/window-counter.ts';
import type { Audit, RepResult } from '../../result.ts';
import type { RepContext, SuiteHost, Variant } from '../../suite.ts';
import { type AuditInput, auditTable } from './audit.ts';
import { mappedTablesOf, tablesOfSpec } from './bench-form.ts';
import { type BenchSinkSpec, benchTableName } from './bench-sink.ts';
import { copyFloor, insertFloor, intakeFloor } from './ingest-floors.ts';
import type { IngestParameters } from './ingest-parameters.ts';
import { COPY_FLOOR, INSERT_FLOOR, INTAKE_FLOOR } from './ingest-suite.ts';
import { IngestTables } from './ingest-tables.ts';
import { type IngestVariant, ingestVariantOf, messageRulesOf } from './ingest-variants.ts';
import { type IngestPorts, type LoadJob, type LoadReport, loadOf } from './load.ts';
import { auditMapped } from './mapped-audit.ts';
import { auditUpserts } from './upsert-audit.ts';

export class IngestHost implements SuiteHost {
  readonly #ports: IngestPorts;
  readonly #parameters: IngestParameters;
  readonly #tables: IngestTables;

  constructor(ports: IngestPorts, parameters: IngestParameters) {
    this.#ports = ports;
    this.#parameters = parameters;
    this.#tables = new IngestTables(ports, parameters);
  }

  run(
    variant: Variant,
    _rep: number,
    onUnits: (done: number) => void,
    { server }: Pick<RepContext, 'server'> = { server: undefined },
  ): Promise<RepResult> {
    switch (variant.name) {
      case COPY_FLOOR:
        return copyFloor(this.#tables, this.#ports, this.#parameters, onUnits, server);
      case INSERT_FLOOR:
        return insertFloor(this.#tables, this.#ports);
      case INTAKE_FLOOR:
        return intakeFloor(this.#ports, this.#parameters, onUnits);
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
      for (const rule of messageRulesOf(this.#parameters, mode))
        await host.#measure(mode, { mode, ack, durability, batch, ...rule }, () => {}, undefined);
    }
  }

  /** Ends what is under way, and drops every table of the suite. */
  async close(): Promise<void> {
    await this.#ports.abandon?.();
    await this.#tables.drop();
  }

  async #measure(
    name: string,
    variant: IngestVariant,
    onUnits: (done: number) => void,
    server: ServerWatch | undefined,
  ): Promise<RepResult> {
    const { clients, messages } = this.#parameters;
    const spec = await this.#tables.create(variant, variant.mode);
    const order = loadOf(spec, variant.ack, this.#ports, this.#parameters);
    await server?.begin();
    const { load, shards, endedAtMs, windows } = await this.#send(order, onUnits);
    const elapsedMs = endedAtMs - load.firstFrameAtMs;
    const figures = await server?.end(clients * messages, tablesOfSpec(spec).map(benchTableName));

    const sent = {
      table: spec.table,
      run: order.target.run,
      clients,
      messagesPerClient: messages,
      refused: load.refused,
    };
    const audit = await this.#ports.slot.use(({ db }) => auditOf(spec, db, sent));
    const latency = flushLatency(shards);
    const ackLatency = new ExponentialHistogram();
    if (load.ackLatency !== null) ackLatency.merge(load.ackLatency);
    const storageRows = shards.reduce((sum, { storageRowsWritten }) => sum + storageRowsWritten, 0);
    return {
      units: clients * messages,
      elapsedMs,
      metrics: {
        ackP50Ms: percentileMs(ackLatency, 0.5),
        ackP99Ms: percentileMs(ackLatency, 0.99),
        storageRowsPerMillion:
          variant.durability === 'outbox' ? (storageRows / (clients * messages)) * 1_000_000 : null,
        flushes: shards.reduce((sum, { flushes }) => sum + flushes, 0),
        flushP50Ms: percentileMs(latency, 0.5),
        flushP99Ms: percentileMs(latency, 0.99),
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
    order: LoadJob,
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
}

function auditOf(spec: BenchSinkSpec, db: Database, sent: AuditInput): Promise<Audit> {
  const mapped = mappedTablesOf(spec);
  if (mapped !== undefined) return auditMapped(db, sent, mapped);
  return spec.upsert === undefined ? auditTable(db, sent) : auditUpserts(db, sent, spec.upsert);
}
