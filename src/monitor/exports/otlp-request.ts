/**
 * Figures as OTLP/HTTP sends them in JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): names in lowerCamelCase,
 * 64-bit whole numbers as text, enumerations as numbers. Everything is cumulative. Names are those of `/metrics`.
 */

import {
  type HistogramSnapshot,
  MIN_INDEX,
  ZERO_INDEX,
  ZERO_THRESHOLD,
} from '../../core/exponential-histogram.ts';
import { type Family, familiesOf, type Label, type Point } from '../families.ts';
import type { Metric } from '../metrics.ts';
import { METRICS_PREFIX } from '../prometheus-text.ts';
import type { NewFigures } from './exporter.ts';

/** Points of one request; histograms are some kilobytes each. */
const MAX_BATCH_POINTS = 1_000;

/** AGGREGATION_TEMPORALITY_CUMULATIVE. */
const CUMULATIVE = 2;
/** 2^(2^-4) from one bucket to the next. */
const SCALE = 4;

export interface OtlpResource {
  /** `service.name` */
  service: string;
  /** `service.instance.id` */
  instance: string;
}

/** What one request carries. */
export interface OtlpBatch {
  points: number;
  /** Made when it is sent: many of them as text at once would be many megabytes. */
  body: () => string;
}

export function otlpBatches(figures: NewFigures, resource: OtlpResource): OtlpBatch[] {
  return split(familiesOf(figures)).map((families) => ({
    points: families.reduce((sum, { points }) => sum + points.length, 0),
    body: () => JSON.stringify(requestOf(families, resource, figures.version)),
  }));
}

function split(families: readonly Family[]): Family[][] {
  const batches: Family[][] = [];
  let room = 0;
  for (const { metric, points } of families) {
    for (let from = 0; from < points.length; ) {
      if (room === 0) {
        batches.push([]);
        room = MAX_BATCH_POINTS;
      }
      const some = points.slice(from, from + room);
      batches.at(-1)?.push({ metric, points: some });
      from += some.length;
      room -= some.length;
    }
  }
  return batches;
}

function requestOf(
  families: readonly Family[],
  { service, instance }: OtlpResource,
  version: string,
): object {
  const attributes = attributesOf([
    ['service.name', service],
    ['service.version', version],
    ['service.instance.id', instance],
  ]);
  return {
    resourceMetrics: [
      {
        resource: { attributes },
        scopeMetrics: [{ scope: { name: 'sluice', version }, metrics: families.map(metricOf) }],
      },
    ],
  };
}

function metricOf({ metric, points }: Family): object {
  const { name, help, unit } = metric;
  return {
    name: METRICS_PREFIX + name,
    description: help,
    // A unit of 1 would be a ratio for those who name series by their units.
    unit: unit === '1' ? '' : unit,
    ...dataOf(metric, points),
  };
}

function dataOf({ type }: Metric, points: readonly Point[]): object {
  switch (type) {
    case 'gauge':
      return { gauge: { dataPoints: points.map(numberPoint) } };
    case 'counter':
      return {
        sum: { aggregationTemporality: CUMULATIVE, isMonotonic: true, dataPoints: points.map(numberPoint) },
      };
    case 'histogram':
      return {
        exponentialHistogram: { aggregationTemporality: CUMULATIVE, dataPoints: points.map(histogramPoint) },
      };
  }
}

function numberPoint({ labels, value, atMs }: Point): object {
  // Totals outlive what would know when they began: no start is said, which the protocol allows.
  return { ...attributed(labels), timeUnixNano: nanos(atMs), asDouble: value as number };
}

function histogramPoint({ labels, value, atMs, sinceMs }: Point): object {
  const { sum, max, indexes, counts } = value as HistogramSnapshot;
  const zeros = indexes[0] === ZERO_INDEX ? (counts[0] as number) : 0;
  const offset = indexes[zeros === 0 ? 0 : 1] ?? MIN_INDEX;
  const last = indexes.at(-1) ?? ZERO_INDEX;
  const buckets = new Array<number>(Math.max(0, last - offset + 1)).fill(0);
  for (const [at, index] of indexes.entries())
    if (index !== ZERO_INDEX) buckets[index - offset] = counts[at] as number;
  const count = counts.reduce((all, one) => all + one, 0);
  return {
    ...attributed(labels),
    ...(sinceMs === null ? {} : { startTimeUnixNano: nanos(sinceMs) }),
    timeUnixNano: nanos(atMs),
    count: String(count),
    sum,
    ...(count === 0 ? {} : { max }),
    scale: SCALE,
    zeroCount: String(zeros),
    zeroThreshold: ZERO_THRESHOLD,
    ...(buckets.length === 0 ? {} : { positive: { offset, bucketCounts: buckets.map(String) } }),
  };
}

// What is empty is not said, as in the protocol's binary form.
function attributed(labels: readonly Label[]): object {
  return labels.length === 0 ? {} : { attributes: attributesOf(labels) };
}

function attributesOf(labels: readonly Label[]): object[] {
  return labels.map(([key, value]) => ({ key, value: { stringValue: value } }));
}

/** Nanoseconds since 1970, as text: they are no whole number in a double. */
function nanos(ms: number): string {
  return (BigInt(Math.round(ms)) * 1_000_000n).toString();
}
