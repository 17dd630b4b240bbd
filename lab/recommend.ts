/** Which way of writing to choose for a stated goal, and what speaks for it. */

import { SluiceError } from '../src/core/errors.ts';
import { figureNames, figuresOf } from './figures.ts';
import { type BenchResult, type Comparison, passes, type VariantResult, type Verdict } from './result.ts';
import { median } from './statistics/median.ts';
import { ALPHA, compareFigures } from './statistics/verdict.ts';
import type { Suite } from './suite.ts';
import { OPERATORS, parseThresholds, type Threshold } from './threshold-text.ts';

/** The fastest of the variants that keep all bounds, in every repetition. */
export interface Goal {
  bounds: readonly Threshold[];
}

export interface Recommendation {
  /** Undefined where no variant keeps the bounds. */
  choice: VariantResult | undefined;
  /** Variants that are not shown to be slower: with this evidence, as good. */
  tied: readonly VariantResult[];
  /** Variants of which nothing can be said: with so few repetitions none could have been shown to be slower. */
  untold: readonly VariantResult[];
  /** Sentences with the figures. */
  evidence: readonly string[];
}

/**
 * Reads a goal: `fastest`, or bounds as thresholds have them, such as `ackP99Ms<20` or `ack.p99<20ms,perSecond>10000`. The
 * fastest is chosen of those that keep all of them.
 *
 * @throws SluiceError `invalid_options`
 */
export function parseGoal(text: string): Goal {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && part !== 'fastest');
  if (parts.length === 0 && text.trim() !== 'fastest') throw wrongGoal(text);
  const bounds = parseThresholds(parts);
  // Of one variant, or against another run: neither is a goal.
  const wrong = bounds.find(({ kind, variant }) => kind === 'relative' || variant !== '*');
  if (wrong !== undefined) throw wrongGoal(wrong.expression);
  return { bounds };
}

function wrongGoal(text: string): SluiceError {
  return new SluiceError(
    'invalid_options',
    `Cannot use ${JSON.stringify(text)} as a goal: "fastest" is allowed, and bounds such as "ackP99Ms<20" or "perSecond>10000", separated by commas`,
  );
}

/**
 * Chooses among the measured variants of a run.
 *
 * @throws SluiceError `invalid_options` for a run that is invalid, or a bound on a metric that no variant has
 */
export function recommend(
  result: BenchResult,
  suite: Pick<Suite, 'keepsOrder' | 'canBeChosen'>,
  goal: Goal,
): Recommendation {
  if (result.state === 'invalid') {
    throw new SluiceError('invalid_options', 'This run lost or doubled messages: none of its figures counts');
  }
  const measured = result.variants.filter(({ role }) => role === 'measured');
  for (const { figure } of goal.bounds) {
    if (measured.some((variant) => figuresOf(variant, figure).length > 0)) continue;
    const known = [...new Set(measured.flatMap((variant) => figureNames(variant)))];
    throw new SluiceError(
      'invalid_options',
      `No variant of this run has a figure ${figure}: there are ${known.join(', ')}`,
    );
  }
  const evidence: string[] = [];
  const allowed = measured.filter((variant) => {
    const why = whyOut(variant, measured, suite, goal);
    if (why !== undefined) evidence.push(`${variant.name} is out: ${why}`);
    return why === undefined;
  });
  const [choice, ...others] = allowed.toSorted(
    (left, right) => right.summary.perSecond.median - left.summary.perSecond.median,
  );
  if (choice === undefined) return { choice, tied: [], untold: [], evidence };
  const comparisons = compareFigures(
    others.map((other) => ({
      base: choice.name,
      head: other.name,
      metric: 'perSecond',
      baseValues: choice.reps.map(({ perSecond }) => perSecond),
      headValues: other.reps.map(({ perSecond }) => perSecond),
      isBiggerBetter: true,
    })),
  );
  const verdicts = new Map(comparisons.map((comparison) => [comparison.head, comparison]));
  const withVerdict = (verdict: Verdict): VariantResult[] =>
    others.filter(({ name }) => verdicts.get(name)?.verdict === verdict);
  return {
    choice,
    // By ranks, one with a lower median may be the faster.
    tied: [...withVerdict('same'), ...withVerdict('faster')],
    untold: withVerdict('too few runs'),
    evidence: [
      `${choice.name}: ${rateText(choice, result.unit)}`,
      ...goal.bounds.map((bound) => keptText(choice, bound)),
      ...others.map((other) => againstText(other, verdicts.get(other.name), result.unit)),
      ...evidence,
    ],
  };
}

/** Why a variant is no choice; undefined where it is one. */
function whyOut(
  variant: VariantResult,
  measured: readonly VariantResult[],
  suite: Pick<Suite, 'keepsOrder' | 'canBeChosen'>,
  { bounds }: Goal,
): string | undefined {
  const { ladder, reps, summary } = variant;
  if (suite.canBeChosen?.(variant) === false) return 'no sink can be given it';
  if (summary.audit !== null && !passes(summary.audit, suite)) return 'it lost or doubled messages';
  const broken = reps.find((rep) => rep.broken !== undefined)?.broken;
  if (broken !== undefined) return `it did not hold: ${broken}`;
  // A ladder ends where it breaks, in each repetition for itself.
  const most = Math.max(
    ...measured.flatMap((other) =>
      other === variant || (ladder !== undefined && other.ladder === ladder) ? other.reps.length : [],
    ),
  );
  if (reps.length < most) return `${reps.length} of ${most} repetitions came to it`;
  if (!(summary.perSecond.min > 0)) return 'a repetition has no rate';
  const bound = bounds.find((one) => !keeps(variant, one));
  return bound === undefined ? undefined : brokenText(variant, bound);
}

// Every repetition, not the median: a bound that is kept half of the time is not kept.
function keeps(variant: VariantResult, { figure, operator, bound }: Threshold): boolean {
  const figures = figuresOf(variant, figure);
  return figures.length > 0 && figures.every((value) => OPERATORS[operator](value, bound));
}

function rateText({ reps, summary: { perSecond } }: VariantResult, unit: string): string {
  const count = `${reps.length} ${reps.length === 1 ? 'repetition' : 'repetitions'}`;
  return `${Math.round(perSecond.median)} ${unit}/s, ${Math.round(perSecond.min)} to ${Math.round(perSecond.max)} in ${count}`;
}

function keptText(variant: VariantResult, bound: Threshold): string {
  const figures = figuresOf(variant, bound.figure);
  return `${bound.expression}: ${digits(median(figures))}, never beyond ${digits(worstOf(figures, bound))}`;
}

function brokenText(variant: VariantResult, bound: Threshold): string {
  const figures = figuresOf(variant, bound.figure);
  if (figures.length === 0) return `it has no figure ${bound.figure}`;
  return `${bound.expression}, and it had ${digits(worstOf(figures, bound))}`;
}

function worstOf(figures: readonly number[], { operator }: Threshold): number {
  return operator.startsWith('<') ? Math.max(...figures) : Math.min(...figures);
}

function againstText(other: VariantResult, comparison: Comparison | undefined, unit: string): string {
  const rate = `${other.name}: ${rateText(other, unit)}`;
  if (comparison === undefined) return rate;
  const { verdict, correctedP } = comparison;
  if (verdict === 'slower')
    return `${rate}; slower, p = ${correctedP < 0.001 ? 'below 0.001' : correctedP.toFixed(3)}`;
  return verdict === 'too few runs'
    ? `${rate}; too few repetitions to tell it from the choice`
    : `${rate}; not told from the choice at p < ${ALPHA}`;
}

function digits(value: number): string {
  return String(Number(value.toPrecision(4)));
}
