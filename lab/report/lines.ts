/** What a report says around its table, a line for each thing. */

import type { JudgedTarget } from '../result.ts';
import { type BenchResult, type Comparison, passes } from '../result.ts';
import { group, type ReportSuite } from './table.ts';

/** What was run, in one line. */
export function headline({ title, suite, state, config }: BenchResult): string {
  const marks = state === 'complete' ? '' : ` [${state}]`;
  const { clients, messages, frame, reps } = config as Record<string, number>;
  const parts = [
    // Elsewhere messages are counted by time.
    ...(clients === undefined || messages === undefined
      ? []
      : [`${clients} clients × ${group(messages)} messages, ${frame} per frame`]),
    ...(reps === undefined ? [] : [`${reps} ${reps === 1 ? 'repetition' : 'repetitions'}`]),
  ];
  return `${title} (${suite})${marks}${parts.length === 0 ? '' : ': '}${parts.join(', ')}`;
}

/** Text that would begin another line, or another list, on one line. */
export function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}

/** Whether the figures count at all. */
export function verdictLines({ state, variants }: BenchResult, suite: ReportSuite): string[] {
  if (state === 'aborted')
    return ['The run was stopped before its end; what is shown is complete in itself.', ''];
  if (state !== 'invalid') return [];
  const failed = variants
    .filter(({ summary: { audit } }) => audit !== null && !passes(audit, suite))
    .map(({ name }) => name);
  const what = suite.keepsOrder ? 'lost, doubled or reordered' : 'lost or doubled';
  return [`INVALID: messages were ${what} (${failed.join(', ')}). No figure of this run counts.`, ''];
}

/** What the suite demands: one line each, met or missed, and by how much. */
export function targetLines({ targets = [] }: BenchResult, indent: string): string[] {
  if (targets.length === 0) return [];
  const missed = targets.filter(({ isMet }) => !isMet).length;
  return [
    `Targets: ${targets.length - missed} met, ${missed} missed`,
    '',
    ...targets.map((target) => `${indent}${target.isMet ? 'met   ' : 'MISSED'} ${targetText(target)}`),
    '',
  ];
}

function targetText({ title, figure, unit, bound }: JudgedTarget): string {
  const digits = unit === '×' ? 2 : 1;
  const limit = 'atMost' in bound ? `at most ${group(bound.atMost)}` : `at least ${group(bound.atLeast)}`;
  return `${title}: ${group(Number(figure.toFixed(digits)))}${unit} (${limit})`;
}

/** What has to be known to compare the figures with others. */
export function footLines({ notes, machine, database, config }: BenchResult): string[] {
  const facts = [
    Object.values(machine).join(', '),
    Object.entries(database)
      .map(([name, value]) => (name === 'address' || name === 'version' ? value : `${name}=${value}`))
      .join(', '),
    Object.entries(config)
      .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join('+') : value}`)
      .join(' '),
  ];
  return [...notes, ...facts.filter((fact) => fact !== '')];
}

/** Each measured variant against the baseline: how much, and whether chance could have done it. */
export function comparisonLines({ comparisons = [] }: BenchResult, indent: string): string[] {
  if (comparisons.length === 0) return [];
  return ['Against the baseline:', '', ...comparisons.map((one) => `${indent}${comparisonText(one)}`), ''];
}

/** One comparison in a line. */
export function comparisonText(comparison: Comparison): string {
  const { base, head, metric, verdict, correctedP } = comparison;
  const what = base === head ? head : `${head} against ${base}`;
  const detail =
    verdict === 'too few runs'
      ? `${changeText(comparison)}, which chance may have done`
      : `${changeText(comparison)}, p = ${pText(correctedP)}`;
  return `${verdict.padEnd(12)} ${what}, ${metric}: ${detail}`;
}

function changeText({ change, changeLow, changeHigh }: Comparison): string {
  const percent = (value: number): string => `${value >= 0 ? '+' : '−'}${Math.abs(value * 100).toFixed(1)} %`;
  const range =
    changeLow === null || changeHigh === null ? '' : ` (${percent(changeLow)} to ${percent(changeHigh)})`;
  return `${percent(change)}${range}`;
}

function pText(p: number): string {
  return p < 0.001 ? 'below 0.001' : p.toFixed(3);
}

/** What follows from the figures. */
export function conclusionLines({ conclusions = [] }: BenchResult, indent: string): string[] {
  if (conclusions.length === 0) return [];
  return [...conclusions.map(({ title, text }) => `${indent}${oneLine(`${title}: ${text}`)}`), ''];
}

/** Why figures may not say what they seem to. */
export function warningLines({ warnings = [] }: BenchResult, indent: string): string[] {
  if (warnings.length === 0) return [];
  return [
    `Warnings: ${warnings.length}`,
    '',
    ...warnings.map(
      ({ code, where, text }) =>
        `${indent}${oneLine(`${code}${where === '' ? '' : ` (${where})`}: ${text}`)}`,
    ),
    '',
  ];
}
