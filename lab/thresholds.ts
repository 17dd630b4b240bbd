/** Judges thresholds by a run, and by its comparison with another. How they are written: threshold-text.ts. */

import { SluiceError } from '../src/core/errors.ts';
import { figureNames, figuresOf } from './figures.ts';
import type { BenchResult, Comparison, VariantResult, Verdict } from './result.ts';
import { median } from './statistics/median.ts';
import { OPERATORS, type Threshold } from './threshold-text.ts';

/** What a threshold found in one variant. */
export interface Finding {
  /** Empty where it met none. */
  variant: string;
  /** Absolute: the median. Relative: the change. Null where there is no figure. */
  figure: number | null;
  /** Only of relative ones. */
  verdict?: Verdict;
  isMet: boolean;
  /** A sentence. */
  text: string;
}

export interface JudgedThreshold {
  expression: string;
  /** True where every finding is. */
  isMet: boolean;
  findings: Finding[];
}

/** The figures that relative thresholds need compared, for `compareResults`. */
export function figuresToCompare(thresholds: readonly Threshold[]): string[] {
  return [...new Set(thresholds.flatMap(({ kind, figure }) => (kind === 'relative' ? [figure] : [])))];
}

/**
 * Judges absolute thresholds by a run, and relative ones by its comparison with another.
 *
 * @param given.comparisons of the run as head; undefined where it was compared with nothing
 * @param given.base the run that it was compared with
 * @throws SluiceError `invalid_options` for a relative threshold without comparisons
 */
export function judgeThresholds(
  thresholds: readonly Threshold[],
  given: { result: BenchResult; comparisons?: readonly Comparison[]; base?: BenchResult },
): JudgedThreshold[] {
  return thresholds.map((threshold) => {
    const findings =
      threshold.kind === 'absolute'
        ? judgeAbsolute(threshold, given.result)
        : judgeRelative(threshold, given);
    return { expression: threshold.expression, isMet: findings.every(({ isMet }) => isMet), findings };
  });
}

function judgeAbsolute({ variant, figure, operator, bound }: Threshold, result: BenchResult): Finding[] {
  if (result.state === 'invalid')
    return [unmet('The run is invalid: it lost or doubled messages, so none of its figures counts')];
  const named = result.variants.filter((candidate) => isMeant(variant, candidate));
  if (named.length === 0) {
    const names = result.variants.map(({ name }) => name);
    return [unmet(`No variant is called ${variant}; there are ${names.join(', ')}`)];
  }
  const findings = named.flatMap((candidate): Finding[] => {
    const values = figuresOf(candidate, figure);
    const { name } = candidate;
    if (values.length === 0) {
      const broken = brokenOf(candidate);
      return broken === undefined
        ? []
        : [{ ...unmet(`${name}: has no ${figure}: ${broken}`), variant: name }];
    }
    const middle = median(values);
    const isMet = OPERATORS[operator](middle, bound);
    const text = `${name}: ${figure} is ${figureText(figure, middle)}, ${isMet ? 'as it has to be' : 'but has to be'} ${operator} ${figureText(figure, bound)}`;
    return [{ variant: name, figure: middle, isMet, text }];
  });
  if (findings.length > 0) return findings;
  const known = new Set(named.flatMap((candidate) => figureNames(candidate)));
  return [unmet(`${variant} has no figure ${figure}; there are ${[...known].join(', ')}`)];
}

function judgeRelative(
  threshold: Threshold,
  { result, comparisons, base }: Parameters<typeof judgeThresholds>[1],
): Finding[] {
  const { expression, variant, figure, operator, bound } = threshold;
  if (comparisons === undefined) {
    throw new SluiceError(
      'invalid_options',
      `Cannot judge ${JSON.stringify(expression)}: a change in percent needs another run to compare with`,
    );
  }
  const compared = comparisons
    .filter(({ head, metric }) => metric === figure && matchesName(variant, head))
    .map(({ head, change, verdict }): Finding => {
      const isMet = !(verdict === 'slower' && OPERATORS[operator](change, bound));
      const text = `${head}: ${figure} changed by ${percentText(change)} (${verdict})${isMet ? '' : `, which must not be ${operator} ${percentText(bound)}`}`;
      return { variant: head, figure: change, verdict, isMet, text };
    });
  const findings = [...compared, ...lostFindings(threshold, result, base, comparisons)];
  if (findings.length > 0) return findings;
  const why = result.state === 'invalid' ? ': the run is invalid' : '';
  return [unmet(`${figure} of ${variant} was not compared${why}`)];
}

/** What the base run had and this one has not, for a reason that is worse than any change. */
function lostFindings(
  { variant: pattern, figure }: Threshold,
  result: BenchResult,
  base: BenchResult | undefined,
  comparisons: readonly Comparison[],
): Finding[] {
  return (base?.variants ?? [])
    .filter((before) => before.role === 'measured' && matchesName(pattern, before.name))
    .filter((before) => figuresOf(before, figure).length > 0)
    .flatMap((before): Finding[] => {
      const { name, ladder } = before;
      const lost = (why: string): Finding[] => [{ ...unmet(`${name}: ${why}`), variant: name }];
      const held = brokenOf(before) === undefined;
      const now = result.variants.find((candidate) => candidate.name === name);
      if (now === undefined) {
        const hasBroken =
          ladder !== undefined &&
          result.variants.some((step) => step.ladder === ladder && brokenOf(step) !== undefined);
        return held && hasBroken ? lost('was not reached, and held in the base run') : [];
      }
      const broken = brokenOf(now);
      if (held && broken !== undefined) return lost(`did not hold, as it did in the base run: ${broken}`);
      const isCompared = comparisons.some(({ head, metric }) => head === name && metric === figure);
      return isCompared ? [] : lost(`${figure} was not compared`);
    });
}

function brokenOf({ reps }: VariantResult): string | undefined {
  return reps.find(({ broken }) => broken !== undefined)?.broken;
}

function isMeant(pattern: string, { name, role }: VariantResult): boolean {
  return name === pattern || (role === 'measured' && matchesName(pattern, name));
}

/** Whether a name fits a pattern in which `*` stands for any characters. */
export function matchesName(pattern: string, name: string): boolean {
  const [first = '', ...others] = pattern.split('*');
  if (others.length === 0) return name === pattern;
  const last = others.pop() as string;
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last))
    return false;
  const end = name.length - last.length;
  let from = first.length;
  for (const part of others) {
    const at = name.indexOf(part, from);
    if (at < 0 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
}

function unmet(text: string): Finding {
  return { variant: '', figure: null, isMet: false, text };
}

function figureText(figure: string, value: number): string {
  // Six digits are more than a run can tell apart, and spare the reader the rest of a fraction.
  return `${Number(value.toPrecision(6))}${figure.includes('.') ? ' µs' : ''}`;
}

function percentText(share: number): string {
  return `${share > 0 ? '+' : ''}${Number((share * 100).toPrecision(3))} %`;
}
