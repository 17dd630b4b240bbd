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
import { HISTOGRAM_STATISTICS, isBiggerBetter, microsecondsOf } from './figures.ts';

export const OPERATORS = {
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
