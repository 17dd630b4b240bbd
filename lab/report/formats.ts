/** All formats of a report, by their names in options and addresses. */

import type { BenchResult } from '../result.ts';
import { csvReport } from './csv.ts';
import { githubActionReports } from './github-action.ts';
import { htmlReport } from './html.ts';
import { jsonReport } from './json.ts';
import { markdownReport } from './markdown.ts';
import type { ReportSuite } from './table.ts';
import { textReport } from './text.ts';

export interface ReportFormat {
  contentType: string;
  /** One line for help texts. */
  description: string;
  /** The files of this format, each with what stands after the name of the run: `.json`. */
  files(result: BenchResult, suite: ReportSuite): { suffix: string; text: string }[];
}

export const REPORT_FORMATS = {
  text: {
    contentType: 'text/plain; charset=utf-8',
    description: 'the table',
    files: (result, suite) => [{ suffix: '.txt', text: textReport(result, suite) }],
  },
  json: {
    contentType: 'application/json',
    description: 'everything, for programs and comparisons',
    files: (result) => [{ suffix: '.json', text: jsonReport(result) }],
  },
  csv: {
    contentType: 'text/csv; charset=utf-8',
    description: 'a line for each repetition',
    files: (result) => [{ suffix: '.csv', text: csvReport(result) }],
  },
  md: {
    contentType: 'text/markdown; charset=utf-8',
    description: 'Markdown, to be pasted',
    files: (result, suite) => [{ suffix: '.md', text: markdownReport(result, suite) }],
  },
  html: {
    contentType: 'text/html; charset=utf-8',
    description: 'one file with charts',
    files: (result, suite) => [{ suffix: '.html', text: htmlReport(result, suite) }],
  },
  gha: {
    contentType: 'application/json',
    description: 'for github-action-benchmark: rates, and latencies',
    files(result) {
      const { bigger, smaller } = githubActionReports(result);
      return [
        { suffix: '.bigger-is-better.json', text: `${JSON.stringify(bigger, null, 2)}\n` },
        { suffix: '.smaller-is-better.json', text: `${JSON.stringify(smaller, null, 2)}\n` },
      ];
    },
  },
} as const satisfies Record<string, ReportFormat>;

export type ReportFormatName = keyof typeof REPORT_FORMATS;

export const REPORT_FORMAT_NAMES = Object.keys(REPORT_FORMATS) as ReportFormatName[];

/** The files of a run in some formats, and those that its suite has beside them. */
export function reportFiles(
  result: BenchResult,
  suite: ReportSuite,
  formats: readonly ReportFormatName[],
): { name: string; text: string }[] {
  const name = runName(result);
  return [
    ...formats.flatMap((format) =>
      REPORT_FORMATS[format]
        .files(result, suite)
        .map(({ suffix, text }) => ({ name: `${name}${suffix}`, text })),
    ),
    ...(suite.files?.(result) ?? []).map((file) => ({ name: `${name}-${file.name}`, text: file.text })),
  ];
}

/** What the files of a run begin with: its suite and when it began, such as `ingest-20260102-030405`. */
export function runName({ suite, startedAt }: BenchResult): string {
  return `${suite}-${startedAt.slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}`;
}
