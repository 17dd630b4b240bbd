/** The floors of the suite `ingest`: what is left to gain. */

import { sql } from 'drizzle-orm';
import { SluiceError } from '../../../src/core/errors.ts';
import type { Connection } from '../../../src/database/connection.ts';
import type { MessageBatch } from '../../../src/sinks/message-batch.ts';
import { copyStatement, encodeCopyText } from '../../../src/writers/copy.ts';
import type { ServerWatch } from '../../measure/server-watch.ts';
import type { RepResult } from '../../result.ts';
import { Histogram } from '../../statistics/histogram.ts';
import { auditTable } from './audit.ts';
import { type BenchSinkSpec, benchSink, benchTableName } from './bench-sink.ts';
import type { IngestParameters } from './ingest-parameters.ts';
import { INSERT_FLOOR_ROWS } from './ingest-suite.ts';
import type { IngestTables } from './ingest-tables.ts';
import { type IngestPorts, loadOf } from './load.ts';
import { benchPayload, benchProducer } from './payload.ts';

/** Without effect: the floors' sinks are never flushed. */
const FLOOR_BATCH_ROWS = 1;

/** Frames into shards that only count them. */
export async function intakeFloor(
  ports: IngestPorts,
  parameters: IngestParameters,
  onUnits: (done: number) => void,
): Promise<RepResult> {
  const { clients, messages, frame } = parameters;
  const order = loadOf(null, 'raw', ports, parameters);
  const load = await ports.load(order, onUnits);
  const shards = await ports.drain(order.target);
  const elapsedMs = ports.now() - load.firstFrameAtMs;
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

/** The same rows by one COPY from one client, with the encoding. */
export async function copyFloor(
  tables: IngestTables,
  ports: IngestPorts,
  parameters: IngestParameters,
  onUnits: (done: number) => void,
  server: ServerWatch | undefined,
): Promise<RepResult> {
  const { clients, messages } = parameters;
  const spec = await tables.create({ mode: 'copy', durability: 'memory', batch: FLOOR_BATCH_ROWS }, 'floor');
  const sink = benchSink(spec);
  const run = ports.randomId();
  // The rows are made before the clock starts, as a program would have them; encoding them is part of the work.
  const batches = Array.from({ length: clients }, (_, client) =>
    batchOf(benchProducer(run, client), messages),
  );
  await server?.begin();
  const startedAtMs = ports.now();
  let done = 0;
  await ports.slot.use((connection) =>
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
  const elapsedMs = ports.now() - startedAtMs;
  const figures = await server?.end(clients * messages, [benchTableName(spec.table)]);
  const audit = await ports.slot.use(({ db }) =>
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

/** One awaited INSERT after another, on one connection. */
export async function insertFloor(tables: IngestTables, ports: IngestPorts): Promise<RepResult> {
  const spec = await tables.create({ mode: 'naive', durability: 'memory', batch: FLOOR_BATCH_ROWS }, 'floor');
  const run = ports.randomId();
  const producer = benchProducer(run, 0);
  const latency = new Histogram();
  const { elapsedMs, audit } = await ports.slot.use(async (connection) => {
    const startedAtMs = ports.now();
    let endedAtMs = startedAtMs;
    for (let n = 0; n < INSERT_FLOOR_ROWS; n += 1) {
      const beganAtMs = endedAtMs;
      await insertOne(connection, spec, producer, n);
      endedAtMs = ports.now();
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
