/** Results of the bench for tests: one with everything in it, and a check against the published schema. */

import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Audit, BenchResult, RepRecord, VariantResult } from '../../lab/result.ts';
import { RESULT_SCHEMA } from '../../lab/result-schema.ts';
import { median } from '../../lab/statistics/median.ts';
import { spread } from '../../lab/statistics/spread.ts';

export const CLEAN_AUDIT: Audit = {
  sent: 100,
  refused: 0,
  found: 100,
  lost: 0,
  duplicated: 0,
  outOfOrder: 0,
};

const validate = new Ajv2020({ strict: true, allowUnionTypes: true, formats: { 'date-time': true } }).compile(
  RESULT_SCHEMA,
);

/** What the schema has to say against a value; empty where nothing. */
export function schemaErrors(value: unknown): string[] {
  // Through text, as it is read: what JSON leaves out is not there.
  validate(JSON.parse(JSON.stringify(value)));
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** A variant with these rates. */
export function variantOf(
  name: string,
  rates: readonly number[],
  more: Partial<VariantResult> & {
    metrics?: readonly Record<string, number | null>[];
    audit?: Audit | null;
  } = {},
): VariantResult {
  const { metrics = [], audit = CLEAN_AUDIT, ...rest } = more;
  const reps = rates.map(
    (perSecond, index): RepRecord => ({
      units: 100,
      elapsedMs: 100_000 / perSecond,
      perSecond,
      order: index + 1,
      rep: index + 1,
      metrics: metrics[index] ?? {},
      audit,
    }),
  );
  const names = [...new Set(reps.flatMap((rep) => Object.keys(rep.metrics)))];
  return {
    name,
    role: 'measured',
    description: `what ${name} is`,
    reps,
    summary: {
      perSecond: spread(rates),
      elapsedMs: spread(reps.map(({ elapsedMs }) => elapsedMs)),
      metrics: Object.fromEntries(
        names.map((metric) => {
          const values = reps.flatMap((rep) => rep.metrics[metric] ?? []);
          return [metric, values.length === 0 ? null : median(values)];
        }),
      ),
      audit,
    },
    ...rest,
  };
}

/** A result of a suite that is called `ingest`. */
export function resultOf(variants: VariantResult[], more: Partial<BenchResult> = {}): BenchResult {
  return {
    schemaVersion: 1,
    suite: 'ingest',
    title: 'Messages into rows',
    unit: 'messages',
    state: 'complete',
    startedAt: '2026-01-02T03:04:05.000Z',
    durationMs: 12_345,
    tool: { name: 'sluice', version: '9.8.7', commit: 'abc1234' },
    machine: { cpu: '2 × Abacus', memory: '24 GiB' },
    database: { version: 'PostgreSQL 18.4', address: 'u@host:5432/db (tcp)' },
    config: { modes: ['naive', 'copy'], reps: 3 },
    seed: 1,
    warmUpMs: 10,
    variants,
    warnings: [],
    notes: ['A note.'],
    ...more,
  };
}

/** A result with something of everything that a result may hold. */
export function fullResult(): BenchResult {
  const histogram = {
    count: 100,
    minUs: 10,
    meanUs: 60,
    p50Us: 50,
    p90Us: 90,
    p99Us: 2_000,
    p999Us: 30_000,
    maxUs: 40_000,
    hdr: 'HISTFAAAAB',
  };
  const server = {
    walBytesPerRow: 150.5,
    walFullPageImages: 3,
    tableBytesPerRow: 80,
    indexBytesPerRow: null,
    checkpoints: 0,
    statements: [{ text: 'copy "a" from stdin', calls: 2, rows: 100, meanMs: 1.5, totalMs: 3 }],
    io: [{ object: 'relation', context: 'normal', reads: 0, writes: 1, extends: 2, fsyncs: 0 }],
    waits: { WALSync: 3, running: 7 },
    waitSamples: 10,
    missing: ['pg_stat_io: PostgreSQL 15 has none'],
  };
  const copy = variantOf('copy "fast", <b>', [90, 100, 110, 120, 95, 105], {
    labels: { ack: 'stored' },
    floors: { '× floor': 'floor' },
    metrics: [{ ackP99Ms: 3, none: null }, { ackP99Ms: 4 }],
  });
  Object.assign(copy.reps[0] as RepRecord, {
    histograms: { ack: histogram },
    windows: [20, 25, 25, 30],
    server,
  });
  const step = variantOf('copy 200/s', [190], { ladder: 'copy' });
  Object.assign(step.reps[0] as RepRecord, {
    broken: 'p99 was above the target',
    warnings: [{ code: 'client_bound', where: 'copy 200/s', text: 'the generator was busy' }],
  });
  return resultOf(
    [
      variantOf('naive', [10, 11, 12]),
      copy,
      variantOf('copy 100/s', [100], { ladder: 'copy' }),
      step,
      variantOf('floor', [400, 410], { role: 'floor', audit: null }),
    ],
    {
      targets: [
        { title: 'copy', figure: 1.5, unit: '×', bound: { atMost: 2 }, isMet: true },
        { title: 'batches', figure: 5, unit: '/s', bound: { atLeast: 6 }, isMet: false },
      ],
      comparisons: [
        {
          base: 'naive',
          head: 'copy "fast", <b>',
          metric: 'perSecond',
          change: 9.1,
          changeLow: 8,
          changeHigh: null,
          p: 0.02,
          correctedP: 0.04,
          verdict: 'faster',
        },
      ],
      conclusions: [
        {
          title: 'Breaking point',
          text: '200 messages/s',
          figures: { rate: 200, held: false, mode: 'copy', none: null },
          table: { header: ['step', 'rate'], rows: [['1', '100']] },
        },
      ],
      warnings: [{ code: 'not_steady', where: '', text: 'it slowed down' }],
    },
  );
}
