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

/** Columns of a terminal; `Infinity` leaves lines as long as they are. */
export interface TextReportOptions {
  width?: number;
}

/** The result as a table for a terminal. Where the terminal is too narrow, the table goes on below, and lines are broken. */
export function textReport(
  result: BenchResult,
  suite: ReportSuite,
  { width = Number.POSITIVE_INFINITY }: TextReportOptions = {},
): string {
  const lines = [
    headline(result),
    '',
    ...mainTable(tableOf(result, suite), suite, width),
    '',
    ...verdictLines(result, suite),
    ...conclusionLines(result, '  '),
    ...(result.conclusions ?? []).flatMap(({ title, table }) =>
      table === undefined
        ? []
        : [`${oneLine(title)}:`, '', ...foldTable(table, width - 2).map((line) => `  ${line}`), ''],
    ),
    ...comparisonLines(result, '  '),
    ...targetLines(result, '  '),
    ...warningLines(result, '  '),
    ...footLines(result),
  ];
  return `${lines.flatMap((line) => wrap(line, width)).join('\n')}\n`;
}

/** Labels that are the same in every row take room and tell nothing apart: a line below names them. */
function mainTable(table: Table, { labels = [] }: ReportSuite, width: number): string[] {
  if (alignTable(table).every((line) => line.length <= width)) return alignTable(table);
  const same = table.header.flatMap((title, column) => {
    const values = new Set(table.rows.map((row) => row[column]).filter((value) => value !== ''));
    return labels.includes(title) && values.size === 1
      ? [{ column, text: `${title} ${[...values][0]}` }]
      : [];
  });
  const others = (row: string[]): string[] =>
    row.filter((_, column) => !same.some((label) => label.column === column));
  return [
    ...foldTable({ header: others(table.header), rows: table.rows.map(others) }, width),
    ...(same.length === 0 ? [] : ['', `In all rows: ${same.map(({ text }) => text).join(', ')}`]),
  ];
}

/** A table in parts that are no wider than the terminal, one below the other. Each begins with the first column. */
function foldTable(table: Table, width: number): string[] {
  const parts: number[][] = [];
  for (let column = 1; column < table.header.length; column += 1) {
    const last = parts.at(-1);
    if (last !== undefined && widthOf(pick(table, [...last, column])) <= width) last.push(column);
    else parts.push([0, column]);
  }
  return parts.flatMap((columns, index) => [
    ...(index === 0 ? [] : ['']),
    ...alignTable(pick(table, columns)),
  ]);
}

function pick({ header, rows }: Table, columns: number[]): Table {
  const of = (row: string[]): string[] => columns.map((column) => row[column] ?? '');
  return { header: of(header), rows: rows.map(of) };
}

function widthOf(table: Table): number {
  return Math.max(...alignTable(table).map((line) => line.length));
}

/** A line in pieces that fit, broken at blanks; further pieces are indented by two more. A word that is too long stays whole. */
function wrap(line: string, width: number): string[] {
  if (line.length <= width) return [line];
  const indent = /^ */.exec(line)?.[0] ?? '';
  const pieces: string[] = [];
  let piece = indent;
  for (const word of line.trim().split(' ')) {
    const isEmpty = piece.trim() === '';
    if (!isEmpty && piece.length + 1 + word.length > width) {
      pieces.push(piece);
      piece = `${indent}  ${word}`;
    } else piece += isEmpty ? word : ` ${word}`;
  }
  return [...pieces, piece];
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
