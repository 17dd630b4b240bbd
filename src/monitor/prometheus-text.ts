/**
 * Families as text: Prometheus' format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/) or OpenMetrics 1.0
 * (https://github.com/prometheus/OpenMetrics).
 */

import type { HistogramSnapshot } from '../core/exponential-histogram.ts';
import { classicBorders, classicCounts } from './classic-buckets.ts';
import type { Family, Label, Point } from './families.ts';
import type { Metric } from './metrics.ts';

export const METRICS_PREFIX = 'sluice_';

export type MetricsFormat = 'prometheus' | 'openmetrics';

export const METRICS_CONTENT_TYPES: Record<MetricsFormat, string> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

export function prometheusText(families: readonly Family[], format: MetricsFormat): string {
  const lines: string[] = [];
  for (const family of families) {
    if (family.points.length === 0) continue;
    writeHead(family.metric, format, lines);
    for (const point of family.points) writePoint(family.metric, point, format, lines);
  }
  if (format === 'openmetrics') lines.push('# EOF');
  return `${lines.join('\n')}\n`;
}

/** The name that TYPE and HELP have: in OpenMetrics that of the family, without the suffix of its samples. */
export function familyName({ name, type }: Metric, format: MetricsFormat): string {
  const full = METRICS_PREFIX + name;
  if (format === 'prometheus') return full;
  if (type === 'counter') return full.replace(/_total$/, '');
  return isInfo(name) ? full.replace(/_info$/, '') : full;
}

function isInfo(name: string): boolean {
  return name.endsWith('_info');
}

function writeHead(metric: Metric, format: MetricsFormat, lines: string[]): void {
  const name = familyName(metric, format);
  const isOpen = format === 'openmetrics';
  lines.push(`# HELP ${name} ${escaped(metric.help, isOpen)}`);
  lines.push(`# TYPE ${name} ${isOpen && isInfo(metric.name) ? 'info' : metric.type}`);
  const unit = /_(seconds|bytes)$/.exec(name)?.[1];
  if (isOpen && unit !== undefined) lines.push(`# UNIT ${name} ${unit}`);
}

function writePoint(
  metric: Metric,
  { labels, value, sinceMs }: Point,
  format: MetricsFormat,
  lines: string[],
): void {
  const name = METRICS_PREFIX + metric.name;
  const own = labels.map(labelText).join(',');
  if (typeof value === 'number') {
    lines.push(`${name}${own === '' ? '' : `{${own}}`} ${numberText(value)}`);
    return;
  }
  writeHistogram(name, own, value, classicBorders(metric), format, lines);
  if (format === 'openmetrics' && sinceMs !== null)
    lines.push(`${name}_created{${own}} ${numberText(sinceMs / 1_000)}`);
}

function writeHistogram(
  name: string,
  labels: string,
  snapshot: HistogramSnapshot,
  borders: readonly number[],
  format: MetricsFormat,
  lines: string[],
): void {
  // The whole is what the buckets say: a count that came beside them could be below one of theirs.
  const count = snapshot.counts.reduce((sum, one) => sum + one, 0);
  const counts = classicCounts(snapshot, borders);
  const before = labels === '' ? '' : `${labels},`;
  borders.forEach((border, at) => {
    lines.push(`${name}_bucket{${before}le="${borderText(border, format)}"} ${counts[at]}`);
  });
  lines.push(`${name}_bucket{${before}le="+Inf"} ${count}`);
  lines.push(`${name}_sum{${labels}} ${numberText(snapshot.sum)}`);
  lines.push(`${name}_count{${labels}} ${count}`);
}

/** OpenMetrics writes borders as floating-point numbers, so that all producers write the same. */
function borderText(border: number, format: MetricsFormat): string {
  const text = String(border);
  return format === 'openmetrics' && Number.isInteger(border) ? `${text}.0` : text;
}

/** As both formats take it: the shortest decimal that is the same number. */
function numberText(value: number): string {
  return String(value);
}

function labelText([name, value]: Label): string {
  return `${name}="${escaped(value, true)}"`;
}

function escaped(text: string, hasQuotes: boolean): string {
  const always = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return hasQuotes ? always.replaceAll('"', '\\"') : always;
}
