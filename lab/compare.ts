/** Two runs of one suite against each other: which variants have become faster or slower, and what speaks against it. */

import { SluiceError } from '../src/core/errors.ts';
import { figureNames, figuresOf, isBiggerBetter } from './figures.ts';
import type { BenchResult, Comparison, VariantResult, Warning } from './result.ts';
import { ALPHA, compareFigures, type FigurePair, repetitionsNeeded } from './statistics/verdict.ts';

export interface ResultComparison {
  /** By variant and figure; base and head have the variant's name both. Empty where a run is invalid. */
  comparisons: Comparison[];
  warnings: Warning[];
  /** Variants that only one of the runs has. A name whose labels differ is in both lists: it is not the same variant. */
  onlyInBase: string[];
  onlyInHead: string[];
}

export interface CompareOptions {
  /** Figures to compare, as `figureOf` names them. Default: `perSecond`, and the latency that `latencyOf` chooses. */
  metrics?: readonly string[];
  /** Chance of calling any of the equals different, over all comparisons together. Default 0.05. */
  alpha?: number;
}

/** The number of repetitions may differ between runs: the test takes it into account. */
const FREE_PARAMETERS = new Set(['reps']);

/** Where the server listens says nothing about how fast it is. */
const FREE_DATABASE_FACTS = new Set(['address']);

/**
 * Compares the measured variants of two runs by their repetitions, variant by variant: those with one name and the same
 * labels. What differs between the runs besides the code is told as warnings (`not_comparable`); with which code they
 * ran, and at which seed, may differ.
 *
 * The figures of an invalid run do not count, so with one of them nothing is compared, and a warning says so.
 *
 * @throws SluiceError `invalid_options` for runs of different suites, or a metric that no variant of both runs has
 */
export function compareResults(
  base: BenchResult,
  head: BenchResult,
  { metrics, alpha = ALPHA }: CompareOptions = {},
): ResultComparison {
  if (base.suite !== head.suite) {
    throw new SluiceError(
      'invalid_options',
      `Cannot compare a run of the suite ${base.suite} with one of the suite ${head.suite}: their figures mean different things`,
    );
  }
  const shared = base.variants.flatMap((variant) => {
    const other = head.variants.find((candidate) => isSameVariant(variant, candidate));
    return other === undefined || variant.role !== 'measured' ? [] : [{ base: variant, head: other }];
  });
  if (metrics !== undefined) assertKnown(metrics, shared);
  const without = (own: BenchResult, other: BenchResult): string[] =>
    own.variants
      .filter((variant) => !other.variants.some((candidate) => isSameVariant(variant, candidate)))
      .map(({ name }) => name);
  const lists = { onlyInBase: without(base, head), onlyInHead: without(head, base) };

  const invalid = invalidWarnings(base, head);
  const differences = [...runDifferences(base, head), ...labelDifferences(base, head)];
  if (invalid.length > 0) return { comparisons: [], warnings: [...invalid, ...differences], ...lists };

  const candidates = shared.flatMap((pair) => figurePairs(pair, metrics));
  const pairs = candidates.filter(hasRatios);
  const comparisons = compareFigures(pairs, { alpha });
  const warnings = [
    ...differences,
    ...shared.flatMap(brokenWarnings),
    ...candidates.filter((pair) => !hasRatios(pair)).map(withoutRatio),
    ...tooFewRuns(pairs, comparisons, alpha),
  ];
  return { comparisons, warnings, ...lists };
}

/**
 * The latency that stands for a variant where both runs have it: the 99th percentile of the first histogram, else the
 * first metric that is one (`ackP99Ms`, `p99Us`), in the order in which the suite gives them; without any, the same of
 * the median. Undefined where there is none.
 */
export function latencyOf(base: VariantResult, head: VariantResult): string | undefined {
  const inHead = new Set(figureNames(head));
  const names = figureNames(base).filter((name) => inHead.has(name));
  for (const pattern of [/\.p99$/, /p99(Us|Ms)$/i, /\.p50$/, /p50(Us|Ms)$/i]) {
    const found = names.find((name) => pattern.test(name));
    if (found !== undefined) return found;
  }
  return undefined;
}

interface SharedVariant {
  base: VariantResult;
  head: VariantResult;
}

/** Whether two variants have one name and the same labels. */
export function isSameVariant(
  one: Pick<VariantResult, 'name' | 'labels'>,
  other: Pick<VariantResult, 'name' | 'labels'>,
): boolean {
  return one.name === other.name && differencesOf(one.labels ?? {}, other.labels ?? {}).length === 0;
}

function assertKnown(metrics: readonly string[], shared: readonly SharedVariant[]): void {
  for (const metric of metrics) {
    const isKnown = shared.some(
      ({ base, head }) => figuresOf(base, metric).length > 0 && figuresOf(head, metric).length > 0,
    );
    if (isKnown || shared.length === 0) continue;
    const known = new Set(shared.flatMap(({ base }) => figureNames(base)));
    throw new SluiceError(
      'invalid_options',
      `Cannot compare ${JSON.stringify(metric)}: no variant has it in both runs. There are ${[...known].join(', ')}`,
    );
  }
}

function figurePairs({ base, head }: SharedVariant, metrics: readonly string[] | undefined): FigurePair[] {
  const chosen = metrics ?? ['perSecond', ...[latencyOf(base, head)].filter((name) => name !== undefined)];
  return [...new Set(chosen)].flatMap((metric) => {
    const pair = {
      base: base.name,
      head: head.name,
      metric,
      baseValues: figuresOf(base, metric),
      headValues: figuresOf(head, metric),
      isBiggerBetter: isBiggerBetter(metric),
    };
    return pair.baseValues.length === 0 || pair.headValues.length === 0 ? [] : [pair];
  });
}

/** A change is a ratio, and nothing is a multiple of 0: a clock that stood still gives such figures. */
function hasRatios({ baseValues, headValues }: FigurePair): boolean {
  return [...baseValues, ...headValues].every((value) => value > 0 && Number.isFinite(value));
}

function withoutRatio({ head, metric }: FigurePair): Warning {
  return notComparable(
    head,
    `${metric} is 0 in a repetition, which has no ratio to others: it was not compared`,
  );
}

function invalidWarnings(base: BenchResult, head: BenchResult): Warning[] {
  return [
    { name: 'base', run: base },
    { name: 'head', run: head },
  ]
    .filter(({ run }) => run.state === 'invalid')
    .map(({ name }) =>
      notComparable(
        '',
        `The ${name} run is invalid: it lost or doubled messages. None of its figures counts, so nothing is faster or slower, and nothing was compared`,
      ),
    );
}

function runDifferences(base: BenchResult, head: BenchResult): Warning[] {
  const kinds = [
    { what: 'machine', found: differencesOf(base.machine, head.machine) },
    { what: 'database', found: differencesOf(base.database, head.database, FREE_DATABASE_FACTS) },
    { what: 'parameters', found: differencesOf(base.config, head.config, FREE_PARAMETERS) },
  ];
  return kinds
    .filter(({ found }) => found.length > 0)
    .map(({ what, found }) =>
      notComparable(
        '',
        `The runs differ in ${what}: ${found.join('; ')}. What changed may come from there; repeat one of them like the other`,
      ),
    );
}

function labelDifferences(base: BenchResult, head: BenchResult): Warning[] {
  return base.variants.flatMap((variant) => {
    const namesakes = head.variants.filter(({ name }) => name === variant.name);
    const [namesake] = namesakes;
    if (namesake === undefined || namesakes.some((other) => isSameVariant(variant, other))) return [];
    const found = differencesOf(variant.labels ?? {}, namesake.labels ?? {});
    return [
      notComparable(
        variant.name,
        `${variant.name} is not the same in both runs and was not compared: ${found.join('; ')}`,
      ),
    ];
  });
}

/** A step that held in one run only: its figures are those of a system that gave way. */
function brokenWarnings({ base, head }: SharedVariant): Warning[] {
  const brokenOf = ({ reps }: VariantResult): string | undefined =>
    reps.find(({ broken }) => broken !== undefined)?.broken;
  const [inBase, inHead] = [brokenOf(base), brokenOf(head)];
  if ((inBase === undefined) === (inHead === undefined)) return [];
  const run = inBase === undefined ? 'head' : 'base';
  return [notComparable(head.name, `${head.name} did not hold in the ${run} run: ${inBase ?? inHead}`)];
}

function tooFewRuns(
  pairs: readonly FigurePair[],
  comparisons: readonly Comparison[],
  alpha: number,
): Warning[] {
  const few = comparisons.filter(({ verdict }) => verdict === 'too few runs');
  if (few.length === 0) return [];
  const fewest = Math.min(
    ...pairs.flatMap(({ baseValues, headValues }) => [baseValues.length, headValues.length]),
  );
  const needed = repetitionsNeeded(comparisons.length, alpha);
  return [
    {
      code: 'too_few_runs',
      where: '',
      text: `${fewest} ${fewest === 1 ? 'repetition' : 'repetitions'} cannot show a difference at ${alpha} in ${few.length} of ${comparisons.length} comparisons, however large it is: run ${needed} of each`,
    },
  ];
}

/** What differs between two records, as `name (one and other)`. */
export function differencesOf(
  one: Readonly<Record<string, unknown>>,
  other: Readonly<Record<string, unknown>>,
  free: ReadonlySet<string> = new Set(),
): string[] {
  const textOf = (value: unknown): string =>
    value === undefined ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);
  return [...new Set([...Object.keys(one), ...Object.keys(other)])]
    .filter((name) => !free.has(name) && textOf(one[name]) !== textOf(other[name]))
    .map((name) => `${name} (${textOf(one[name])} and ${textOf(other[name])})`);
}

function notComparable(where: string, text: string): Warning {
  return { code: 'not_comparable', where, text };
}
