import { describe, expect, test } from 'vitest';
import type { VariantResult } from '../../../../lab/result.ts';
import { median } from '../../../../lab/statistics/median.ts';
import { concludeRates } from '../../../../lab/suites/rates/conclude-rates.ts';

const TARGET = { slo: 500, errors: 1_000, pending: 50_000 };

interface Step {
  ladder: string;
  rate: number;
  /** Of each repetition. */
  p99: number[];
  /** Why a repetition broke, by its index. */
  broken?: Record<number, string>;
  failedPercent?: number;
  pendingMax?: number;
  rowsPerWrite?: number;
}

function step({ ladder, rate, p99, broken = {}, ...more }: Step): VariantResult {
  const [mode = '', pool = ''] = ladder.split(' ×');
  const metrics = (dueP99Ms: number) => ({
    dueP50Ms: dueP99Ms / 2,
    dueP99Ms,
    failedPercent: 0,
    pendingMax: 100,
    heapMaxMb: 50,
    rowsPerWrite: 1,
    ...more,
  });
  const reps = p99.map((value, index) => ({
    units: rate,
    elapsedMs: 1_000,
    metrics: metrics(value),
    audit: null,
    perSecond: rate,
    order: index,
    rep: index + 1,
    ...(broken[index] === undefined ? {} : { broken: broken[index] }),
  }));
  const spread = { median: rate, min: rate, max: rate };
  return {
    name: `${ladder} ${rate}/s`,
    role: 'measured',
    description: '',
    ladder,
    labels: { mode: mode === 'fire-and-forget' ? `${mode} (bad example)` : mode, pool, rate: String(rate) },
    reps,
    summary: { perSecond: spread, elapsedMs: spread, metrics: metrics(median(p99)), audit: null },
  };
}

const BEFORE = [
  step({ ladder: 'fire-and-forget ×10', rate: 100, p99: [400, 400] }),
  step({ ladder: 'fire-and-forget ×10', rate: 500, p99: [600, 600], broken: { 0: 'slow', 1: 'slow' } }),
  step({ ladder: 'fire-and-forget ×20', rate: 100, p99: [100, 120] }),
  step({ ladder: 'fire-and-forget ×20', rate: 500, p99: [200, 240] }),
  step({
    ladder: 'fire-and-forget ×20',
    rate: 1_000,
    p99: [900, 700],
    broken: { 0: 'p99 was 900 ms', 1: 'p99 was 700 ms' },
    failedPercent: 3,
    pendingMax: 50_000,
  }),
];
const AFTER = [
  step({ ladder: 'copy', rate: 100, p99: [30, 30], rowsPerWrite: 10 }),
  step({ ladder: 'copy', rate: 500, p99: [50, 50], rowsPerWrite: 50 }),
  step({ ladder: 'copy', rate: 1_000, p99: [70, 80], rowsPerWrite: 100 }),
  step({ ladder: 'copy', rate: 5_000, p99: [100, 120], rowsPerWrite: 500 }),
  // One of two repetitions held it.
  step({ ladder: 'copy', rate: 10_000, p99: [300, 900], broken: { 1: 'p99 was 900 ms' }, rowsPerWrite: 900 }),
  step({ ladder: 'copy', rate: 20_000, p99: [2_000], broken: { 0: 'late' }, pendingMax: 49_990 }),
];

function conclusions(variants: VariantResult[]) {
  const [highest, beforeAndAfter] = concludeRates({ variants }, TARGET);
  return { highest, beforeAndAfter };
}

describe('the highest rate', () => {
  test('is the highest that every repetition held', () => {
    const { highest } = conclusions([...BEFORE, ...AFTER]);
    expect(highest?.table).toEqual({
      header: ['mode', 'pool', 'messages/s', 'p50 ms', 'p99 ms', 'breaks at', 'why'],
      rows: [
        ['fire-and-forget (bad example)', '10', '100', '200', '400', '500', 'slow'],
        ['fire-and-forget (bad example)', '20', '500', '110', '220', '1,000', 'p99 was 900 ms'],
        ['copy', '', '5,000', '55', '110', '10,000', 'p99 was 900 ms'],
      ],
    });
    expect(highest?.figures).toEqual({ 'fire-and-forget ×10': 100, 'fire-and-forget ×20': 500, copy: 5_000 });
    expect(highest?.text).toContain('p99 of at most 500 ms from due to committed, at most 0.1 % failed');
  });

  test('is none where the first step broke, and not reached where none did', () => {
    const { highest } = conclusions([
      step({ ladder: 'naive', rate: 100, p99: [900], broken: { 0: 'slow' } }),
      step({ ladder: 'copy', rate: 100, p99: [30] }),
    ]);
    expect(highest?.table?.rows).toEqual([
      ['naive', '', 'none', '', '', '100', 'slow'],
      ['copy', '', '100', '15', '30', 'not reached', ''],
    ]);
  });

  test('of a run that was ended does not count a step that not all repetitions have taken', () => {
    const { highest } = conclusions([
      step({ ladder: 'copy', rate: 100, p99: [30, 30] }),
      step({ ladder: 'copy', rate: 500, p99: [30] }),
    ]);
    expect(highest?.figures).toEqual({ copy: 100 });
  });

  test('is not concluded from nothing', () => expect(concludeRates({ variants: [] }, TARGET)).toEqual([]));
});

describe('before and after', () => {
  test('compares the best of the bad examples with the best of the others', () => {
    const { beforeAndAfter } = conclusions([...BEFORE, ...AFTER]);
    expect(beforeAndAfter?.table?.rows).toEqual([
      ['throughput', 'at least 2 ×', '500/s', '5,000/s', '10 ×', 'pass'],
      [
        'p99 at the highest rate that both hold',
        'at least 50 % less',
        '220 ms at 500/s',
        '50 ms',
        '-77 %',
        'pass',
      ],
      [
        'p99 at the rate that breaks the before',
        'at least 50 % less',
        '800 ms at 1,000/s',
        '75 ms',
        '-91 %',
        'pass',
      ],
      ['errors', 'under 0.1 % in every step', '3 %', '0 %', '', 'pass'],
      [
        'memory',
        'bounded, also beyond the highest rate',
        '50,000 pending, heap 50 MB',
        '49,990 pending, heap 50 MB',
        '',
        'pass',
      ],
      ['rows in one write', 'at least 10 × as many', '1', '500', '500 ×', 'pass'],
    ]);
    expect(beforeAndAfter?.figures).toMatchObject({
      before: 'fire-and-forget ×20',
      after: 'copy',
      met: 6,
      judged: 6,
      throughput: true,
    });
  });

  test('fails what is missed, each criterion by itself', () => {
    const { beforeAndAfter } = conclusions([
      step({ ladder: 'fire-and-forget ×20', rate: 100, p99: [20] }),
      step({ ladder: 'fire-and-forget ×20', rate: 500, p99: [600], broken: { 0: 'slow' } }),
      step({
        ladder: 'naive',
        rate: 100,
        p99: [15],
        pendingMax: 50_000,
        failedPercent: 0.1,
        rowsPerWrite: 9,
      }),
      step({ ladder: 'naive', rate: 500, p99: [301], broken: { 0: 'failed' } }),
    ]);
    expect(beforeAndAfter?.table?.rows.map((row) => [row[0], row.at(-1)])).toEqual([
      ['throughput', 'FAIL'],
      ['p99 at the highest rate that both hold', 'FAIL'],
      ['p99 at the rate that breaks the before', 'FAIL'],
      ['errors', 'FAIL'],
      ['memory', 'FAIL'],
      ['rows in one write', 'FAIL'],
    ]);
    expect(beforeAndAfter?.table?.rows[1]?.[4]).toBe('-25 %');
    expect(beforeAndAfter?.figures).toMatchObject({ met: 0, judged: 6 });
  });

  test('does not judge what was not measured', () => {
    const { beforeAndAfter } = conclusions([
      step({ ladder: 'fire-and-forget ×20', rate: 100, p99: [20] }),
      step({ ladder: 'copy', rate: 100, p99: [90] }),
    ]);
    expect(beforeAndAfter?.table?.rows.map((row) => row.at(-1))).toEqual([
      // Neither broke: how much they take was not found out.
      'not measured',
      'FAIL',
      'not measured',
      'pass',
      'pass',
      'FAIL',
    ]);
    expect(beforeAndAfter?.table?.rows[1]?.[4]).toBe('+350 %');
  });

  test('looks for errors at the worst repetition, not at the middle one', () => {
    const [failing = step({ ladder: 'copy', rate: 100, p99: [30] })] = AFTER.slice(2, 3).map((variant) => ({
      ...variant,
      reps: variant.reps.map((rep, index) => ({
        ...rep,
        metrics: { ...rep.metrics, failedPercent: index === 0 ? 5 : 0 },
      })),
    }));
    const { beforeAndAfter } = conclusions([...BEFORE, ...AFTER.toSpliced(2, 1, failing)]);
    const errors = beforeAndAfter?.table?.rows.find(([title]) => title === 'errors');
    expect(errors?.slice(3)).toEqual(['5 %', '', 'FAIL']);
  });

  test('needs both', () => {
    expect(concludeRates({ variants: AFTER }, TARGET)).toHaveLength(1);
    expect(concludeRates({ variants: BEFORE }, TARGET)).toHaveLength(1);
  });
});
