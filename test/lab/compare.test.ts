import { describe, expect, test } from 'vitest';
import { compareResults, latencyOf } from '../../lab/compare.ts';
import { figureNames, figureOf, isBiggerBetter, microsecondsOf } from '../../lab/figures.ts';
import type { BenchResult, RepRecord, VariantResult } from '../../lab/result.ts';
import { Histogram } from '../../lab/statistics/histogram.ts';
import { spread } from '../../lab/statistics/spread.ts';

/** Repetitions with these rates; what else they have is made from each rate. */
function variant(
  name: string,
  rates: number[],
  more: Partial<VariantResult> & { rep?: (rate: number) => Partial<RepRecord> } = {},
): VariantResult {
  const { rep = () => ({}), ...rest } = more;
  const reps = rates.map((perSecond, index): RepRecord => {
    const base = { units: 1_000, elapsedMs: 1e6 / (perSecond || 1), metrics: {}, audit: null };
    return { ...base, perSecond, order: index + 1, rep: index + 1, ...rep(perSecond) };
  });
  const summary = { perSecond: spread(rates), elapsedMs: spread(rates), metrics: {}, audit: null };
  return { name, role: 'measured', description: name, reps, summary, ...rest };
}

function run(variants: VariantResult[], more: Partial<BenchResult> = {}): BenchResult {
  return {
    schemaVersion: 1,
    suite: 'ingest',
    title: 'Messages',
    unit: 'messages',
    state: 'complete',
    startedAt: '2026-01-01T00:00:00.000Z',
    durationMs: 1,
    tool: { name: 'sluice', version: '1' },
    machine: { cpu: '2 × x', memory: '8 GiB' },
    database: { version: 'PostgreSQL 18.4', address: 'a:1/b', fsync: 'on' },
    config: { clients: 10, modes: ['copy'], reps: 6 },
    variants,
    notes: [],
    ...more,
  };
}

const LOW = [100, 101, 102, 103, 104, 105];
const HIGH = [120, 121, 122, 123, 124, 125];

/** A p99 that is the shorter the higher the rate. */
const ackOf = (rate: number): Partial<RepRecord> => ({
  metrics: { ackP50Ms: 1, ackP99Ms: 1_000 / rate, lost: 0 },
});

function histogramOf(us: number) {
  const histogram = new Histogram();
  histogram.record(us, 100);
  return histogram.toRecord();
}

describe('two runs', () => {
  test('are compared variant by variant, by rate and by latency', () => {
    const base = run([variant('copy', LOW, { rep: ackOf }), variant('bulk', HIGH)]);
    const head = run([variant('copy', HIGH, { rep: ackOf }), variant('bulk', HIGH)]);
    const { comparisons, warnings, onlyInBase, onlyInHead } = compareResults(base, head);
    expect(comparisons).toMatchObject([
      { base: 'copy', head: 'copy', metric: 'perSecond', verdict: 'faster' },
      { metric: 'ackP99Ms', verdict: 'faster' },
      { base: 'bulk', metric: 'perSecond', verdict: 'same' },
    ]);
    expect(comparisons[0]?.change).toBeCloseTo(0.195, 2);
    expect(comparisons[1]?.change).toBeCloseTo(-0.163, 2);
    // All three bear the correction.
    expect(comparisons[0]?.correctedP).toBeCloseTo((3 * 2) / 924, 10);
    expect([warnings, onlyInBase, onlyInHead]).toEqual([[], [], []]);
    expect(compareResults(head, base).comparisons[0]?.verdict).toBe('slower');
  });

  test('are compared by the metrics that are asked for, once each', () => {
    const both = [
      run([variant('copy', LOW, { rep: ackOf })]),
      run([variant('copy', HIGH, { rep: ackOf })]),
    ] as const;
    const { comparisons } = compareResults(...both, { metrics: ['ackP99Ms', 'elapsedMs', 'ackP99Ms'] });
    expect(comparisons.map(({ metric, verdict }) => [metric, verdict])).toEqual([
      ['ackP99Ms', 'faster'],
      ['elapsedMs', 'faster'],
    ]);
    expect(() => compareResults(...both, { metrics: ['perSecnod'] })).toThrow(
      expect.objectContaining({
        code: 'invalid_options',
        message: expect.stringMatching(/"perSecnod".*perSecond.*ackP99Ms/),
      }),
    );
  });

  test('leave floors and variants of one run out, and name those', () => {
    const floor = variant('floor: copy', LOW, { role: 'floor' });
    const found = compareResults(
      run([variant('copy', LOW), variant('gone', LOW), floor]),
      run([floor, variant('new', LOW), variant('copy', LOW)]),
    );
    expect(found.comparisons.map(({ head }) => head)).toEqual(['copy']);
    expect([found.onlyInBase, found.onlyInHead]).toEqual([['gone'], ['new']]);
  });

  test('do not match variants of one name that are not the same', () => {
    const labelled = (ack: string) =>
      run([variant('copy', LOW, { labels: { ack, delivery: 'exactly once' } })]);
    const found = compareResults(labelled('stored'), labelled('raw'));
    expect(found).toMatchObject({ comparisons: [], onlyInBase: ['copy'], onlyInHead: ['copy'] });
    expect(found.warnings).toEqual([
      {
        code: 'not_comparable',
        where: 'copy',
        text: 'copy is not the same in both runs and was not compared: ack (stored and raw)',
      },
    ]);
    expect(compareResults(labelled('raw'), labelled('raw')).comparisons).toHaveLength(1);
  });

  test('of different suites are refused', () => {
    expect(() => compareResults(run([]), run([], { suite: 'store' }))).toThrow(
      expect.objectContaining({ code: 'invalid_options', message: expect.stringContaining('ingest') }),
    );
  });

  test.each([
    [{ machine: { cpu: '4 × y', memory: '8 GiB' } }, 'machine: cpu (2 × x and 4 × y)'],
    [
      { database: { version: 'PostgreSQL 17', address: 'a:1/b', synchronous_commit: 'off' } },
      'database: version (PostgreSQL 18.4 and PostgreSQL 17); fsync (on and none); synchronous_commit (none and off)',
    ],
    [
      { config: { clients: 20, modes: ['copy', 'bulk'], reps: 6 } },
      'parameters: clients (10 and 20); modes (["copy"] and ["copy","bulk"])',
    ],
  ])('that differ in %j are compared with a warning', (more, text) => {
    const found = compareResults(run([variant('copy', LOW)]), run([variant('copy', HIGH)], more));
    expect(found.comparisons).toHaveLength(1);
    expect(found.warnings).toMatchObject([{ code: 'not_comparable', where: '' }]);
    expect(found.warnings[0]?.text).toContain(`The runs differ in ${text}. `);
  });

  test('may differ in code, seed, address and number of repetitions', () => {
    const { warnings } = compareResults(
      run([variant('copy', LOW)]),
      run([variant('copy', [...LOW, 106])], {
        tool: { name: 'sluice', version: '2', commit: 'x' },
        seed: 7,
        database: { version: 'PostgreSQL 18.4', address: 'c:2/d', fsync: 'on' },
        config: { clients: 10, modes: ['copy'], reps: 7 },
      }),
    );
    expect(warnings).toEqual([]);
  });

  test.each(['base', 'head'] as const)(
    'of which the %s is invalid have nothing faster or slower',
    (which) => {
      const runs = {
        base: run([variant('copy', LOW)]),
        head: run([variant('copy', HIGH), variant('new', LOW)]),
      };
      runs[which].state = 'invalid';
      const found = compareResults(runs.base, runs.head);
      expect(found).toMatchObject({ comparisons: [], onlyInHead: ['new'] });
      expect(found.warnings).toMatchObject([{ code: 'not_comparable', where: '' }]);
      expect(found.warnings[0]?.text).toContain(`The ${which} run is invalid`);
      expect(
        compareResults({ ...runs.base, state: 'aborted' }, { ...runs.head, state: 'complete' }).comparisons,
      ).toHaveLength(1);
    },
  );

  test('with too few repetitions say so, and how many would do', () => {
    const { comparisons, warnings } = compareResults(
      run([variant('copy', [1, 2, 3]), variant('bulk', [1, 2, 3])]),
      run([variant('copy', [10, 20, 30]), variant('bulk', [10, 20, 30])]),
    );
    expect(comparisons.map(({ verdict }) => verdict)).toEqual(['too few runs', 'too few runs']);
    expect(warnings).toEqual([
      {
        code: 'too_few_runs',
        where: '',
        text: '3 repetitions cannot show a difference at 0.05 in 2 of 2 comparisons, however large it is: run 5 of each',
      },
    ]);
  });

  test('with a figure of 0 leave it out and say so', () => {
    const { comparisons, warnings } = compareResults(
      run([variant('copy', LOW), variant('bulk', LOW)]),
      run([variant('copy', [0, ...HIGH]), variant('bulk', LOW)]),
    );
    expect(comparisons.map(({ head }) => head)).toEqual(['bulk']);
    expect(warnings).toMatchObject([{ code: 'not_comparable', where: 'copy' }]);
  });

  test('tell a step that held in one of them only', () => {
    const broken = variant('rate 800', LOW, { rep: () => ({ broken: 'Pending grew.' }) });
    const held = variant('rate 800', LOW);
    expect(compareResults(run([held]), run([broken])).warnings).toEqual([
      {
        code: 'not_comparable',
        where: 'rate 800',
        text: 'rate 800 did not hold in the head run: Pending grew.',
      },
    ]);
    expect(compareResults(run([broken]), run([held])).warnings[0]?.text).toContain('the base run');
    expect(compareResults(run([broken]), run([broken])).warnings).toEqual([]);
  });
});

describe('the latency that stands for a variant', () => {
  const withFigures = (rep: Partial<RepRecord>) => variant('v', [1], { rep: () => rep });

  test.each([
    [{ histograms: { write: histogramOf(5), ack: histogramOf(9) }, metrics: { ackP99Ms: 1 } }, 'write.p99'],
    [{ metrics: { flushes: 3, ackP50Ms: 1, ackP99Ms: 2, flushP99Ms: 3 } }, 'ackP99Ms'],
    [{ metrics: { ackP99Ms: null, flushP99Ms: 3 } }, 'flushP99Ms'],
    [{ metrics: { usPerOperation: 4, p50Us: 1, p99Us: 2 } }, 'p99Us'],
    [{ metrics: { p50Us: 1 } }, 'p50Us'],
    [{ metrics: { flushes: 3 } }, undefined],
  ] as [Partial<RepRecord>, string | undefined][])('of %j is %s', (rep, expected) => {
    expect(latencyOf(withFigures(rep), withFigures(rep))).toBe(expected);
  });

  test('is one that both have', () => {
    const base = withFigures({ metrics: { ackP99Ms: 1, flushP99Ms: 2 } });
    const head = withFigures({ metrics: { ackP99Ms: null, flushP99Ms: 2 } });
    expect(latencyOf(base, head)).toBe('flushP99Ms');
    expect(latencyOf(base, withFigures({ metrics: {} }))).toBeUndefined();
  });
});

describe('a figure', () => {
  const histograms = { ack: histogramOf(1_500) };
  const rep = variant('v', [50], { rep: () => ({ metrics: { ackP99Ms: 3, none: null }, histograms }) })
    .reps[0] as RepRecord;

  test.each([
    ['perSecond', 50],
    ['elapsedMs', 20_000],
    ['ackP99Ms', 3],
    ['ack.p99', 1_500],
    ['ack.p99.9', 1_500],
    ['ack.mean', 1_500],
    ['none', undefined],
    ['ack', undefined],
    ['ack.p98', undefined],
    ['ack.hdr', undefined],
    ['toString', undefined],
    ['constructor.p99', undefined],
    ['', undefined],
  ])('%s is %s', (name, expected) => {
    expect(figureOf(rep, name)).toBe(expected);
  });

  test('has a name, a direction and a unit', () => {
    const names = figureNames({ reps: [rep] });
    expect(names.slice(0, 4)).toEqual(['perSecond', 'elapsedMs', 'ack.min', 'ack.mean']);
    expect(names.at(-1)).toBe('ackP99Ms');
    expect(['perSecond', 'rowsPerSecond', 'ackP99Ms', 'ack.p99', 'flushes'].map(isBiggerBetter)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(
      ['ack.p99', 'p99Us', 'ackP99Ms', 'preparedSeconds', 'seconds', 'perSecond', 'flushes'].map(
        microsecondsOf,
      ),
    ).toEqual([1, 1, 1_000, 1_000_000, 1_000_000, undefined, undefined]);
  });
});
