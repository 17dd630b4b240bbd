/** The suite `stress` on a real Postgres: what is written, read back, audited, and told where it breaks. */

import * as zlib from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import type { BenchResult, RepResult } from '../../../../lab/result.ts';
import { runSuite } from '../../../../lab/run/runner.ts';
import type { PayloadFormat } from '../../../../lab/suites/stress/payload-format.ts';
import { NO_MEMORY_GAUGE, type PhaseJob } from '../../../../lab/suites/stress/phase.ts';
import { phasesInPlace } from '../../../../lab/suites/stress/phases-in-place.ts';
import { StressHost, type StressPorts } from '../../../../lab/suites/stress/stress-host.ts';
import {
  STRESS_PARAMETERS,
  type StressParameters,
  stressSuite,
} from '../../../../lab/suites/stress/stress-suite.ts';
import { zstdOf } from '../../../../lab/suites/stress/zstd.ts';
import { SluiceError } from '../../../../src/core/errors.ts';
import { resolveOptions } from '../../../../src/core/option-table.ts';
import { ConnectionSlot } from '../../../../src/database/connection-slot.ts';
import { rowsOf } from '../../../support/connect.ts';
import { FakeTimers } from '../../../support/fake-timers.ts';
import { openConnection } from '../../../support/open-connection.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const database = ownDatabase();
const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const FORMATS: readonly PayloadFormat[] = ['bson', 'jsonb', 'ndjson_zstd'];
const TABLE = 'sluice_bench_stress_records';

function portsOf(given: Partial<Parameters<typeof phasesInPlace>[0]> = {}): StressPorts {
  const slot = new ConnectionSlot({ open: () => openConnection(database.target), timers: new FakeTimers() });
  closers.push(async () => slot.close());
  return {
    slot,
    ...phasesInPlace({
      open: () => openConnection(database.target),
      zstd: zstdOf(zlib),
      memory: NO_MEMORY_GAUGE,
      now: () => performance.now(),
      ...given,
    }),
  };
}

function parametersOf(given: Partial<StressParameters>): StressParameters {
  return resolveOptions(STRESS_PARAMETERS, { start: 100, end: 300, step: 100, ...given });
}

async function runOf(
  given: Partial<StressParameters>,
  { ports = portsOf(), reps = 1, seed = 1 }: { ports?: StressPorts; reps?: number; seed?: number } = {},
): Promise<BenchResult> {
  const parameters = parametersOf(given);
  const host = new StressHost(ports, parameters);
  closers.push(() => host.close());
  return runSuite({
    suite: stressSuite,
    parameters,
    reps,
    seed,
    host,
    now: Date.now,
    facts: { tool: {}, machine: {}, database: {} },
  });
}

function firstRep({ variants }: BenchResult): RepResult {
  return variants[0]?.reps[0] as RepResult;
}

function fileOf(result: BenchResult, name: string): string {
  const file = stressSuite.files?.(result).find((candidate) => candidate.name === name);
  if (file === undefined) throw new Error(`no file ${name}`);
  return file.text;
}

function csvRows(text: string): Record<string, string>[] {
  const [header = '', ...lines] = text.split('\r\n').filter((line) => line !== '');
  const names = header.split(',');
  return lines.map((line) =>
    Object.fromEntries(line.split(',').map((field, index) => [names[index], field])),
  );
}

describe.each(FORMATS)('a ramp in the format %s', (format) => {
  test.each(['sync', 'async'] as const)(
    'goes all the way in mode %s, and every row is found equal',
    async (mode) => {
      const concurrency = mode === 'sync' ? 1 : 3;
      const result = await runOf({ mode, payload: format, concurrency });
      expect(result.state).toBe('complete');
      expect(result.variants.map(({ name }) => name)).toEqual(['100 epochs', '200 epochs', '300 epochs']);
      for (const { reps } of result.variants) {
        expect(reps[0]?.broken).toBeUndefined();
        expect(reps[0]?.audit).toEqual({
          sent: concurrency,
          refused: 0,
          found: concurrency,
          lost: 0,
          duplicated: 0,
          outOfOrder: 0,
        });
        expect(reps[0]?.metrics).toMatchObject({ successWrites: concurrency, successReads: concurrency });
      }
      expect(result.conclusions?.[0]?.figures).toMatchObject({
        breakingPointEpochs: null,
        stabilityPointEpochs: 300,
        breakingStatus: null,
      });
    },
  );

  test('stores the same bytes for the same seed, and others for another', async () => {
    const stored = async (seed: number): Promise<unknown> => {
      await runOf({ payload: format, keep: true, drop: true }, { seed });
      return rowsOf(
        database.connection,
        `select encode(sha256(${format === 'jsonb' ? "convert_to(payload::text, 'UTF8')" : 'payload'}), 'hex') as hash from ${TABLE} order by id`,
      );
    };
    const first = await stored(1);
    expect(first).toHaveLength(3);
    expect(await stored(1)).toEqual(first);
    expect(await stored(2)).not.toEqual(first);
    await rowsOf(database.connection, `drop table ${TABLE}`);
  });

  test('tells sizes as Postgres does', async () => {
    const result = await runOf({ payload: format, keep: true, drop: true, start: 300 });
    const [sizes] = await rowsOf<Record<string, number>>(
      database.connection,
      `select pg_column_size(payload) as payload, pg_column_size(t) as row, pg_total_relation_size('${TABLE}')::int as table from ${TABLE} t`,
    );
    expect(firstRep(result).metrics).toMatchObject({
      dbPayloadBytes: sizes?.payload,
      dbRowBytes: sizes?.row,
      dbTableBytes: sizes?.table,
    });
    await rowsOf(database.connection, `drop table ${TABLE}`);
  });
});

describe('times', () => {
  test('of encoding and decoding are apart from those of the database, and part of writing and reading', async () => {
    const result = await runOf({ payload: 'jsonb', start: 20_000, end: 20_000 });
    const figures = firstRep(result).metrics as Record<string, number>;
    const of = (name: string): number => figures[name] as number;
    for (const name of [
      'generateSeconds',
      'encodeSeconds',
      'decodeSeconds',
      'dbWriteSeconds',
      'dbReadSeconds',
    ]) {
      expect(of(name)).toBeGreaterThan(0);
    }
    expect(of('generateSeconds') + of('encodeSeconds') + of('dbWriteSeconds')).toBeCloseTo(
      of('writeSeconds'),
      6,
    );
    expect(of('decodeSeconds') + of('dbReadSeconds')).toBeCloseTo(of('readSeconds'), 6);
    const [row] = csvRows(fileOf(result, 'iteration_results.csv'));
    expect(Number(row?.write_time_s)).toBeCloseTo(of('writeSeconds'), 5);
  });
});

describe('rows and tables', () => {
  test('rows go before each iteration, and the table after the run', async () => {
    const seen: number[] = [];
    const ports = portsOf();
    const watching: StressPorts = {
      ...ports,
      async run(orders) {
        const rows = await rowsOf(database.connection, `select 1 from ${orders[0]?.table}`);
        if (orders[0]?.phase === 'write') seen.push(rows.length);
        return ports.run(orders);
      },
    };
    await runOf({}, { ports: watching, reps: 2 });
    // The warm-up, and two ramps of three.
    expect(seen).toEqual([0, 0, 0, 0, 0, 0, 0]);
    for (const close of closers.splice(0).reverse()) await close();
    expect(await database.tables()).toEqual([]);
  });

  test('with --keep rows and table stay; --truncate and --drop empty them for the next run', async () => {
    const count = async (): Promise<number> =>
      (await rowsOf(database.connection, `select 1 from ${TABLE}`)).length;
    await runOf({ keep: true });
    expect(await count()).toBe(3);
    await runOf({ keep: true });
    expect(await count()).toBe(6);
    await runOf({ keep: true, truncate: true });
    expect(await count()).toBe(3);
    await runOf({ keep: true, drop: true });
    expect(await count()).toBe(3);
    const [{ first } = {}] = await rowsOf<{ first: string }>(
      database.connection,
      `select min(id) as first from ${TABLE}`,
    );
    expect(first).toBe('1');
    for (const close of closers.splice(0).reverse()) await close();
    expect(await database.tables()).toEqual([TABLE]);

    await expect(runOf({ payload: 'jsonb' })).rejects.toThrow(
      'The table sluice_bench_stress_records is there with a payload of type bytea, and jsonb needs jsonb: use --drop, or another --table',
    );
    expect((await runOf({ payload: 'jsonb', drop: true })).state).toBe('complete');
    for (const close of closers.splice(0).reverse()) await close();
    expect(await database.tables()).toEqual([]);
  });

  test('the table has the name that was asked for, behind the prefix of the bench', async () => {
    await runOf({ table: 'Other', keep: true });
    expect(await database.tables()).toEqual(['sluice_bench_Other']);
    await rowsOf(database.connection, 'drop table "sluice_bench_Other"');
  });
});

describe('what breaks', () => {
  /** Ports under which the writes of 200 epochs wait for a lock until their time limit. */
  const locked = (): StressPorts => {
    const ports = portsOf();
    return {
      ...ports,
      async run(orders) {
        const [order] = orders as [PhaseJob];
        if (order.phase !== 'write' || order.epochs !== 200) return ports.run(orders);
        await rowsOf(database.connection, 'begin');
        await rowsOf(database.connection, `lock table ${order.table}`);
        try {
          return await ports.run(orders);
        } finally {
          await rowsOf(database.connection, 'rollback');
        }
      },
    };
  };

  test.each(FORMATS)(
    'a statement timeout is a FAIL_WRITE that ends the ramp (%s), and the report is written',
    async (format) => {
      const result = await runOf({ payload: format, timeout: 500 }, { ports: locked() });
      expect(result.variants.map(({ name }) => name)).toEqual(['100 epochs', '200 epochs']);
      expect(result.variants[1]?.reps[0]).toMatchObject({
        broken: 'FAIL_WRITE: 57014: canceling statement due to statement timeout',
        units: 0,
        audit: { sent: 1, refused: 1, found: 0, lost: 0, duplicated: 0 },
      });
      // A record that was refused is not lost.
      expect(result.state).toBe('complete');
      expect(result.conclusions?.[0]).toMatchObject({
        figures: { breakingPointEpochs: 200, stabilityPointEpochs: 100, breakingStatus: 'FAIL_WRITE' },
      });
      const rows = csvRows(fileOf(result, 'iteration_results.csv'));
      expect(rows.map(({ status }) => status)).toEqual(['OK', 'FAIL_WRITE']);
      expect(rows[1]).toMatchObject({
        client_payload_bytes: '0',
        error: expect.stringContaining('statement timeout'),
      });
      const report = fileOf(result, 'stress_test_report.md');
      expect(report).toContain('- Breaking Point: `200`\n- Stability Point: `100`\n');
      expect(report).toContain('| FAIL_WRITE |');
    },
  );

  test('a statement timeout is a FAIL in mode async', async () => {
    const given = { mode: 'async', concurrency: 2, payload: 'jsonb', timeout: 500 } as const;
    const result = await runOf(given, { ports: locked() });
    const [good, bad] = csvRows(fileOf(result, 'async_fanout_results.csv'));
    expect(good).toMatchObject({ status: 'OK', success_writes: '2', success_reads: '2' });
    expect(bad).toMatchObject({
      status: 'FAIL',
      success_writes: '0',
      failed_writes: '2',
      success_reads: '0',
    });
    expect(bad?.error).toMatch(/^producer=\d: 57014: canceling statement due to statement timeout$/);
  });

  test('a read that fails is a FAIL_READ, and the row is no loss', async () => {
    const ports = failingAt('read');
    const result = await runOf({}, { ports });
    expect(result.variants).toHaveLength(1);
    expect(firstRep(result)).toMatchObject({
      broken: 'FAIL_READ: the read broke',
      audit: { sent: 1, refused: 0, found: 1, lost: 0 },
      metrics: { successWrites: 1, successReads: 0, failedReads: 1 },
    });
    expect(result.state).toBe('complete');
  });

  test.each([
    ['sync', 'FAIL_WRITE: out of memory'],
    ['async', 'FAIL: out of memory'],
  ] as const)('a process that ends in the middle is a failure in mode %s', async (mode, broken) => {
    const ports = portsOf();
    const ending: StressPorts = {
      ...ports,
      run: async (orders) =>
        orders[0]?.epochs === 200 ? orders.map(() => ({ ended: 'out of memory' })) : ports.run(orders),
    };
    const result = await runOf({ mode, concurrency: 2 }, { ports: ending });
    expect(result.variants.map(({ reps }) => reps[0]?.broken)).toEqual([undefined, broken]);
    expect(result.variants[1]?.reps[0]?.audit).toMatchObject({ found: 0, lost: 0 });
  });

  test('a table that is gone ends the ramp, and the report is written', async () => {
    const ports = portsOf();
    const dropping: StressPorts = {
      ...ports,
      async run(orders) {
        const outcomes = await ports.run(orders);
        const isLast = orders[0]?.phase === 'read' && orders[0].epochs === 100;
        if (isLast) await rowsOf(database.connection, `drop table ${TABLE}`);
        return outcomes;
      },
    };
    const result = await runOf({ mode: 'async', concurrency: 1 }, { ports: dropping }).catch(
      (error) => error,
    );
    expect(result.variants?.map(({ reps }: BenchResult['variants'][0]) => reps[0]?.broken)).toEqual([
      expect.stringMatching(/^FAIL: table_size: 42P01: relation .* does not exist$/),
    ]);
  });

  test('a setup that cannot work is told before the ramp', async () => {
    const run = runOf({}, { ports: portsOf({ zstd: undefined }) });
    await expect(run).rejects.toThrow(
      'Cannot write and read a small record: This runtime has no zstd (node:zlib has it since Node 22.15): use another format',
    );
  });
});

describe('the audit', () => {
  const changed = (change: string): StressPorts => {
    const ports = portsOf();
    return {
      ...ports,
      async run(orders) {
        const [order] = orders as [PhaseJob];
        if (order.phase === 'read' && order.epochs === 200) {
          await rowsOf(database.connection, change.replaceAll('TABLE', order.table));
        }
        return ports.run(orders);
      },
    };
  };
  const async = { mode: 'async', concurrency: 3, payload: 'jsonb' } as const;
  const one = 'id = (select max(id) from TABLE)';

  test.each([
    ['a row that is gone', `delete from TABLE where ${one}`, { found: 2, lost: 1 }],
    [
      'a row that differs',
      `update TABLE set payload = payload || '{"epoch_1":{}}' where ${one}`,
      { found: 2, lost: 1 },
    ],
    [
      'a first row that differs',
      `update TABLE set payload = payload - 'epoch_7' where id = (select min(id) from TABLE)`,
      { found: 2, lost: 1 },
    ],
    [
      'a row that nobody sent',
      `insert into TABLE (payload) select payload from TABLE where ${one}`,
      { duplicated: 1 },
    ],
  ])('sees %s: the step fails, and the run is invalid', async (_, change, audit) => {
    const result = await runOf(async, { ports: changed(change) });
    expect(result.variants.map(({ reps }) => reps[0]?.broken === undefined)).toEqual([true, false]);
    expect(result.variants[1]?.reps[0]?.audit).toMatchObject({ sent: 3, ...audit });
    expect(result.variants[1]?.reps[0]?.broken).toMatch(/^FAIL: /);
    expect(result.state).toBe('invalid');
  });

  test('of mode sync names the epoch', async () => {
    const change = `update TABLE set payload = jsonb_set(payload, '{epoch_42,HitRate}', '2')`;
    const result = await runOf({ payload: 'jsonb' }, { ports: changed(change) });
    expect(result.variants[1]?.reps[0]?.broken).toMatch(
      /^FAIL_READ: audit: row id=\d+ has another epoch_42 than was written$/,
    );
    expect(result.state).toBe('invalid');
  });

  test('finds nothing where nothing was changed', async () => {
    const result = await runOf(async, { ports: changed('select 1') });
    expect([result.state, result.variants.length]).toEqual(['complete', 3]);
  });
});

/** Ports of which one phase fails on its first iteration after the warm-up. */
function failingAt(phase: PhaseJob['phase']): StressPorts {
  const ports = portsOf();
  return {
    ...ports,
    async run(orders) {
      const outcomes = await ports.run(orders);
      return outcomes.map((outcome, index) => {
        const order = orders[index] as PhaseJob;
        if (order.phase !== phase || order.epochs !== 100 || !('answer' in outcome)) return outcome;
        return { answer: { ...outcome.answer, ids: [], failures: [`the ${phase} broke`] } };
      });
    },
  };
}

test('an error of the suite itself is no breaking point', async () => {
  const ports: StressPorts = {
    ...portsOf(),
    run: () => Promise.reject(new SluiceError('internal', 'no process can be started')),
  };
  await expect(runOf({}, { ports })).rejects.toThrow('no process can be started');
});
