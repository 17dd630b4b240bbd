/**
 * Charts as SVG text: no script is needed to see them, in a saved report as in the Worker's page. Colours come from
 * classes, so that the page around decides on light and dark.
 */

import type { BenchResult, HistogramRecord, RepRecord, VariantResult } from '../result.ts';
import { WINDOW_MS } from '../result.ts';
import { group } from './table.ts';

const WIDTH = 720;
const NAME_WIDTH = 190;
const ROW_HEIGHT = 26;
/** Lines that a chart shows; more of them cannot be told apart. */
const MAX_LINES = 8;

/** Text as part of HTML or SVG, in elements and in attributes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** All charts that a result has figures for, each with the heading to stand above it. */
export function chartsOf(result: BenchResult): { title: string; svg: string }[] {
  const latencies = new Set(
    result.variants.flatMap(({ reps }) => reps.flatMap(({ histograms }) => Object.keys(histograms ?? {}))),
  );
  const ladders = new Set(result.variants.flatMap(({ ladder }) => ladder ?? []));
  return [
    { title: `${result.unit} per second`, svg: rateChart(result) },
    ...[...latencies].map((name) => ({
      title: `Latency of ${name}, in milliseconds`,
      svg: latencyChart(result, name),
    })),
    ...(ladders.size === 0 ? [] : [{ title: 'Step by step', svg: ladderChart(result, [...ladders]) }]),
    ...(result.variants.some(({ reps }) => reps.some(({ windows }) => (windows?.length ?? 0) > 1))
      ? [{ title: 'Rate over time', svg: timeChart(result) }]
      : []),
  ];
}

/** A bar for each variant, a dot for each repetition, and a line over the interval, or else the extremes. */
export function rateChart({ variants, unit }: BenchResult): string {
  const most = Math.max(1, ...variants.map(({ summary }) => summary.perSecond.max));
  const x = (value: number): number => NAME_WIDTH + (value / most) * (WIDTH - NAME_WIDTH - 90);
  const rows = variants.map((variant, index) => {
    const { median, min, max, interval } = variant.summary.perSecond;
    const top = index * ROW_HEIGHT;
    const middle = top + ROW_HEIGHT / 2;
    const { low, high } = interval ?? { low: min, high: max };
    return [
      text(NAME_WIDTH - 8, middle + 4, shortened(variant.name, 30), 'end'),
      `<rect class="bar ${variant.role === 'floor' ? 'floor' : 'measured'}" x="${NAME_WIDTH}" y="${top + 5}" width="${digits(Math.max(1, x(median) - NAME_WIDTH))}" height="${ROW_HEIGHT - 10}"/>`,
      `<line class="whisker" x1="${digits(x(low))}" y1="${middle}" x2="${digits(x(high))}" y2="${middle}"/>`,
      ...variant.reps.map(
        ({ perSecond }) => `<circle class="dot" cx="${digits(x(perSecond))}" cy="${middle}" r="2.5"/>`,
      ),
      text(x(Math.max(max, high)) + 6, middle + 4, group(Math.round(median)), 'start', 'figure'),
    ].join('');
  });
  const fastest = variants.toSorted((a, b) => b.summary.perSecond.median - a.summary.perSecond.median)[0];
  return svg(
    variants.length * ROW_HEIGHT + 4,
    `${unit} per second of each variant`,
    fastest === undefined
      ? 'No variant has run.'
      : `The highest is ${fastest.name} with ${group(Math.round(fastest.summary.perSecond.median))} per second. The table has all figures.`,
    rows.join(''),
  );
}

const PERCENTILES = [
  { label: '50 %', share: 0.5, figure: 'p50Us' },
  { label: '90 %', share: 0.9, figure: 'p90Us' },
  { label: '99 %', share: 0.99, figure: 'p99Us' },
  { label: '99.9 %', share: 0.999, figure: 'p999Us' },
] as const satisfies readonly { label: string; share: number; figure: keyof HistogramRecord }[];

/** How long the fastest, the half, … the slowest thousandth waited: both axes grow by factors. */
export function latencyChart({ variants }: BenchResult, name: string): string {
  const lines = variants.flatMap((variant) => {
    const records = variant.reps.flatMap(({ histograms }) => histograms?.[name] ?? []);
    if (records.length === 0) return [];
    const points = PERCENTILES.map(({ figure }) => middleOf(records.map((record) => record[figure])));
    return [{ name: variant.name, points }];
  });
  const labels = PERCENTILES.map(({ label }) => label);
  return lineChart(
    lines,
    labels,
    `Latency of ${name} by percentile, in milliseconds`,
    (us) => us / 1000,
    'ms',
  );
}

/** The steps of each ladder: what they reached. */
function ladderChart({ variants, unit }: BenchResult, ladders: readonly string[]): string {
  const lines = ladders.map((ladder) => ({
    name: ladder,
    points: variants.filter((one) => one.ladder === ladder).map(({ summary }) => summary.perSecond.median),
  }));
  const longest = Math.max(0, ...lines.map(({ points }) => points.length));
  const labels = Array.from({ length: longest }, (_, index) => String(index + 1));
  return lineChart(lines, labels, `${unit} per second at each step`, (value) => value, `${unit}/s`);
}

/** What each window of the last repetition reached. */
function timeChart({ variants, unit }: BenchResult): string {
  const lines = variants.flatMap(({ name, reps }: VariantResult) => {
    const windows = reps.findLast((rep: RepRecord) => (rep.windows?.length ?? 0) > 1)?.windows;
    return windows === undefined
      ? []
      : [{ name, points: windows.map((units) => (units * 1000) / WINDOW_MS) }];
  });
  const longest = Math.max(0, ...lines.map(({ points }) => points.length));
  const labels = Array.from({ length: longest }, (_, index) =>
    index % Math.max(1, Math.ceil(longest / 8)) === 0 ? `${(index * WINDOW_MS) / 1000} s` : '',
  );
  return lineChart(lines, labels, `${unit} per second over time`, (value) => value, `${unit}/s`, 'linear');
}

interface Line {
  name: string;
  points: number[];
}

function lineChart(
  all: readonly Line[],
  labels: readonly string[],
  title: string,
  scaled: (value: number) => number,
  unit: string,
  scale: 'log' | 'linear' = 'log',
): string {
  const lines = all.slice(0, MAX_LINES);
  const height = 260;
  const plot = { left: 70, right: WIDTH - 30, top: 12, bottom: height - 30 };
  const values = lines.flatMap(({ points }) => points.map(scaled)).filter((value) => value > 0);
  const most = Math.max(...values, Number.MIN_VALUE);
  const least = scale === 'log' ? Math.min(...values, most) : 0;
  const at = (value: number): number =>
    scale === 'log'
      ? (Math.log(Math.max(value, least)) - Math.log(least)) / (Math.log(most) - Math.log(least) || 1)
      : value / most;
  const x = (index: number): number =>
    plot.left + (labels.length < 2 ? 0.5 : index / (labels.length - 1)) * (plot.right - plot.left);
  const y = (value: number): number => plot.bottom - at(scaled(value)) * (plot.bottom - plot.top);
  const marks = (scale === 'log' ? logMarks(least, most) : [0, most / 2, most]).map((value) => {
    const height_ = plot.bottom - at(value) * (plot.bottom - plot.top);
    return `<line class="grid" x1="${plot.left}" y1="${digits(height_)}" x2="${plot.right}" y2="${digits(height_)}"/>${text(plot.left - 6, height_ + 4, shortFigure(value), 'end', 'axis')}`;
  });
  const drawn = lines.map(({ points }, index) => {
    const path = points.map((value, point) => `${digits(x(point))},${digits(y(value))}`).join(' ');
    return `<polyline class="line line-${index}" points="${path}"/>`;
  });
  const names = labels.map((label, index) => text(x(index), height - 12, label, 'middle', 'axis'));
  const legend = lines.map(({ name }, index) => {
    const left = plot.left + (index % 3) * 215;
    const top = height + 8 + Math.floor(index / 3) * 18;
    return `<line class="line line-${index}" x1="${left}" y1="${top}" x2="${left + 22}" y2="${top}"/>${text(left + 28, top + 4, shortened(name, 26), 'start', 'axis')}`;
  });
  const hidden = all.length - lines.length;
  const note = hidden > 0 ? ` ${hidden} more are in the table.` : '';
  return svg(
    height + 14 + Math.ceil(lines.length / 3) * 18,
    title,
    `${lines.map(({ name, points }) => `${name}: ${points.map((value) => shortFigure(scaled(value))).join(', ')}`).join('; ')} ${unit}.${note}`,
    [...marks, ...names, ...drawn, ...legend].join(''),
  );
}

/** Powers of ten between the extremes, and the extremes. */
function logMarks(least: number, most: number): number[] {
  const marks = [least];
  for (let power = Math.ceil(Math.log10(least)); 10 ** power < most; power += 1) {
    const value = 10 ** power;
    if (value / least > 2 && most / value > 2) marks.push(value);
  }
  return most > least ? [...marks, most] : marks;
}

function middleOf(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[sorted.length >> 1] as number;
}

function svg(height: number, title: string, description: string, content: string): string {
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(`${title}. ${description}`)}">${content}</svg>`;
}

function text(
  x: number,
  y: number,
  content: string,
  anchor: 'start' | 'middle' | 'end',
  kind = 'name',
): string {
  return `<text class="${kind}" x="${digits(x)}" y="${digits(y)}" text-anchor="${anchor}">${escapeHtml(content)}</text>`;
}

function shortened(name: string, length: number): string {
  return name.length <= length ? name : `${name.slice(0, length - 1)}…`;
}

function shortFigure(value: number): string {
  if (value >= 1_000_000) return `${Number((value / 1_000_000).toPrecision(3))}M`;
  if (value >= 10_000) return `${Number((value / 1_000).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

function digits(value: number): string {
  return String(Math.round(value * 10) / 10);
}
