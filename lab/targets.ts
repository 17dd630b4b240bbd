/** What a suite demands of its own figures, as data, and whether a run met it. */

import type { JudgedTarget, VariantResult } from './result.ts';
import { median } from './statistics/median.ts';

export interface Target {
  /** What is looked at, for the report. */
  title: string;
  variant: string;
  /** A metric of the repetitions, or `perSecond`. */
  metric: string;
  /** The figure is told in multiples of the same one of this variant, see `ratioOf`. */
  per?: string;
  bound: { atMost: number } | { atLeast: number };
  /** Comes after the figure: `×` for a ratio, else the metric's unit. */
  unit: string;
}

/** Judges the targets whose variants have run; the others are left out. */
export function judgeTargets(targets: readonly Target[], variants: readonly VariantResult[]): JudgedTarget[] {
  const find = (name: string): VariantResult | undefined =>
    variants.find((candidate) => candidate.name === name);
  return targets.flatMap(({ title, variant, metric, per, bound, unit }) => {
    const own = find(variant);
    const figure = per === undefined ? medianOf(own, metric) : ratioOf(own, find(per), metric);
    if (figure === undefined) return [];
    const isMet = 'atMost' in bound ? figure <= bound.atMost : figure >= bound.atLeast;
    return [{ title, figure, unit, bound, isMet }];
  });
}

/**
 * A figure of one variant in multiples of another's: the median over the ratios of each repetition, whose variants ran
 * one soon after the other. What the machine did meanwhile meets both alike; medians of each, taken minutes apart, it
 * would not. Undefined where either has no such figure.
 */
export function ratioOf(
  variant: VariantResult | undefined,
  per: VariantResult | undefined,
  metric: string,
): number | undefined {
  if (variant === undefined || per === undefined) return undefined;
  const ratios = variant.reps.flatMap((rep) => {
    const own = figureOf(rep, metric);
    const other = figureOf(
      per.reps.find((candidate) => candidate.rep === rep.rep),
      metric,
    );
    return own === undefined || other === undefined || other === 0 ? [] : [own / other];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}

function medianOf(variant: VariantResult | undefined, metric: string): number | undefined {
  const figures = variant?.reps.flatMap((rep) => figureOf(rep, metric) ?? []) ?? [];
  return figures.length === 0 ? undefined : median(figures);
}

function figureOf(rep: VariantResult['reps'][number] | undefined, metric: string): number | undefined {
  return metric === 'perSecond' ? rep?.perSecond : (rep?.metrics[metric] ?? undefined);
}
