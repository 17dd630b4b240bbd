/** From the repetitions of a run to its result: medians, comparisons, targets, conclusions, warnings. */

import type { OptionsOf, OptionTable } from '../../src/core/option-table.ts';
import type { BenchResult, RepRecord, VariantResult, Warning } from '../result.ts';
import { passes } from '../result.ts';
import { median } from '../statistics/median.ts';
import { spread } from '../statistics/spread.ts';
import { sumAudits } from '../statistics/sum-audits.ts';
import type { Suite, Variant } from '../suite.ts';
import { judgeTargets } from '../targets.ts';
import { runComparisons } from './run-comparisons.ts';
import type { RunState } from './run-state.ts';
import { runWarnings } from './warnings.ts';

/** Facts for the report that the runner cannot know. */
export type RunFacts = Pick<BenchResult, 'tool' | 'machine' | 'database'> & {
  /** What is to be known of every figure that comes from there. */
  warnings?: readonly Warning[];
};

export function resultOf<Table extends OptionTable>(
  suite: Suite<Table>,
  parameters: OptionsOf<Table>,
  { seed, reps, startedAtMs, warmUpMs, records }: RunState,
  { facts, endedAtMs, isAborted }: { facts: RunFacts; endedAtMs: number; isAborted: boolean },
): BenchResult {
  const variants = suite
    .variants(parameters)
    .flatMap((variant) => summarise(variant, records[variant.name] ?? []));
  const isValid = variants.every(({ summary }) => summary.audit === null || passes(summary.audit, suite));
  const comparisons = runComparisons(suite, variants);
  const result: Omit<BenchResult, 'conclusions'> = {
    schemaVersion: 1,
    suite: suite.name,
    title: suite.title,
    unit: suite.unit,
    state: !isValid ? 'invalid' : isAborted ? 'aborted' : 'complete',
    startedAt: new Date(startedAtMs).toISOString(),
    durationMs: endedAtMs - startedAtMs,
    tool: facts.tool,
    machine: facts.machine,
    database: facts.database,
    config: { ...parameters, reps },
    seed,
    ...(warmUpMs === null ? {} : { warmUpMs }),
    variants,
    ...(suite.targets === undefined ? {} : { targets: judgeTargets(suite.targets(parameters), variants) }),
    ...(comparisons.length === 0 ? {} : { comparisons }),
    warnings: [...(facts.warnings ?? []), ...runWarnings(variants, comparisons)],
    notes: suite.notes(parameters),
  };
  const conclusions = suite.conclude?.(result, parameters) ?? [];
  return { ...result, ...(conclusions.length === 0 ? {} : { conclusions: [...conclusions] }) };
}

function summarise({ beside: _, ...variant }: Variant, reps: RepRecord[]): VariantResult[] {
  if (reps.length === 0) return [];
  const metrics: Record<string, number | null> = {};
  for (const metric of new Set(reps.flatMap((rep) => Object.keys(rep.metrics)))) {
    const values = reps.flatMap((rep) => rep.metrics[metric] ?? []);
    metrics[metric] = values.length === 0 ? null : median(values);
  }
  const summary = {
    perSecond: spread(reps.map(({ perSecond }) => perSecond)),
    elapsedMs: spread(reps.map(({ elapsedMs }) => elapsedMs)),
    metrics,
    audit: sumAudits(reps.map(({ audit }) => audit)),
  };
  return [{ ...variant, reps, summary }];
}
