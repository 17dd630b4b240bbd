import { describe, expect, test } from 'vitest';
import type { BenchResult, RepRecord } from '../../../../lab/result.ts';
import { brokenText } from '../../../../lab/suites/stress/iteration.ts';
import { STRESS_PARAMETERS, stressStepOf, stressSuite } from '../../../../lab/suites/stress/stress-suite.ts';
import { resolveOptions } from '../../../../src/core/option-table.ts';
import { iteration } from './fixtures.ts';

const defaults = resolveOptions(STRESS_PARAMETERS, {});

describe('options', () => {
  test('are those of the Postgres stress test, by name and default', () => {
    const originals = Object.values(STRESS_PARAMETERS).flatMap(
      ({ description }) => /\((--[a-z-]+)\)$/.exec(description)?.[1] ?? [],
    );
    expect(originals).toEqual([
      '--mode',
      '--table',
      '--payload-format',
      '--start-epochs',
      '--end-epochs',
      '--step-epochs',
      '--drop-table',
      '--truncate-before-start',
      '--keep-data-between-iterations',
      '--statement-timeout-ms',
      '--async-concurrency',
      '--results-csv',
      '--async-results-csv',
      '--report-md',
    ]);
    expect(defaults).toMatchObject({
      mode: 'sync',
      table: 'stress_records',
      payload: 'ndjson_zstd',
      start: 10_000,
      drop: false,
      truncate: false,
      keep: false,
      timeout: 0,
      concurrency: 10,
    });
    expect(stressSuite.presets.full).toEqual({ start: 10_000, end: 1_000_000, step: 10_000 });
  });

  test.each([
    [{ mode: 'both' }, 'Cannot use "both" for mode: one of sync, async is allowed'],
    [{ table: 'a-b' }, /^Cannot use "a-b" for table: a name of letters, digits and underscores/],
    [{ table: '1st' }, /^Cannot use "1st" for table: a name /],
    [{ payload: 'xml' }, 'Cannot use "xml" for payload: one of bson, jsonb, ndjson_zstd is allowed'],
    [{ start: '0' }, 'Cannot use "0" for start: a whole number from 1 to 10000000 is allowed'],
    [{ end: '1.5' }, 'Cannot use "1.5" for end: a whole number from 1 to 10000000 is allowed'],
    [{ step: '0' }, 'Cannot use "0" for step: a whole number from 1 to 10000000 is allowed'],
    [{ timeout: '-1' }, 'Cannot use "-1" for timeout: a whole number from 0 to 86400000 is allowed'],
    [{ concurrency: '0' }, 'Cannot use "0" for concurrency: a whole number from 1 to 500 is allowed'],
    [{ drop: 'maybe' }, 'Cannot use "maybe" for drop: true or false is allowed'],
    [{ truncate: 'maybe' }, 'Cannot use "maybe" for truncate: true or false is allowed'],
    [{ keep: 'maybe' }, 'Cannot use "maybe" for keep: true or false is allowed'],
    [{ results: '../x' }, /^Cannot use "..\/x" for results: a name /],
    [{ fanout: '' }, /^Cannot use "" for fanout: a name /],
    [{ report: 'a b' }, /^Cannot use "a b" for report: a name /],
    [{ driver: 'odbc' }, 'Cannot use "odbc" for driver: one of auto, tcp, neon is allowed'],
    [{ epochs: '1' }, /^Unknown option epochs: known are mode, table, /],
  ])('%j is refused in one line', (given, message) => {
    expect(() => resolveOptions(STRESS_PARAMETERS, given)).toThrow(message);
  });

  test('a ramp that ends before it starts is refused with the variants', () => {
    const given = resolveOptions(STRESS_PARAMETERS, { start: 200_000 });
    expect(() => stressSuite.variants(given)).toThrow(
      'Cannot use 100000 for end: at least start (200000) is allowed',
    );
  });
});

describe('variants', () => {
  test('are the iterations of the ramp, one ladder', () => {
    const variants = stressSuite.variants(defaults);
    expect(variants.map(({ name }) => name)).toEqual([
      '10000 epochs',
      '40000 epochs',
      '70000 epochs',
      '100000 epochs',
    ]);
    expect(new Set(variants.map(({ ladder }) => ladder))).toEqual(new Set(['ramp']));
    expect(variants.map((variant) => stressStepOf(variant, defaults))).toEqual([
      { iteration: 1, epochs: 10_000 },
      { iteration: 2, epochs: 40_000 },
      { iteration: 3, epochs: 70_000 },
      { iteration: 4, epochs: 100_000 },
    ]);
    expect(() => stressStepOf({ name: '5 epochs' }, defaults)).toThrow(RangeError);
  });

  test('count the epochs of all rows', () => {
    const [first] = stressSuite.variants(defaults);
    if (first === undefined) throw new Error('no variant');
    expect(stressSuite.unitsPerRep(first, defaults)).toBe(10_000);
    expect(stressSuite.unitsPerRep(first, { ...defaults, mode: 'async', concurrency: 7 })).toBe(70_000);
  });
});

describe('the files of a result', () => {
  const repOf = (writeSeconds: number, broken?: string): RepRecord => {
    const { status: _, error: __, ...metrics } = iteration(1, { writeSeconds });
    return {
      units: 1,
      elapsedMs: 1,
      perSecond: 1,
      order: 1,
      rep: 1,
      metrics: { ...metrics },
      audit: null,
      ...(broken === undefined ? {} : { broken }),
    };
  };
  const resultOf = (reps: RepRecord[], config = {}): BenchResult => ({
    schemaVersion: 1,
    suite: 'stress',
    title: '',
    unit: 'epochs',
    state: 'complete',
    startedAt: '2026-01-02T03:04:05.000Z',
    durationMs: 5_000,
    tool: {},
    machine: {},
    database: {},
    config: { ...defaults, ...config },
    variants: [
      {
        name: '10000 epochs',
        role: 'measured',
        description: '',
        reps,
        summary: {
          perSecond: { median: 1, min: 1, max: 1 },
          elapsedMs: { median: 1, min: 1, max: 1 },
          metrics: {},
          audit: null,
        },
      },
    ],
    notes: [],
  });
  const files = (result: BenchResult): Record<string, string> =>
    Object.fromEntries(stressSuite.files?.(result).map(({ name, text }) => [name, text]) ?? []);

  test('have the names of the Postgres stress test, or those that were asked for', () => {
    expect(Object.keys(files(resultOf([repOf(1)])))).toEqual([
      'iteration_results.csv',
      'stress_test_report.md',
    ]);
    expect(Object.keys(files(resultOf([repOf(1)], { mode: 'async' })))).toEqual([
      'async_fanout_results.csv',
      'stress_test_report.md',
    ]);
    expect(Object.keys(files(resultOf([repOf(1)], { results: 'mine', report: 'told' })))).toEqual([
      'mine.csv',
      'told.md',
    ]);
  });

  test('show medians, and of an iteration that failed once its failure', () => {
    expect(files(resultOf([repOf(1), repOf(9), repOf(2)]))['iteration_results.csv']).toContain(
      '1,10000,OK,2.000000,',
    );
    const failed = resultOf([repOf(1), repOf(9, brokenText('FAIL_READ', 'gone: away')), repOf(2)]);
    expect(files(failed)['iteration_results.csv']).toMatch(
      /\r\n1,10000,FAIL_READ,9\.000000,.*,gone: away\r\n$/,
    );
    expect(files(failed)['stress_test_report.md']).toContain('Generated at (UTC): 2026-01-02 03:04:10Z');
  });

  test('of a run without repetitions have their headers', () => {
    expect(files({ ...resultOf([]), variants: [] })['iteration_results.csv']).toMatch(
      /^iteration,epochs,[^\n]*\r\n$/,
    );
  });
});
