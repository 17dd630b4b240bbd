/** Reports of a bench run: pure functions from its result to text. The CLI and the Worker print the same. */

import { type BenchResult, passes, type VariantResult } from './result.ts';
import { relativeSpread } from './statistics.ts';
import type { ReportColumn, Suite } from './suite.ts';
import { type JudgedTarget, ratioOf } from './targets.ts';

type ReportSuite = Pick<Suite, 'columns' | 'baseline' | 'sharesOf' | 'labels' | 'keepsOrder'>;

/** What is compared with a variant's own floors: the time of one operation. */
const FLOOR_METRIC = 'usPerOperation';

interface Table {
  header: string[];
  rows: string[][];
}

/** The result as a table for a terminal. */
export function textReport(result: BenchResult, suite: ReportSuite): string {
  const lines = [
    headline(result),
    '',
    ...alignTable(tableOf(result, suite)),
    '',
    ...verdictLines(result, suite),
    ...targetLines(result, '  '),
    ...footLines(result),
  ];
  return `${lines.join('\n')}\n`;
}

/** The result as Markdown, to be pasted into an issue or a README. */
export function markdownReport(result: BenchResult, suite: ReportSuite): string {
  const { header, rows } = tableOf(result, suite);
  const lines = [
    `## ${headline(result)}`,
    '',
    `| ${header.join(' | ')} |`,
    `|${header.map((_, index) => (index === 0 ? '---' : '---:')).join('|')}|`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
    '',
    ...verdictLines(result, suite),
    '',
    ...targetLines(result, '- '),
    ...footLines(result).map((line) => `- ${line}`),
    '',
    '<details><summary>Configuration and machine</summary>',
    '',
    '```json',
    JSON.stringify(
      { config: result.config, tool: result.tool, machine: result.machine, database: result.database },
      null,
      2,
    ),
    '```',
    '',
    '</details>',
  ];
  return `${lines.join('\n')}\n`;
}

/** The result as JSON, for programs and for later comparisons. */
export function jsonReport(result: BenchResult): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

function headline({ title, suite, state, config }: BenchResult): string {
  const marks = state === 'complete' ? '' : ` [${state}]`;
  const { clients, messages, frame, reps } = config as Record<string, number>;
  return clients === undefined
    ? `${title} (${suite})${marks}`
    : `${title} (${suite})${marks}: ${clients} clients × ${group(messages ?? 0)} messages, ${frame} per frame, ${reps} ${reps === 1 ? 'repetition' : 'repetitions'}`;
}

function tableOf(result: BenchResult, suite: ReportSuite): Table {
  const baseline = suite.baseline === undefined ? undefined : find(result, suite.baseline);
  const floorTitles = [...new Set(result.variants.flatMap(({ floors }) => Object.keys(floors ?? {})))];
  const shares = suite.sharesOf.filter(({ floor }) => find(result, floor) !== undefined);
  // A column without a figure says nothing; a Worker, for one, cannot see the delay of its own event loop.
  const columns = suite.columns.filter(({ metric }) =>
    result.variants.some(({ summary }) => typeof summary.metrics[metric] === 'number'),
  );
  const { labels = [] } = suite;
  const header = [
    '',
    ...labels,
    'seconds',
    `${result.unit}/s`,
    'spread',
    ...(baseline === undefined ? [] : [`vs ${suite.baseline}`]),
    ...shares.map(({ title }) => title),
    ...floorTitles,
    ...columns.map(({ title }) => title),
    'lost',
    'doubled',
    'reordered',
  ];
  const rows = result.variants.map((variant) => {
    const { summary, role } = variant;
    const rate = summary.perSecond.median;
    return [
      variant.name,
      ...labels.map((label) => variant.labels?.[label] ?? ''),
      (summary.elapsedMs.median / 1000).toFixed(2),
      group(Math.round(rate)),
      `±${Math.round(relativeSpread(summary.perSecond) * 100)}%`,
      ...(baseline === undefined
        ? []
        : [role === 'floor' ? '' : `${(rate / baseline.summary.perSecond.median).toFixed(1)}×`]),
      ...shares.map(({ floor }) => (role === 'floor' ? '' : shareText(rate, find(result, floor)))),
      ...floorTitles.map((title) => floorText(result, variant, variant.floors?.[title])),
      ...columns.map((column) => metricText(variant, column)),
      ...auditTexts(variant),
    ];
  });
  return { header, rows };
}

function find({ variants }: BenchResult, name: string): VariantResult | undefined {
  return variants.find((variant) => variant.name === name);
}

function shareText(rate: number, floor: VariantResult | undefined): string {
  return floor === undefined ? '' : (rate / floor.summary.perSecond.median).toFixed(2);
}

function floorText(result: BenchResult, variant: VariantResult, floor: string | undefined): string {
  const ratio = floor === undefined ? undefined : ratioOf(variant, find(result, floor), FLOOR_METRIC);
  return ratio === undefined ? '' : ratio.toFixed(2);
}

function metricText({ summary }: VariantResult, { metric, digits }: ReportColumn): string {
  const value = summary.metrics[metric];
  return value === undefined || value === null ? '' : group(Number(value.toFixed(digits)));
}

function auditTexts({ summary: { audit } }: VariantResult): string[] {
  return audit === null ? ['', '', ''] : [audit.lost, audit.duplicated, audit.outOfOrder].map(group);
}

// The first column is words and begins at the left; all others are figures and end at the right.
function alignTable({ header, rows }: Table): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const align = (row: string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [align(header), widths.map((width) => '─'.repeat(width)).join('──'), ...rows.map(align)];
}

function verdictLines({ state, variants }: BenchResult, suite: ReportSuite): string[] {
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
function targetLines({ targets = [] }: BenchResult, indent: string): string[] {
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

function footLines({ notes, machine, database, config }: BenchResult): string[] {
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

/** Digits in groups of three, independent of the locale. */
function group(value: number): string {
  const [whole = '', fraction] = String(value).split('.');
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}
