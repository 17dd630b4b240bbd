/** The figures of a repetition by name, the way a comparison or a threshold asks for them. */

import type { HistogramRecord, RepRecord, VariantResult } from './result.ts';

/** What can be asked of a histogram, in microseconds: `ack.p99` is the 99th percentile of the histogram `ack`. */
export const HISTOGRAM_STATISTICS = {
  min: 'minUs',
  mean: 'meanUs',
  p50: 'p50Us',
  p90: 'p90Us',
  p99: 'p99Us',
  'p99.9': 'p999Us',
  max: 'maxUs',
} as const satisfies Record<string, keyof HistogramRecord>;
export type HistogramStatistic = keyof typeof HISTOGRAM_STATISTICS;

/**
 * A figure of a repetition: `perSecond`, `elapsedMs`, the name of a metric, or `histogram.statistic`. Undefined where
 * the repetition has no such figure.
 */
export function figureOf(rep: RepRecord, name: string): number | undefined {
  if (name === 'perSecond' || name === 'elapsedMs') return rep[name];
  if (Object.hasOwn(rep.metrics, name)) return rep.metrics[name] ?? undefined;
  const dot = name.indexOf('.');
  const histogram = name.slice(0, dot);
  const statistic = name.slice(dot + 1);
  if (dot < 0 || !Object.hasOwn(HISTOGRAM_STATISTICS, statistic)) return undefined;
  if (!Object.hasOwn(rep.histograms ?? {}, histogram)) return undefined;
  const record = rep.histograms?.[histogram];
  // Of nothing, every percentile is 0, which would keep every bound.
  if (record === undefined || record.count === 0) return undefined;
  return record[HISTOGRAM_STATISTICS[statistic as HistogramStatistic]];
}

/** A figure of every repetition that has it. */
export function figuresOf({ reps }: Pick<VariantResult, 'reps'>, name: string): number[] {
  return reps.flatMap((rep) => figureOf(rep, name) ?? []);
}

/** The names of all figures that a variant's repetitions have, the most general first. */
export function figureNames(variant: Pick<VariantResult, 'reps'>): string[] {
  const { reps } = variant;
  const histograms = new Set(reps.flatMap((rep) => Object.keys(rep.histograms ?? {})));
  const names = [
    'perSecond',
    'elapsedMs',
    ...[...histograms].flatMap((name) =>
      Object.keys(HISTOGRAM_STATISTICS).map((statistic) => `${name}.${statistic}`),
    ),
    ...new Set(reps.flatMap((rep) => Object.keys(rep.metrics))),
  ];
  return names.filter((name) => figuresOf(variant, name).length > 0);
}

/** True for rates, whose names end in `perSecond`; of all else (times, bytes, flushes) less is better. */
export function isBiggerBetter(name: string): boolean {
  return /perSecond$/i.test(name);
}

/** How many microseconds the unit of a figure has, told by the end of its name; undefined where it is no time. */
export function microsecondsOf(name: string): number | undefined {
  const dot = name.lastIndexOf('.');
  if (dot >= 0) return 1;
  if (name.endsWith('Us')) return 1;
  if (name.endsWith('Ms')) return 1_000;
  return /(^s|S)econds$/.test(name) ? 1_000_000 : undefined;
}
