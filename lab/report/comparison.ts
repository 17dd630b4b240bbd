/** Two runs against each other, as text, as Markdown and as HTML. */

import type { ResultComparison } from '../compare.ts';
import type { BenchResult, Comparison } from '../result.ts';
import { escapeHtml } from './charts.ts';
import { htmlTable } from './html.ts';
import { markdownTable } from './markdown.ts';
import type { Table } from './table.ts';
import { alignTable } from './text.ts';

/** A line for each comparison, and what speaks against it. */
export function comparisonText(base: BenchResult, head: BenchResult, compared: ResultComparison): string {
  const lines = [
    `${head.suite}: ${runText(head)} against ${runText(base)}`,
    '',
    ...alignTable(comparisonTable(compared.comparisons)),
    '',
    ...footLines(compared),
  ];
  return `${lines.join('\n')}\n`;
}

/** The same, to be pasted into a pull request. */
export function comparisonMarkdown(base: BenchResult, head: BenchResult, compared: ResultComparison): string {
  const lines = [
    `## ${head.suite}: ${runText(head)} against ${runText(base)}`,
    '',
    ...markdownTable(comparisonTable(compared.comparisons)),
    '',
    ...footLines(compared).map((line) => `- ${line}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** The same as a part of a page with the styles of reports. */
export function comparisonHtml(base: BenchResult, head: BenchResult, compared: ResultComparison): string {
  const lines = footLines(compared).map((line) => `<li>${escapeHtml(line)}</li>`);
  return [
    `<p>${escapeHtml(`${head.suite}: ${runText(head)} against ${runText(base)}`)}</p>`,
    ...(compared.comparisons.length === 0
      ? ['<p>There is nothing to compare.</p>']
      : [htmlTable(comparisonTable(compared.comparisons), 'Changes from the base run')]),
    ...(lines.length === 0 ? [] : [`<ul>${lines.join('')}</ul>`]),
  ].join('\n');
}

/** Change: the typical ratio of a repetition of head to one of base, less 1 (Hodges-Lehmann). */
export function comparisonTable(comparisons: readonly Comparison[]): Table {
  return {
    header: ['', 'figure', 'change', '95 % interval', 'p', 'verdict'],
    rows: comparisons.map(({ head, metric, change, changeLow, changeHigh, correctedP, verdict }) => [
      head,
      metric,
      percent(change),
      changeLow === null || changeHigh === null ? '' : `${percent(changeLow)} to ${percent(changeHigh)}`,
      correctedP < 0.001 ? '<0.001' : correctedP.toFixed(3),
      verdict,
    ]),
  };
}

function percent(share: number): string {
  return `${share >= 0 ? '+' : '−'}${Math.abs(share * 100).toFixed(1)} %`;
}

function runText({ startedAt, tool }: BenchResult): string {
  const { commit } = tool;
  return `${startedAt.slice(0, 16).replace('T', ' ')}${commit === undefined ? '' : ` (${commit})`}`;
}

function footLines({ warnings, onlyInBase, onlyInHead }: ResultComparison): string[] {
  return [
    ...warnings.map(({ code, where, text }) => `${code}${where === '' ? '' : ` (${where})`}: ${text}`),
    ...(onlyInBase.length === 0 ? [] : [`only in the first: ${onlyInBase.join(', ')}`]),
    ...(onlyInHead.length === 0 ? [] : [`only in the second: ${onlyInHead.join(', ')}`]),
  ];
}
