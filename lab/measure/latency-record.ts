/** Latencies in the form of a result. */

import { ExponentialHistogram } from '../../src/core/exponential-histogram.ts';
import type { HistogramRecord } from '../result.ts';
import { Histogram } from '../statistics/histogram.ts';

/**
 * What a shard or a client measured; undefined where nothing was. Its digits are those of its source, whose percentiles
 * are within 2.3 %.
 */
export function latencyRecord(latency: ExponentialHistogram): HistogramRecord | undefined {
  if (latency.count === 0) return undefined;
  const histogram = new Histogram();
  for (const [seconds, count] of latency.buckets()) histogram.record(seconds * 1_000_000, count);
  return histogram.toRecord();
}

/** Several of them by their names, without those that measured nothing. */
export function latencyRecords(
  latencies: Record<string, ExponentialHistogram>,
): Record<string, HistogramRecord> {
  return Object.fromEntries(
    Object.entries(latencies).flatMap(([name, latency]) => {
      const record = latencyRecord(latency);
      return record === undefined ? [] : [[name, record]];
    }),
  );
}

/** How long the flushes of some shards took. */
export function flushLatency(
  shards: readonly { latency: Parameters<ExponentialHistogram['merge']>[0] }[],
): ExponentialHistogram {
  const merged = new ExponentialHistogram();
  for (const { latency } of shards) merged.merge(latency);
  return merged;
}

/** A percentile in milliseconds of durations in seconds; null where there is none. */
export function percentileMs(latency: ExponentialHistogram, quantile: number): number | null {
  const seconds = latency.percentile(quantile);
  return seconds === undefined ? null : seconds * 1_000;
}

/**
 * Durations that are all known. The percentiles are exact: an operation of a few microseconds has steps of a tenth of
 * itself in the whole microseconds of the histogram.
 *
 * @param sortedMs ascending
 */
export function exactLatencyRecord(sortedMs: Float64Array): HistogramRecord {
  const histogram = new Histogram();
  let sumUs = 0;
  for (const ms of sortedMs) {
    histogram.record(ms * 1_000);
    sumUs += ms * 1_000;
  }
  const record = histogram.toRecord();
  if (sortedMs.length === 0) return record;
  return {
    ...record,
    minUs: (sortedMs[0] as number) * 1_000,
    meanUs: sumUs / sortedMs.length,
    p50Us: percentileUs(sortedMs, 0.5) ?? 0,
    p90Us: percentileUs(sortedMs, 0.9) ?? 0,
    p99Us: percentileUs(sortedMs, 0.99) ?? 0,
    p999Us: percentileUs(sortedMs, 0.999) ?? 0,
    maxUs: (sortedMs.at(-1) as number) * 1_000,
  };
}

/** @param sortedMs ascending @param share 0 to 1 @returns null where there is none */
export function percentileUs(sortedMs: Float64Array, share: number): number | null {
  const value = sortedMs[Math.min(sortedMs.length - 1, Math.floor(sortedMs.length * share))];
  return value === undefined ? null : value * 1_000;
}
