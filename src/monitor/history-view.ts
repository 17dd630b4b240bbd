/** Makes series for charts from the points of one shard or of several. */

import { SluiceError } from '../core/errors.ts';
import { percentileMs } from './buckets.ts';
import { type History, TIERS, type TimedPoint } from './history.ts';
import { type HistoryQuestion, RANGES } from './history-question.ts';
import { mergeInTime, mergeShards, POINT_PEAKS, POINT_SUMS, type Point } from './point.ts';
import type { MonitorEvent } from './shard-report.ts';
import { type HistoryView, SERIES, type SeriesName } from './view.ts';

/** Points that one question reads at most: a second or two of work. */
const MAX_POINTS = 200_000;

type Series = HistoryView['series'];

/**
 * @param shards the ids of the shards that are asked for
 * @throws SluiceError `invalid_options` where that is too much at once
 */
export function historyView(
  history: History,
  shards: readonly number[],
  { range }: HistoryQuestion,
  nowMs: number,
  markers: readonly MonitorEvent[],
): HistoryView {
  const { rangeMs, stepMs } = RANGES[range];
  // The coarsest tier whose steps fit.
  const tier = TIERS.findLastIndex((one) => one.stepMs <= stepMs);
  const tierStepMs = (TIERS[tier] as (typeof TIERS)[number]).stepMs;
  if (shards.length * (rangeMs / tierStepMs) > MAX_POINTS)
    throw new SluiceError(
      'invalid_options',
      `Cannot read ${range} of ${shards.length} shards at once: name one sink, or one shard, or a shorter range`,
    );
  const toMs = (Math.floor(nowMs / stepMs) + 1) * stepMs;
  const fromMs = toMs - rangeMs;
  const steps = new Array<Point | undefined>(rangeMs / stepMs).fill(undefined);
  for (const shard of shards) {
    // First the shard's own steps, whose peaks are the highest of their time; then those of the others are added.
    const own = new Map<number, Point>();
    for (const { atMs, point } of history.read(shard, tier, fromMs, toMs) as TimedPoint[]) {
      const at = Math.floor((atMs - fromMs) / stepMs);
      const known = own.get(at);
      own.set(at, known === undefined ? point : mergeInTime(known, point));
    }
    for (const [at, point] of own) {
      const known = steps[at];
      steps[at] = known === undefined ? point : mergeShards(known, point);
    }
  }
  return { fromMs, stepMs, series: seriesOf(steps, stepMs / 1_000), markers: [...markers] };
}

/** Rates per second, peaks, and percentiles of steps; null where nothing was reported. */
export function seriesOf(steps: readonly (Point | undefined)[], seconds: number): Series {
  const series = Object.fromEntries(SERIES.map((name) => [name, [] as (number | null)[]])) as Series;
  for (const point of steps) {
    const values: Partial<Record<SeriesName, number | null>> = {};
    if (point !== undefined) {
      for (const name of POINT_SUMS) values[name] = point[name] / seconds;
      for (const name of POINT_PEAKS) values[name] = point[name];
      values.ackP50Ms = percentileMs(point.ack, 0.5);
      values.ackP90Ms = percentileMs(point.ack, 0.9);
      values.ackP99Ms = percentileMs(point.ack, 0.99);
      values.flushP50Ms = percentileMs(point.flush, 0.5);
      values.flushP90Ms = percentileMs(point.flush, 0.9);
      values.flushP99Ms = percentileMs(point.flush, 0.99);
      values.batchMessages = point.batches === 0 ? null : point.committed / point.batches;
    }
    for (const name of SERIES) series[name].push(values[name] ?? null);
  }
  return series;
}
