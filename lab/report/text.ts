/** The report for a terminal. */

import type { BenchResult } from '../result.ts';
import {
  comparisonLines,
  conclusionLines,
  footLines,
  headline,
  oneLine,
  targetLines,
  verdictLines,
  warningLines,
} from './lines.ts';
import { type ReportSuite, type Table, tableOf } from './table.ts';

/** The result as a table for a terminal. */
export function textReport(result: BenchResult, suite: ReportSuite): string {
  const lines = [
    headline(result),
    '',
    ...alignTable(tableOf(result, suite)),
    '',
    ...verdictLines(result, suite),
    ...conclusionLines(result, '  '),
    ...(result.conclusions ?? []).flatMap(({ title, table }) =>
      table === undefined
        ? []
        : [`${oneLine(title)}:`, '', ...alignTable(table).map((line) => `  ${line}`), ''],
    ),
    ...comparisonLines(result, '  '),
    ...targetLines(result, '  '),
    ...warningLines(result, '  '),
    ...footLines(result),
  ];
  return `${lines.join('\n')}\n`;
}

// The first column is words and begins at the left; all others are figures and end at the right.
export function alignTable({ header, rows }: Table): string[] {
  const all = [header, ...rows].map((row) => row.map(oneLine));
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const align = (row: string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  const [head = [], ...others] = all;
  return [align(head), widths.map((width) => '─'.repeat(width)).join('──'), ...others.map(align)];
}
