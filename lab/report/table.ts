/** The table of a report: what every format shows, each in its own way. */

import type { BenchResult, ServerFigures, VariantResult } from '../result.ts';
import { median } from '../statistics/median.ts';
import { relativeSpread } from '../statistics/spread.ts';
import type { ReportColumn, Suite } from '../suite.ts';
import { ratioOf } from '../targets.ts';

export type ReportSuite = Pick<
  Suite,
  'columns' | 'baseline' | 'sharesOf' | 'labels' | 'keepsOrder' | 'canBeChosen' | 'files'
>;

/** What is compared with a variant's own floors: the time of one operation. */
const FLOOR_METRIC = 'usPerOperation';

/** What the server says of each row, shown where it was asked. */
const SERVER_COLUMNS = [
  { title: 'WAL B/row', figure: 'walBytesPerRow' },
  { title: 'table B/row', figure: 'tableBytesPerRow' },
  { title: 'index B/row', figure: 'indexBytesPerRow' },
] as const;

export interface Table {
  header: string[];
  rows: string[][];
}

/** Header and rows of a result; columns without any figure are left out. */
export function tableOf(result: BenchResult, suite: ReportSuite): Table {
  const baseline = suite.baseline === undefined ? undefined : find(result, suite.baseline);
  const floorTitles = [...new Set(result.variants.flatMap(({ floors }) => Object.keys(floors ?? {})))];
  const shares = suite.sharesOf.filter(({ floor }) => find(result, floor) !== undefined);
  // A column without a figure says nothing; a Worker, for one, cannot see the delay of its own event loop.
  const columns = suite.columns.filter(({ metric }) =>
    result.variants.some(({ summary }) => typeof summary.metrics[metric] === 'number'),
  );
  const labels = (suite.labels ?? []).filter((label) =>
    result.variants.some((variant) => (variant.labels?.[label] ?? '') !== ''),
  );
  const serverColumns = SERVER_COLUMNS.filter(({ figure }) =>
    result.variants.some((variant) => serverMedian(variant, figure) !== undefined),
  );
  const hasIntervals = result.variants.some(({ summary }) => (summary.perSecond.interval ?? null) !== null);
  const header = [
    '',
    ...labels,
    'seconds',
    `${result.unit}/s`,
    'spread',
    ...(hasIntervals ? ['95 % interval'] : []),
    ...(baseline === undefined ? [] : [`vs ${suite.baseline}`]),
    ...shares.map(({ title }) => title),
    ...floorTitles,
    ...columns.map(({ title }) => title),
    ...serverColumns.map(({ title }) => title),
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
      ...(hasIntervals ? [intervalText(summary.perSecond.interval)] : []),
      ...(baseline === undefined
        ? []
        : [role === 'floor' ? '' : timesText(rate, baseline.summary.perSecond.median)]),
      ...shares.map(({ floor }) => (role === 'floor' ? '' : shareText(rate, find(result, floor)))),
      ...floorTitles.map((title) => floorText(result, variant, variant.floors?.[title])),
      ...columns.map((column) => metricText(variant, column)),
      ...serverColumns.map(({ figure }) => serverText(variant, figure)),
      ...auditTexts(variant),
    ];
  });
  return { header, rows };
}

/** A variant by its name. */
export function find({ variants }: BenchResult, name: string): VariantResult | undefined {
  return variants.find((variant) => variant.name === name);
}

// Nothing is a multiple of 0, which a clock that stood still makes of any rate.
function timesText(rate: number, base: number): string {
  return base === 0 ? '' : `${(rate / base).toFixed(1)}×`;
}

function shareText(rate: number, floor: VariantResult | undefined): string {
  const most = floor?.summary.perSecond.median ?? 0;
  return most === 0 ? '' : (rate / most).toFixed(2);
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

function intervalText(interval: { low: number; high: number } | null | undefined): string {
  if (interval === null || interval === undefined) return '';
  return `${group(Math.round(interval.low))}–${group(Math.round(interval.high))}`;
}

type ServerFigure = (typeof SERVER_COLUMNS)[number]['figure'] & keyof ServerFigures;

/** Median over the repetitions of what the server said; undefined where it said nothing. */
export function serverMedian({ reps }: VariantResult, figure: ServerFigure): number | undefined {
  const values = reps.flatMap(({ server }) => server?.[figure] ?? []);
  return values.length === 0 ? undefined : median(values);
}

function serverText(variant: VariantResult, figure: ServerFigure): string {
  const value = serverMedian(variant, figure);
  return value === undefined ? '' : group(Math.round(value));
}

/** Digits in groups of three, independent of the locale. */
export function group(value: number): string {
  const [whole = '', fraction] = String(value).split('.');
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}
