/**
 * The input of github-action-benchmark, which draws a project's figures over time. Its tools `customBiggerIsBetter` and
 * `customSmallerIsBetter` take a list each (https://github.com/benchmark-action/github-action-benchmark, README,
 * "Examples").
 */

import type { BenchResult, RepRecord, VariantResult } from '../result.ts';
import { median } from '../statistics/median.ts';

export interface ActionFigure {
  name: string;
  unit: string;
  value: number;
  range?: string;
  extra?: string;
}

/** Rates, and latencies: a file for each of the two tools. An invalid run has no figures: none of them counts. */
export function githubActionReports(result: BenchResult): {
  bigger: ActionFigure[];
  smaller: ActionFigure[];
} {
  const measured =
    result.state === 'invalid' ? [] : result.variants.filter(({ role }) => role === 'measured');
  const extra = `${Object.values(result.machine).join(', ')}; ${result.database.version ?? 'no database'}`;
  return {
    bigger: measured.map(({ name, summary: { perSecond } }) => ({
      name: `${result.suite} / ${name}`,
      unit: `${result.unit}/s`,
      value: perSecond.median,
      range: `± ${(perSecond.max - perSecond.min) / 2}`,
      extra,
    })),
    smaller: measured.flatMap((variant) =>
      latencyNames(variant).flatMap((latency) => {
        const values = variant.reps.flatMap((rep) => p99Ms(rep, latency));
        const name = `${result.suite} / ${variant.name} / ${latency} p99`;
        return values.length === 0 ? [] : [{ name, unit: 'ms', value: median(values), extra }];
      }),
    ),
  };
}

function latencyNames({ reps }: VariantResult): string[] {
  return [...new Set(reps.flatMap(({ histograms }) => Object.keys(histograms ?? {})))];
}

function p99Ms({ histograms }: RepRecord, latency: string): number[] {
  const record = histograms?.[latency];
  return record === undefined ? [] : [record.p99Us / 1000];
}
