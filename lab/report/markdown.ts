/** The report as Markdown, to be pasted into an issue or a README. */

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

export function markdownReport(result: BenchResult, suite: ReportSuite): string {
  const lines = [
    `## ${headline(result)}`,
    '',
    ...markdownTable(tableOf(result, suite)),
    '',
    ...verdictLines(result, suite),
    '',
    ...conclusionLines(result, '- '),
    ...(result.conclusions ?? []).flatMap(({ title, table }) =>
      table === undefined ? [] : [`### ${oneLine(title)}`, '', ...markdownTable(table), ''],
    ),
    ...comparisonLines(result, '- '),
    ...targetLines(result, '- '),
    ...warningLines(result, '- '),
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

/** A table whose first column is words and whose others are figures. */
export function markdownTable({ header, rows }: Table): string[] {
  const cells = (row: readonly string[]): string =>
    `| ${row.map((cell) => oneLine(cell).replaceAll('|', '/')).join(' | ')} |`;
  return [
    cells(header),
    `|${header.map((_, index) => (index === 0 ? '---' : '---:')).join('|')}|`,
    ...rows.map(cells),
  ];
}
