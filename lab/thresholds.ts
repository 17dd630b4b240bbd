/**
 * Bounds for the figures of a run, as text: what a run has to reach, and by how much it may be slower than another.
 *
 *     expression = [ variant separator ] figure operator number [ unit ]
 *     variant    = a variant's name, in which * stands for any characters; in double quotes where it holds one of < > "
 *     separator  = "." | "/"
 *     figure     = "perSecond" | "elapsedMs" | metric | histogram "." statistic
 *     statistic  = "min" | "mean" | "p50" | "p90" | "p99" | "p99.9" | "max"
 *     operator   = "<" | "<=" | ">" | ">="
 *     unit       = "us" | "ms" | "s" | "%"
 *
 * Blanks around the operator do not count. Without a variant every measured one is meant, as with `*`; floors are meant by
 * their full names only. The figure is what stands at the end, so a name may hold dots, slashes and blanks.
 *
 * An expression without `%` is **absolute** and says what has to hold: `copy.perSecond>100000`, `*.ackP99Ms<200`,
 * `copy/ack.p99<20ms`. The median over the repetitions is judged. A time may be given in any unit of time, and has to be
 * for a histogram; without one the number is in the figure's own unit (`ackP99Ms`: milliseconds).
 *
 * An expression with `%` is **relative** and says what must not happen: `perSecond<-5%` fails where head is more than
 * 5 % slower than base, and `ack.p99>10%` where the latency has risen by more than 10 %. It fails only with the verdict
 * `slower`: a change that may be chance fails nothing. Only changes for the worse can be forbidden.
 *
 * A threshold that meets no figure is not met: a name that is misspelt must not pass for ever. Nor is a relative one met by
 * a variant that both runs have and that could not be compared, or by a step of a ladder that held in the base run only.
 */

import { SluiceError } from '../src/core/errors.ts';
import { figureNames, figuresOf, HISTOGRAM_STATISTICS, isBiggerBetter, microsecondsOf } from './figures.ts';
import type { BenchResult, Comparison, VariantResult, Verdict } from './result.ts';
import { median } from './statistics/median.ts';

const OPERATORS = {
  '<': (figure: number, bound: number) => figure < bound,
  '<=': (figure: number, bound: number) => figure <= bound,
  '>': (figure: number, bound: number) => figure > bound,
  '>=': (figure: number, bound: number) => figure >= bound,
} as const;
type Operator = keyof typeof OPERATORS;

export interface Threshold {
  /** As it was given, without blanks around it. */
  expression: string;
  kind: 'absolute' | 'relative';
  /** A name in which `*` stands for any characters. */
  variant: string;
  figure: string;
  operator: Operator;
  /** Absolute: in the figure's unit, a histogram's in microseconds. Relative: a share, -0.05 for -5 %. */
  bound: number;
}

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

/** Bounds of what is read. */
export const MAX_THRESHOLDS = 100;
export const MAX_EXPRESSION_CHARACTERS = 300;

const NUMBER = /^([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(%|us|µs|μs|ms|s)?$/i;
const NAME = '[A-Za-z_][A-Za-z0-9_-]*';
const STATISTIC_NAMES = Object.keys(HISTOGRAM_STATISTICS);
const STATISTIC = STATISTIC_NAMES.map((name) => name.replace('.', '\\.')).join('|');
const OF_HISTOGRAM = new RegExp(`(?:^|[./])(${NAME})\\.(${STATISTIC})$`);
const OF_METRIC = new RegExp(`(?:^|[./])(${NAME})$`);

const MICROSECONDS: Readonly<Record<string, number>> = {
  us: 1,
  µs: 1,
  μs: 1,
  ms: 1_000,
  s: 1_000_000,
};

/**
 * Reads expressions, each as `parseThreshold` does.
 *
 * @throws SluiceError `invalid_options` with a line for each wrong one, or for more than `MAX_THRESHOLDS`
 */
export function parseThresholds(expressions: readonly string[]): Threshold[] {
  if (expressions.length > MAX_THRESHOLDS) {
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${expressions.length} thresholds: at most ${MAX_THRESHOLDS} are allowed`,
    );
  }
  const faults: string[] = [];
  const thresholds = expressions.flatMap((expression) => {
    try {
      return [parseThreshold(expression)];
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      faults.push(error.message);
      return [];
    }
  });
  if (faults.length > 0) throw new SluiceError('invalid_options', faults.join('\n'));
  return thresholds;
}

/**
 * Reads an expression; the grammar is at the head of this file.
 *
 * @throws SluiceError `invalid_options` with one sentence that says what is wrong and what is allowed
 */
export function parseThreshold(text: string): Threshold {
  const expression = text.trim();
  const refuse = (why: string): SluiceError =>
    new SluiceError(
      'invalid_options',
      `Cannot use ${JSON.stringify(expression.slice(0, MAX_EXPRESSION_CHARACTERS))} as a threshold: ${why}`,
    );
  if (expression.length > MAX_EXPRESSION_CHARACTERS)
    throw refuse(`at most ${MAX_EXPRESSION_CHARACTERS} characters are allowed`);
  const at = operatorAt(expression);
  if (at < 0)
    throw refuse('it compares nothing; one of <, <=, > and >= is needed, as in "copy.perSecond>100000"');
  const operator = (expression[at + 1] === '=' ? expression.slice(at, at + 2) : expression[at]) as Operator;
  const { variant, figure } = parseSubject(expression.slice(0, at).trim(), refuse);
  const [, digits, unit = ''] = NUMBER.exec(expression.slice(at + operator.length).trim()) ?? [];
  const number = Number(digits);
  if (digits === undefined || !Number.isFinite(number))
    throw refuse(`${operator} needs a number after it, alone or with one of the units us, ms, s and %`);
  const parts = { expression, variant, figure, operator };
  return unit === '%'
    ? { ...parts, kind: 'relative', bound: relativeBound(parts, number, refuse) }
    : { ...parts, kind: 'absolute', bound: absoluteBound(figure, number, unit.toLowerCase(), refuse) };
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

type Refuse = (why: string) => SluiceError;

/** Where the operator begins: the first that is not in quotes; -1 where there is none. */
function operatorAt(expression: string): number {
  let isQuoted = false;
  for (let index = 0; index < expression.length; index += 1) {
    const character = expression[index];
    if (character === '"') isQuoted = !isQuoted;
    else if (!isQuoted && (character === '<' || character === '>')) return index;
  }
  return -1;
}

function parseSubject(subject: string, refuse: Refuse): { variant: string; figure: string } {
  const quoted = /^"([^"]*)"\s*([./].*)$/.exec(subject);
  const rest = quoted?.[2] ?? subject;
  if (rest.includes('"')) throw refuse('a variant in quotes is followed by "." or "/" and a figure');
  const found = OF_HISTOGRAM.exec(rest) ?? OF_METRIC.exec(rest);
  const [matched = '', name = '', statistic] = found ?? [];
  if (found === null || (quoted !== null && matched !== rest)) {
    throw refuse(
      'a figure is needed before the operator: perSecond, a metric, or a histogram with one of ' +
        `${STATISTIC_NAMES.join(', ')}, as in "copy.perSecond", "*.ackP99Ms" and "copy/ack.p99"`,
    );
  }
  if (statistic === undefined && STATISTIC_NAMES.includes(name))
    throw refuse(`${name} of what? Name the histogram too, as in "ack.${name}"`);
  const variant = (quoted?.[1] ?? rest.slice(0, rest.length - matched.length)).trim();
  const isNamed = quoted !== null || matched.length < rest.length || /^[./]/.test(matched);
  if (isNamed && variant === '') throw refuse('the name of the variant is empty; * means all of them');
  return {
    variant: variant === '' ? '*' : variant,
    figure: statistic === undefined ? name : `${name}.${statistic}`,
  };
}

function absoluteBound(figure: string, number: number, unit: string, refuse: Refuse): number {
  if (number < 0 || Object.is(number, -0))
    throw refuse('no figure is below 0; for a change against another run add %, as in "perSecond<-5%"');
  const own = microsecondsOf(figure);
  if (unit === '') {
    if (figure.includes('.')) throw refuse(`a latency needs its unit: us, ms or s, as in "${figure}<20ms"`);
    return number;
  }
  if (own === undefined) throw refuse(`${figure} is no time, so it has no unit ${unit}`);
  return (number * (MICROSECONDS[unit] as number)) / own;
}

function relativeBound(
  { figure, operator }: { figure: string; operator: Operator },
  percent: number,
  refuse: Refuse,
): number {
  const isForbiddenLess = operator.startsWith('<');
  if (isBiggerBetter(figure) !== isForbiddenLess || (isForbiddenLess ? percent > 0 : percent < 0)) {
    const example = isBiggerBetter(figure) ? `${figure}<-5%` : `${figure}>5%`;
    throw refuse(`a change in percent says what must not happen, a change for the worse, as in "${example}"`);
  }
  return percent / 100;
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
