/**
 * Reports turned over: of each metric, what every shard says. The text of `/metrics` and all exports are made from this, so that they
 * show the same series. What comes over a wire is not trusted: a series is there once, and their number is bounded.
 */

import type { HistogramSnapshot } from '../core/exponential-histogram.ts';
import { METRICS, type Metric, type MonitorMetricName } from './metrics.ts';
import type { DatabaseReport, Sample, StoredReport } from './shard-report.ts';

export type Label = readonly [name: string, value: string];

/** One series, as it is now. */
export interface Point {
  /** Of a shard: `sink`, `shard`; of a database: `database`; then the metric's own. */
  labels: readonly Label[];
  value: number | HistogramSnapshot;
  /** When it was so. */
  atMs: number;
  /** When the counting began; null where that is not known, as of totals that outlive everything. */
  sinceMs: number | null;
}

export interface Family {
  metric: Metric;
  points: Point[];
}

export interface FigureSources {
  nowMs: number;
  reports: readonly StoredReport[];
  /** The latest view of each database. */
  databases: readonly DatabaseReport[];
  /** The monitor's own. */
  own: readonly Sample<MonitorMetricName>[];
}

/** Values of a label that a metric of one shard or database may have; one of a histogram is some twenty series. */
export const MAX_LABEL_VALUES = 32;
export const MAX_HISTOGRAM_LABEL_VALUES = 8;
/** Points of all shards together. What comes after them is left out, and counted. */
export const MAX_POINTS = 40_000;
/** Characters of a label's value. */
const MAX_LABEL_LENGTH = 128;

const BY_NAME = new Map<string, Metric>(METRICS.map((metric) => [metric.name, metric]));

/** @returns the families that have points, in the order of the table, with `monitor_points_left_out` among them */
export function familiesOf(sources: FigureSources): Family[] {
  const collector = new Collector();
  for (const { report, receivedAtMs } of sources.reports) {
    const labels: Label[] = [
      ['sink', report.sink],
      ['shard', String(report.shard)],
    ];
    const { sentAtMs: atMs, sinceMs } = report;
    collector.begin('shard', labels, atMs);
    collector.add('report_timestamp_seconds', '', receivedAtMs / 1_000, null);
    for (const [name, label, value] of report.counters) collector.add(name, label, value, null);
    for (const [name, label, value] of report.gauges) collector.add(name, label, value, null);
    for (const [name, label, value] of report.histograms) collector.add(name, label, value, sinceMs);
  }
  for (const { address, atMs, samples } of sources.databases) {
    collector.begin('database', [['database', cut(address)]], atMs);
    for (const [name, label, value] of samples) collector.add(name, label, value, null);
  }
  collector.begin('monitor', [], sources.nowMs);
  for (const [name, label, value] of sources.own) collector.add(name, label, value, null);
  collector.add('monitor_points_left_out', '', collector.leftOut, null);
  return collector.families();
}

class Collector {
  readonly #points = new Map<string, Point[]>();
  /** Of whom the next ones are. */
  #of: Metric['of'];
  #labels: readonly Label[] = [];
  #atMs = 0;
  readonly #seen = new Map<string, Set<string>>();
  readonly #subjects = new Set<string>();
  #isKnown = false;
  #count = 0;
  leftOut = 0;

  begin(of: Metric['of'], labels: readonly Label[], atMs: number): void {
    this.#of = of;
    this.#labels = labels;
    this.#atMs = atMs;
    this.#seen.clear();
    const subject = JSON.stringify(labels);
    this.#isKnown = this.#subjects.has(subject);
    this.#subjects.add(subject);
  }

  add(name: string, label: string, value: number | HistogramSnapshot, sinceMs: number | null): void {
    const metric = BY_NAME.get(name);
    if (metric === undefined || !this.#isRoomFor(metric, label) || !isSound(metric, value)) {
      this.leftOut += 1;
      return;
    }
    let points = this.#points.get(name);
    if (points === undefined) {
      points = [];
      this.#points.set(name, points);
    }
    const labels =
      metric.label === undefined ? this.#labels : [...this.#labels, [metric.label, cut(label)] as const];
    points.push({ labels, value, atMs: this.#atMs, sinceMs });
    this.#count += 1;
  }

  /** Whether a further series of this metric may be there; notes that it is. */
  #isRoomFor({ name, of = 'shard', label: ownLabel, type }: Metric, label: string): boolean {
    if (of !== this.#of || this.#isKnown) return false;
    // The monitor's own are few, and one of them says what is missing.
    if (of !== 'monitor' && this.#count >= MAX_POINTS) return false;
    let seen = this.#seen.get(name);
    if (seen === undefined) {
      seen = new Set();
      this.#seen.set(name, seen);
    }
    const value = ownLabel === undefined ? '' : cut(label);
    if (seen.has(value)) return false;
    if (seen.size >= (type === 'histogram' ? MAX_HISTOGRAM_LABEL_VALUES : MAX_LABEL_VALUES)) return false;
    seen.add(value);
    return true;
  }

  families(): Family[] {
    return METRICS.flatMap((metric) => {
      const points = this.#points.get(metric.name);
      return points === undefined ? [] : [{ metric, points }];
    });
  }
}

function isSound({ type }: Metric, value: number | HistogramSnapshot): boolean {
  if (typeof value === 'number') return type !== 'histogram' && Number.isFinite(value);
  return (
    type === 'histogram' &&
    Number.isFinite(value.sum) &&
    value.indexes.length === value.counts.length &&
    value.counts.every((count) => count >= 0 && Number.isSafeInteger(count))
  );
}

function cut(text: string): string {
  return text.length > MAX_LABEL_LENGTH ? text.slice(0, MAX_LABEL_LENGTH).toWellFormed() : text;
}
