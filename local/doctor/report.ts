/** What `sluice doctor` prints: a line for each finding, with its reason and its remedy, in 80 columns; or JSON. */

import type { Area, Finding, FindingState } from './check.ts';

/** What a check has found; nothing: all is well. */
export interface CheckReport {
  name: string;
  area: Area;
  findings: readonly Finding[];
}

export interface Counts {
  wrong: number;
  unwise: number;
  unknown: number;
  /** Everything that is wrong is that something could not be asked. */
  isOnlyUnreachable: boolean;
}

const MARKS: Record<FindingState, string> = {
  good: 'ok',
  unwise: 'WARN',
  wrong: 'WRONG',
  unknown: '-',
};
const WIDTH = 80;
const INDENT = 7;

export function countFindings(reports: readonly CheckReport[]): Counts {
  const findings = reports.flatMap((report) => report.findings);
  const count = (state: FindingState) => findings.filter((finding) => finding.state === state).length;
  return {
    wrong: count('wrong'),
    unwise: count('unwise'),
    unknown: count('unknown'),
    isOnlyUnreachable: findings.every(
      ({ state, isUnreachable }) => state !== 'wrong' || isUnreachable === true,
    ),
  };
}

/** A finding as lines; commands and SQL stay whole, to be copied. */
export function findingText({ state, what, why, remedy = [] }: Finding): string {
  const lines = [...wrapped(what), ...(why === undefined ? [] : wrapped(why))];
  const [first = '', ...others] = lines;
  return [
    MARKS[state].padEnd(INDENT) + first,
    ...others.map((line) => ' '.repeat(INDENT) + line),
    ...remedy.map((line) => `${' '.repeat(INDENT)}> ${line}`),
    '',
  ].join('\n');
}

/** The last line. */
export function summaryText({ wrong, unwise }: Counts): string {
  const things = (count: number) => `${count} ${count === 1 ? 'thing is' : 'things are'}`;
  const also = unwise === 0 ? '' : `; ${things(unwise)} unwise`;
  return `${wrong === 0 ? 'Nothing is' : things(wrong)} wrong${also}\n`;
}

export function reportJson(reports: readonly CheckReport[]): string {
  const { wrong, unwise, unknown } = countFindings(reports);
  return `${JSON.stringify({ wrong, unwise, unknown, checks: reports }, null, 2)}\n`;
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH - INDENT) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
