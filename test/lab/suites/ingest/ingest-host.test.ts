import { sql } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { passes } from '../../../../lab/result.ts';
import type { Variant } from '../../../../lab/suite.ts';
import { benchTableName } from '../../../../lab/suites/ingest/bench-sink.ts';
import { IngestHost } from '../../../../lab/suites/ingest/ingest-host.ts';
import { INGEST_PARAMETERS } from '../../../../lab/suites/ingest/ingest-parameters.ts';
import {
  COPY_FLOOR,
  INSERT_FLOOR,
  INSERT_FLOOR_ROWS,
  INTAKE_FLOOR,
  ingestSuite,
} from '../../../../lab/suites/ingest/ingest-suite.ts';
import type { BenchTarget, IngestPorts, LoadJob, LoadReport } from '../../../../lab/suites/ingest/load.ts';
import { benchPayload, benchProducer } from '../../../../lab/suites/ingest/payload.ts';
import { ExponentialHistogram } from '../../../../src/core/exponential-histogram.ts';
import { resolveOptions } from '../../../../src/core/option-table.ts';
import { systemTimers } from '../../../../src/core/timers.ts';
import { ConnectionSlot } from '../../../../src/database/connection-slot.ts';
import { emptyIntakeStats } from '../../../../src/ingest/counting-intake.ts';
import type { IntakeStats } from '../../../../src/ingest/intake.ts';
import { rowsOf } from '../../../support/connect.ts';
import { openConnection } from '../../../support/open-connection.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const database = ownDatabase();
const slot = new ConnectionSlot({ open: () => openConnection(database.target), timers: systemTimers });
/** Not the bench's: the first lacks the prefix's end, the second only looks like it to a pattern. */
const BYSTANDERS = ['sluice_bench', 'sluicexbenchxcopy', 'xsluice_bench_copy'];

interface FakeLoad {
  /** Messages that never become rows. */
  drops?: (producer: string, n: number) => boolean;
  /** Messages that become two rows. */
  doubles?: (producer: string, n: number) => boolean;
  refused?: number;
  /** Frames that the counting shard does not see. */
  missedFrames?: number;
  failure?: Error;
  /** How long clients waited for an ack; none where they wait for none. */
  ackMs?: number;
  /** Rows that each shard wrote to its storage. */
  storageRows?: number;
  /** Rows that are told to be committed, at each look; what is there at the end is told by the drain. */
  committed?: number[];
}

/** A Worker of a few lines: what is sent becomes rows at once, but for what the test plants. */
class FakePorts implements IngestPorts {
  readonly slot = slot;
  readonly orders: LoadJob[] = [];
  readonly #load: FakeLoad;
  #frames = 0;
  #nowMs = 0;
  #runs = 0;
  #tell = (_: number): void => {};
  isWatching = false;

  constructor(load: FakeLoad = {}) {
    this.#load = load;
  }

  async load(order: LoadJob, onSent: (messages: number) => void): Promise<LoadReport> {
    const { drops = () => false, doubles = () => false, refused = 0, failure, ackMs } = this.#load;
    this.orders.push(order);
    for (const rows of this.#load.committed ?? []) this.#tell(rows);
    if (failure !== undefined) throw failure;
    const { target, clients, messagesPerClient, messagesPerFrame } = order;
    for (let client = 0; client < clients; client += 1) {
      const producer = benchProducer(target.run, client);
      this.#frames += Math.ceil(messagesPerClient / messagesPerFrame);
      const numbers = Array.from({ length: messagesPerClient }, (_, n) => n)
        .filter((n) => !drops(producer, n))
        .flatMap((n) => (doubles(producer, n) ? [n, n] : [n]));
      if (target.spec !== null) {
        const rows = numbers.map((n) => sql`(${producer}, ${n}, ${benchPayload(producer, n)}, now())`);
        await database.connection.db.execute(
          sql`insert into ${sql.raw(benchTableName(target.spec.table))} (producer, sequence, payload, received_at)
            values ${sql.join(rows, sql`, `)}`,
        );
      }
      onSent((client + 1) * messagesPerClient);
    }
    const ackLatency = new ExponentialHistogram();
    if (ackMs !== undefined) ackLatency.record(ackMs / 1_000);
    return {
      firstFrameAtMs: this.now(),
      refused,
      loopDelayP99Ms: 3,
      ackLatency: ackMs === undefined ? null : ackLatency.snapshot(),
    };
  }

  async drain({ shards }: BenchTarget): Promise<IntakeStats[]> {
    const latency = new ExponentialHistogram();
    latency.record(0.008);
    const received = this.#frames - (this.#load.missedFrames ?? 0);
    this.#frames = 0;
    return Array.from({ length: shards }, (_, shard) => ({
      ...emptyIntakeStats(),
      received: shard === 0 ? received : 0,
      flushes: 2,
      committed: shard === 0 ? (this.#load.committed?.at(-1) ?? 0) + 10 : 0,
      storageRowsWritten: this.#load.storageRows ?? 0,
      latency: latency.snapshot(),
    }));
  }

  watchCommitted(_: BenchTarget, onCommitted: (rows: number) => void): () => void {
    this.isWatching = true;
    this.#tell = onCommitted;
    return () => {
      this.isWatching = false;
    };
  }

  now(): number {
    this.#nowMs += 250;
    return this.#nowMs;
  }

  randomId(): string {
    this.#runs += 1;
    return `r${this.#runs}`;
  }
}

const CLEAN = { refused: 0, lost: 0, duplicated: 0, outOfOrder: 0 };

function parameters(given: Record<string, unknown> = {}) {
  return resolveOptions(INGEST_PARAMETERS, { clients: 3, messages: 40, modes: 'copy', ...given });
}

function run(
  name: string,
  {
    load,
    given = {},
    onUnits = () => {},
  }: { load?: FakeLoad; given?: object; onUnits?: (done: number) => void } = {},
) {
  const ports = new FakePorts(load);
  const chosen = parameters({ ...given });
  const variant = ingestSuite.variants(chosen).find((candidate) => candidate.name === name);
  if (variant === undefined) throw new Error(`there is no variant ${name}`);
  return new IngestHost(ports, chosen).run(variant, 1, onUnits);
}

async function rowsIn(table: string): Promise<{ producer: string; n: number }[]> {
  return rowsOf(
    database.connection,
    `select producer, (payload::jsonb->>'n')::int as n from sluice_bench_${table} order by id`,
  );
}

beforeEach(async () => {
  for (const name of BYSTANDERS) await rowsOf(database.connection, `create table ${name} (n integer)`);
});

afterEach(async () => {
  // The slot's connection goes before the database does.
  slot.close();
  for (const name of await database.tables()) await rowsOf(database.connection, `drop table ${name}`);
});

describe('a mode', () => {
  test('whose messages all become rows has a clean audit, and the figures of the ports', async () => {
    const result = await run('copy', { given: { shards: 2 }, load: { ackMs: 5, storageRows: 6 } });
    expect(result).toEqual({
      units: 120,
      elapsedMs: 250,
      metrics: {
        ackP50Ms: expect.closeTo(5, 0),
        ackP99Ms: expect.closeTo(5, 0),
        // 12 rows for 120 messages.
        storageRowsPerMillion: 100_000,
        flushes: 4,
        flushP50Ms: expect.closeTo(8, 0),
        flushP99Ms: expect.closeTo(8, 0),
        loopDelayP99Ms: 3,
      },
      audit: { ...CLEAN, sent: 120, found: 120 },
      histograms: {
        ack: expect.objectContaining({ p50Us: expect.closeTo(5_000, -3) }),
        flush: expect.objectContaining({ p50Us: expect.closeTo(8_000, -3) }),
      },
      warnings: [],
    });
    expect(await rowsIn('copy')).toHaveLength(120);
  });

  test('counts by windows what is committed, from the first rows on', async () => {
    // The clock of the ports goes on by a window whenever it is read: at each look with rows, and twice at the end.
    const { windows } = await run('copy', { load: { committed: [0, 0, 30, 50, 80, 110] } });
    expect(windows).toEqual([20, 30, 30, 3, 4, 3, 0]);
  });

  test('is not watched any more once it is over, however it ends', async () => {
    const chosen = parameters();
    const [variant] = ingestSuite.variants(chosen);
    for (const load of [{}, { failure: new Error('no Worker') }]) {
      const ports = new FakePorts(load);
      await new IngestHost(ports, chosen).run(variant as Variant, 1, () => {}).catch(() => {});
      expect(ports.isWatching).toBe(false);
    }
  });

  test('has no figures of acks where the clients wait for none, and none of storage without an outbox', async () => {
    const { metrics } = await run('copy', {
      given: { acks: 'raw', durability: 'memory' },
      load: { storageRows: 6 },
    });
    expect(metrics).toMatchObject({ ackP50Ms: null, ackP99Ms: null, storageRowsPerMillion: null });
    const stored = await run('copy', { given: { acks: 'raw' } });
    expect(stored.metrics, 'the control').toMatchObject({ ackP50Ms: null, storageRowsPerMillion: 0 });
  });

  test('that drops one message is reported as having lost it', async () => {
    const { audit } = await run('copy', {
      load: { drops: (producer, n) => producer.endsWith('-1') && n === 39 },
    });
    expect(audit).toEqual({ ...CLEAN, sent: 120, found: 119, lost: 1 });
    expect(audit !== null && passes(audit)).toBe(false);
  });

  test('that writes one message twice is reported as having doubled it', async () => {
    const { audit } = await run('copy', {
      load: { doubles: (producer, n) => producer.endsWith('-0') && n === 0 },
    });
    expect(audit).toEqual({ ...CLEAN, sent: 120, found: 121, duplicated: 1 });
  });

  test('that refuses a message has lost none', async () => {
    const { audit } = await run('copy', {
      load: { drops: (producer, n) => producer.endsWith('-1') && n === 3, refused: 1 },
    });
    expect(audit).toEqual({ ...CLEAN, sent: 120, refused: 1, found: 119 });
  });

  test('sends what the parameters say, to its own table', async () => {
    const ports = new FakePorts();
    const chosen = parameters({
      modes: 'bulk',
      frame: 7,
      rate: 5_000,
      shards: 2,
      driver: 'tcp',
      column: 'text',
      acks: 'committed',
      durability: 'memory',
    });
    const [variant] = ingestSuite.variants(chosen);
    await new IngestHost(ports, chosen).run(variant as Variant, 1, () => {});
    expect(ports.orders).toEqual([
      {
        target: {
          run: 'r1',
          driver: 'tcp',
          shards: 2,
          spec: {
            table: 'bulk',
            column: 'text',
            options: expect.objectContaining({ writer: 'bulk', durability: 'memory', shards: 2 }),
          },
        },
        clients: 3,
        messagesPerClient: 40,
        messagesPerFrame: 7,
        ratePerSecond: 5_000,
        ack: 'committed',
        withHeaders: false,
      },
    ]);
    expect(
      await rowsOf(
        database.connection,
        `select data_type from information_schema.columns where table_name = 'sluice_bench_bulk' and column_name = 'payload'`,
      ),
    ).toEqual([{ data_type: 'text' }]);
  });

  test('starts from an empty table at each repetition, under another name of its run', async () => {
    const ports = new FakePorts();
    const chosen = parameters();
    const host = new IngestHost(ports, chosen);
    const [variant] = ingestSuite.variants(chosen);
    for (const rep of [1, 2]) {
      const { audit } = await host.run(variant as Variant, rep, () => {});
      expect(audit).toEqual({ ...CLEAN, sent: 120, found: 120 });
    }
    expect(ports.orders.map(({ target }) => target.run)).toEqual(['r1', 'r2']);
  });

  test('passes on the progress and the failure of its load', async () => {
    const done: number[] = [];
    await run('copy', { onUnits: (units) => done.push(units) });
    expect(done).toEqual([40, 80, 120]);
    const failure = new Error('no Worker');
    await expect(run('copy', { load: { failure } })).rejects.toBe(failure);
  });
});

describe.each(['jsonb', 'text'])('the floors with a column of type %s', (column) => {
  test('of COPY leaves exactly the rows that the clients would send, in order', async () => {
    const done: number[] = [];
    const result = await run(COPY_FLOOR, { given: { column }, onUnits: (units) => done.push(units) });
    expect(result).toEqual({
      units: 120,
      elapsedMs: 250,
      metrics: {},
      audit: { ...CLEAN, sent: 120, found: 120 },
    });
    expect(await rowsIn('floor')).toEqual(
      [0, 1, 2].flatMap((client) => Array.from({ length: 40 }, (_, n) => ({ producer: `r1-${client}`, n }))),
    );
    expect(done).toEqual([40, 80, 120]);
  });

  test('of INSERT leaves exactly its rows, in order, and tells what one took', async () => {
    const result = await run(INSERT_FLOOR, { given: { column } });
    // The clock of the ports goes on whenever it is read: once for each row.
    expect(result).toEqual({
      units: INSERT_FLOOR_ROWS,
      elapsedMs: 250 * INSERT_FLOOR_ROWS,
      metrics: { flushP50Ms: 250, flushP99Ms: 250 },
      histograms: { flush: expect.objectContaining({ count: INSERT_FLOOR_ROWS, maxUs: 250_000 }) },
      audit: { ...CLEAN, sent: INSERT_FLOOR_ROWS, found: INSERT_FLOOR_ROWS },
    });
    expect(await rowsIn('floor')).toEqual(
      Array.from({ length: INSERT_FLOOR_ROWS }, (_, n) => ({ producer: 'r1-0', n })),
    );
  });
});

describe('the floor of the intake', () => {
  test('counts frames, leaves no table, and has no audit', async () => {
    const result = await run(INTAKE_FLOOR, { given: { frame: 7 } });
    expect(result).toEqual({ units: 120, elapsedMs: 250, metrics: { loopDelayP99Ms: 3 }, audit: null });
    expect(await database.tables()).toEqual(BYSTANDERS.toSorted());
  });

  test.each([
    ['raw', false],
    ['stored', true],
    ['none,raw', true],
  ])('takes raw frames; where the clients want %s, with header lines: %s', async (acks, withHeaders) => {
    const ports = new FakePorts();
    const chosen = parameters({ acks });
    await new IngestHost(ports, chosen).run(
      { name: INTAKE_FLOOR, role: 'floor', description: '' },
      1,
      () => {},
    );
    expect(ports.orders).toMatchObject([{ ack: 'raw', withHeaders, target: { spec: null } }]);
  });

  test('fails when a frame did not arrive', async () => {
    await expect(run(INTAKE_FLOOR, { given: { frame: 7 }, load: { missedFrames: 1 } })).rejects.toThrow(
      'counted 17 frames of 18 sent',
    );
  });
});

test('the warm-up sends a few messages through every mode, without a schedule', async () => {
  const ports = new FakePorts();
  await new IngestHost(
    ports,
    parameters({ modes: 'copy,bulk', acks: 'none,raw', messages: 10_000, clients: 10, rate: 3 }),
  ).warmUp();
  expect(
    ports.orders.map(({ target, messagesPerClient, ratePerSecond, ack }) => [
      target.spec?.table,
      messagesPerClient,
      ratePerSecond,
      ack,
    ]),
  ).toEqual([
    ['copy', 200, 0, 'none'],
    ['bulk', 200, 0, 'none'],
  ]);
});

test('close drops every table of the bench and nothing else', async () => {
  const chosen = parameters({ modes: 'naive,buffered,bulk,unnest,copy' });
  const ports = new FakePorts();
  const host = new IngestHost(ports, chosen);
  for (const variant of ingestSuite.variants(chosen)) await host.run(variant, 1, () => {});
  const bench = ['buffered', 'bulk', 'checkpoints', 'copy', 'floor', 'naive', 'unnest'].map(
    (name) => `sluice_bench_${name}`,
  );
  expect(await database.tables()).toEqual([...bench, ...BYSTANDERS].toSorted());
  await host.close();
  expect(await database.tables()).toEqual(BYSTANDERS.toSorted());
  // It may find nothing to drop: a run can be stopped before its first table.
  await expect(host.close()).resolves.toBeUndefined();
});
