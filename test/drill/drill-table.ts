/** The table of a drill, for docs/operations.md and for a terminal. */

import type { Heard, IncidentReport } from './drill.ts';
import type { WitnessName } from './drill-bed.ts';

const NAMES: readonly WitnessName[] = ['health', 'metrics', 'log', 'dashboard', 'webhook'];
const HEADINGS = ['`/health`', '`/metrics`', 'log', 'dashboard', 'webhook'];

/** What stands before and after the table in the page. */
export const TABLE_BEGINS = '<!-- drill -->';
export const TABLE_ENDS = '<!-- /drill -->';

export function drillTable(reports: readonly IncidentReport[]): string {
  return [
    `| incident | | ${HEADINGS.join(' | ')} |`,
    `|---|---|${HEADINGS.map(() => '---:').join('|')}|`,
    ...reports.flatMap(({ title, begins, ends, staysWell }) => [
      `| [${title}](#${anchorOf(title)}) | begins | ${cells(begins, staysWell)} |`,
      `| | is over | ${cells(ends, staysWell)} |`,
    ]),
  ].join('\n');
}

function cells(heard: Heard, staysWell: readonly WitnessName[]): string {
  return NAMES.map((name) => {
    if (staysWell.includes(name)) return 'stays well';
    if (!(name in heard)) return '';
    const seconds = heard[name];
    return seconds === undefined ? 'not said' : `${seconds.toFixed(1)} s`;
  }).join(' | ');
}

function anchorOf(title: string): string {
  return title.toLowerCase().replaceAll(' ', '-');
}

/** The page with another table. */
export function withTable(page: string, table: string): string {
  const from = page.indexOf(TABLE_BEGINS);
  const to = page.indexOf(TABLE_ENDS);
  if (from === -1 || to < from) throw new Error(`The page has no place for the table: ${TABLE_BEGINS}`);
  return `${page.slice(0, from + TABLE_BEGINS.length)}\n\n${table}\n\n${page.slice(to)}`;
}
