/** The table of the lab: what happened to every fault, for people, for a README, and for programs. */

import type { RunReport } from './lab.ts';
import type { Scenario } from './scenario.ts';

/** All runs of one fault. */
export interface FaultReport {
  name: string;
  title: string;
  /** Why it was not run; undefined where it was. */
  skipped?: string;
  runs: RunReport[];
}

/** A whole round of the lab. */
export interface LabReport {
  startedAt: string;
  tookSeconds: number;
  seed: number;
  /** `usual`, `short` or `long`. */
  form: string;
  tool: Record<string, string>;
  machine: Record<string, string | number>;
  faults: FaultReport[];
}

export function faultReport({ name, title }: Scenario, runs: RunReport[], skipped?: string): FaultReport {
  return { name, title, runs, ...(skipped === undefined ? {} : { skipped }) };
}

/** False where a run of any fault has failed. */
export function hasPassed({ faults }: Pick<LabReport, 'faults'>): boolean {
  return faults.every(({ runs }) => runs.every(({ pass }) => pass));
}

const COLUMNS = [
  'fault',
  'runs',
  'times',
  'sent',
  'acked',
  'committed',
  'dead',
  'duplicate',
  'lost',
  'doubled',
  'recovery ms',
];

function rowOf({ title, runs, skipped }: FaultReport): string[] {
  if (skipped !== undefined) return [title, `not run: ${skipped}`, ...COLUMNS.slice(2).map(() => '')];
  const sum = (read: (run: RunReport) => number): string =>
    group(runs.reduce((total, run) => total + read(run), 0));
  const failed = runs.filter(({ pass }) => !pass).length;
  return [
    title,
    failed === 0 ? String(runs.length) : `${runs.length}, ${failed} FAILED`,
    sum(({ strikes }) => strikes),
    sum(({ sent }) => sent),
    sum(({ acked }) => acked),
    sum(({ committed }) => committed),
    sum(({ dead }) => dead),
    sum(({ duplicate }) => duplicate),
    sum(({ lost }) => lost),
    sum(({ doubled }) => doubled),
    recoveryOf(runs),
  ];
}

/** The median, and the longest. */
function recoveryOf(runs: readonly RunReport[]): string {
  const times = runs.flatMap(({ recoveryMs }) => (recoveryMs === undefined ? [] : [recoveryMs]));
  if (times.length === 0) return '';
  times.sort((one, other) => one - other);
  const median = times[Math.floor((times.length - 1) / 2)] as number;
  return `${group(Math.round(median))}, at most ${group(Math.round(times.at(-1) as number))}`;
}

/** One line for the progress on a terminal. */
export function faultLine(report: FaultReport): string {
  const { runs, skipped } = report;
  if (skipped !== undefined) return `${report.name}: not run: ${skipped}`;
  const failed = runs.filter(({ pass }) => !pass).length;
  const took = runs.reduce((sum, { tookMs }) => sum + tookMs, 0);
  return `${failed === 0 ? 'ok  ' : 'FAIL'} ${report.name}: ${runs.length - failed} of ${runs.length}, ${(took / 1_000).toFixed(1)} s${measuredBy(report, ', ')}`;
}

function measuredBy({ runs }: FaultReport, before: string): string {
  const measured = runs.flatMap((run) => run.measured ?? []);
  return measured.length === 0 ? '' : `${before}${measured.join('; ')}`;
}

/** What failed and how to see it again. */
export function failureLines({ name, runs }: FaultReport): string[] {
  return runs
    .filter(({ pass }) => !pass)
    .flatMap(({ seed, failures, console = [] }) => [
      `${name}, seed ${seed}: npm run faults -- --only ${name} --seed ${seed} --runs 1`,
      ...failures.map((failure) => `  ${failure}`),
      ...console.slice(-5).map((line) => `  | ${line.slice(0, 200)}`),
    ]);
}

/** The table for a terminal. */
export function textTable({ faults }: Pick<LabReport, 'faults'>): string {
  const rows = [COLUMNS, ...faults.map(rowOf)];
  const widths = COLUMNS.map((_, column) =>
    // A reason why something was not run may be as long as it likes.
    Math.max(...rows.map((row) => (row[2] === '' && column === 1 ? 0 : (row[column] as string).length))),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The table with all that is needed to repeat it. */
export function markdownReport(report: LabReport): string {
  const { startedAt, tookSeconds, seed, form, tool, machine, faults } = report;
  return [
    `## Faults: ${faults.length}, in ${faults.reduce((sum, { runs }) => sum + runs.length, 0)} runs${hasPassed(report) ? '' : ' (FAILED)'}`,
    '',
    `| ${COLUMNS.join(' | ')} |`,
    `|${COLUMNS.map((_, column) => (column === 0 ? '---' : '---:')).join('|')}|`,
    ...faults.map((fault) => `| ${rowOf(fault).join(' | ')} |`),
    '',
    `- form ${form}, seed ${seed}, ${startedAt}, ${Math.round(tookSeconds)} s`,
    `- ${Object.entries({ ...tool, ...machine })
      .map(([name, value]) => `${name}: ${value}`)
      .join('; ')}`,
    ...faults.flatMap((fault) => measuredBy(fault, `- ${fault.name}: `) || []),
    ...faults.flatMap(failureLines).map((line) => `    ${line}`),
    '',
  ].join('\n');
}

export function jsonReport(report: LabReport): string {
  return `${JSON.stringify(report, null, 1)}\n`;
}

function group(value: number): string {
  return value.toLocaleString('en-US');
}
