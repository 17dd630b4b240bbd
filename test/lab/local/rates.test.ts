/** The suite `rates` from end to end: a real Worker, a real Postgres, and the bad example's pool. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { localRatesPorts, openPool } from '../../../lab/local/rates-ports.ts';
import { PostgresWatch } from '../../../lab/measure/postgres-watch.ts';
import { passes } from '../../../lab/result.ts';
import { BenchRun } from '../../../lab/run/run.ts';
import { Histogram } from '../../../lab/statistics/histogram.ts';
import { createBenchTable } from '../../../lab/suites/ingest/bench-sink.ts';
import { insertStatement } from '../../../lab/suites/rates/fire-and-forget.ts';
import { RatesHost, type RatesPorts } from '../../../lab/suites/rates/rates-host.ts';
import { RATE_MODES, RATES_PARAMETERS, ratesSuite } from '../../../lab/suites/rates/rates-suite.ts';
import { type LocalWorker, startWorker } from '../../../local/worker.ts';
import { resolveOptions } from '../../../src/core/option-table.ts';
import { systemTimers } from '../../../src/core/timers.ts';
import { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import { rowsOf } from '../../support/connect.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { openConnection } from '../../support/open-connection.ts';
import { ownDatabase } from '../../support/own-database.ts';

const database = ownDatabase();
const slot = new ConnectionSlot({ open: () => openConnection(database.target), timers: systemTimers });
let worker: LocalWorker;

beforeAll(async () => {
  worker = await startWorker({ bindings: { DATABASE_URL: database.url, BENCH: 'open' } });
});
afterAll(async () => {
  slot.close();
  await worker?.stop();
});

/** No machine is too slow for it: a minute is a long time for a hundred messages. */
const EASY = { from: 50, to: 50, seconds: 1, lead: 200, slo: 60_000, clients: 3, pools: '5' };

function parametersOf(given: Record<string, unknown>) {
  return resolveOptions(RATES_PARAMETERS, { ...EASY, ...given });
}

function hostOf(given: Record<string, unknown>, ports: Partial<RatesPorts> = {}) {
  const parameters = parametersOf(given);
  const host = new RatesHost({ ...localRatesPorts(worker, slot, database.target), ...ports }, parameters);
  return { parameters, host, variants: ratesSuite.variants(parameters) };
}

describe('a step', () => {
  test.each(RATE_MODES)('of %s: every message is there once, and its latency is known', async (mode) => {
    const { host, variants } = hostOf({ modes: mode });
    const watch = new PostgresWatch({
      open: () => openConnection(database.target),
      timers: new FakeTimers(),
    });
    const units: number[] = [];
    const result = await host.run(variants[0] as never, 1, (done) => units.push(done), {
      seed: 3,
      server: watch,
    });
    watch.close();
    expect(result.broken).toBeUndefined();
    expect(result.audit).toMatchObject({ sent: 60, refused: 0, found: 60, lost: 0, duplicated: 0 });
    expect(result.units).toBe(50);
    expect(result.elapsedMs).toBeGreaterThanOrEqual(1_000);
    expect(units.at(-1)).toBe(60);
    expect(result.windows).toHaveLength(4);
    expect(result.windows?.some((count) => count > 0)).toBe(true);
    for (const name of ['due', 'sent']) {
      const record = result.histograms?.[name];
      expect(Histogram.fromRecord(record as never).count).toBe(50);
      expect(record?.p99Us).toBeGreaterThan(0);
    }
    // No message is committed before it is sent, and none is sent before it is due.
    expect(result.histograms?.due?.meanUs).toBeGreaterThanOrEqual(result.histograms?.sent?.meanUs as number);
    expect(result.metrics).toMatchObject({ failedPercent: 0 });
    expect(result.metrics.pendingMax).toBeGreaterThan(0);
    expect(result.metrics.makingUs).toBeGreaterThan(0);
    expect(result.metrics.heapMaxMb).toBeGreaterThan(1);
    const isBad = mode === 'fire-and-forget';
    expect(result.metrics.poolActiveMax === null).toBe(!isBad);
    expect(result.metrics.flushes === null).toBe(isBad);
    expect(result.server?.tableBytesPerRow).toBeGreaterThan(200);
    expect(result.server?.indexBytesPerRow).toBeGreaterThan(0);
  });

  test('keeps the order of its producers, sends the same again with the same seed, and leaves nothing', async () => {
    const { host, variants } = hostOf({ modes: 'copy' });
    const packets = async (seed: number): Promise<unknown[]> => {
      const { audit } = await host.run(variants[0] as never, 1, () => {}, { seed, server: undefined });
      expect(audit).toMatchObject({ found: 60, outOfOrder: 0 });
      return rowsOf(
        database.connection,
        `select split_part(producer, '-', 2) as client, payload as message from sluice_bench_rates order by 1, sequence`,
      );
    };
    const first = await packets(5);
    expect(first).toHaveLength(60);
    expect(await packets(5)).toEqual(first);
    expect(await packets(6)).not.toEqual(first);
    await host.close();
    expect((await database.tables()).filter((name) => name.startsWith('sluice_bench_'))).toEqual([]);
  });

  test('of a whole run with its conclusions', async () => {
    const { host, parameters } = hostOf({ modes: 'fire-and-forget,copy', from: 50, to: 100 });
    await host.warmUp();
    const run = BenchRun.start(ratesSuite, { parameters, reps: 1, seed: 1, startedAtMs: 0 });
    for (let entry = run.next; entry !== undefined; entry = run.next) {
      run.record(await host.run(entry.variant, entry.rep, () => {}, { seed: 1, server: undefined }));
    }
    await host.close();
    const result = run.result({ tool: {}, machine: {}, database: {} }, 1, false);
    expect(result.state).toBe('complete');
    expect(result.variants.map(({ name }) => name).toSorted()).toEqual([
      'copy 100/s',
      'copy 50/s',
      'fire-and-forget ×5 100/s',
      'fire-and-forget ×5 50/s',
    ]);
    expect(result.conclusions?.map(({ title }) => title)).toEqual([
      'Highest rate that holds',
      'Before and after, by the success criteria of BedrockRelay',
    ]);
    expect(result.conclusions?.[0]?.figures).toEqual({ copy: 100, 'fire-and-forget ×5': 100 });
  });
});

describe('breaks', () => {
  test('the bad example, where more is pending than the bench allows: it ends, and knows what it has lost', async () => {
    const { host, variants } = hostOf({
      modes: 'fire-and-forget',
      pools: '1',
      pending: 1_000,
      from: 20_000,
      to: 20_000,
    });
    // Nothing is committed before the lock falls, so the pending messages grow as those of an overloaded database.
    const holder = await openConnection(database.target);
    await rowsOf(holder, 'begin');
    const { broken, audit, metrics } = await host.run(
      variants[0] as never,
      1,
      (done) => done >= 1_000 && void rowsOf(holder, 'commit'),
      {
        seed: 1,
        server: {
          begin: () => rowsOf(holder, 'lock table sluice_bench_rates').then(() => {}),
          end: async () => NO_FIGURES,
        },
      },
    );
    holder.close();
    expect(broken).toBe('1,000 messages were pending, where the bench ends the step');
    expect(metrics.pendingMax).toBe(1_000);
    expect(metrics.poolWaitingMax).toBeGreaterThan(100);
    expect(audit?.sent).toBe(1_000);
    expect(passes(audit as never)).toBe(true);
    expect((audit?.found ?? 0) + (audit?.refused ?? 0)).toBe(1_000);
  });

  test('the bad example, where INSERTs fail: the errors are counted, and the first is told', async () => {
    const { host, variants } = hostOf(
      { modes: 'fire-and-forget' },
      {
        openPool: () => ({
          query: async () => {
            throw new Error('no room left');
          },
          usage: { active: 0, idle: 0, waiting: 0 },
          close: async () => {},
        }),
      },
    );
    const { broken, audit, metrics, units, histograms } = await host.run(variants[0] as never, 1, () => {}, {
      seed: 1,
      server: undefined,
    });
    expect(broken).toBe('100 % of the messages failed, 0.1 % may (no room left)');
    expect(audit).toMatchObject({ sent: 60, refused: 60, found: 0, lost: 0 });
    expect(metrics).toMatchObject({ failedPercent: 100, dueP99Ms: null });
    expect(histograms, 'nothing was committed').toEqual({});
    expect(units).toBe(0);
  });

  test('a row that is gone makes the run invalid, whatever the latency', async () => {
    const { host, variants } = hostOf({ modes: 'copy' });
    const thief = {
      begin: async () => {},
      async end() {
        await rowsOf(database.connection, 'delete from sluice_bench_rates where sequence = 7');
        return NO_FIGURES;
      },
    };
    const { broken, audit } = await host.run(variants[0] as never, 1, () => {}, { seed: 1, server: thief });
    expect(audit).toMatchObject({ sent: 60, found: 57, lost: 3 });
    expect(passes(audit as never)).toBe(false);
    expect(broken).toBe('3 messages were lost');
  });

  test('a target that is missed', async () => {
    // A batch waits longer than its messages may take.
    const { host, variants } = hostOf({ modes: 'copy', linger: 300, slo: 1, seconds: 1 });
    const { broken } = await host.run(variants[0] as never, 1, () => {}, { seed: 1, server: undefined });
    expect(broken).toMatch(/^p99 was [\d,]+ ms, 1 ms may be$/);
  });
});

test('without a pool there is no bad example', () => {
  expect(() => hostOf({}, { openPool: undefined })).toThrow('There is no mode fire-and-forget here');
  expect(() => hostOf({ modes: 'copy' }, { openPool: undefined })).not.toThrow();
});

describe("the bad example's pool", () => {
  test('tells how it is used, and ends', async () => {
    await rowsOf(database.connection, createBenchTable('pool', 'jsonb'));
    const pool = openPool(database.target, 2);
    expect(pool.usage).toEqual({ active: 0, idle: 0, waiting: 0 });
    const values = ['p', 1, '{}', '2026-01-01T00:00:00Z'];
    const queries = [1, 2, 3, 4, 5].map(() => pool.query(insertStatement('pool'), values));
    expect(pool.usage).toEqual({ active: 2, idle: 0, waiting: 3 });
    await Promise.all(queries);
    expect(pool.usage).toMatchObject({ active: 0, waiting: 0 });
    await pool.close();
    expect(await rowsOf(database.connection, 'select 1 from sluice_bench_pool')).toHaveLength(5);
    await rowsOf(database.connection, 'drop table sluice_bench_pool');
  });
});

const NO_FIGURES = {
  walBytesPerRow: null,
  walFullPageImages: null,
  tableBytesPerRow: null,
  indexBytesPerRow: null,
  checkpoints: null,
  statements: null,
  io: null,
  waits: null,
  waitSamples: 0,
  missing: [],
};
