/** What a reader has to know before trusting the figures of a run. */

import type { Comparison, RepRecord, VariantResult, Warning } from '../result.ts';
import { MIN_VALUES_FOR_OUTLIERS, outliersOf } from '../statistics/outliers.ts';
import { steadinessOf } from '../statistics/steadiness.ts';

/** The warnings that the hosts gave, and those that the figures themselves give. Each is told once. */
export function runWarnings(
  variants: readonly VariantResult[],
  comparisons: readonly Comparison[],
): Warning[] {
  const warnings = [
    ...variants.flatMap(({ reps }) => reps.flatMap((rep) => rep.warnings ?? [])),
    ...variants.flatMap(unsteady),
    ...variants.flatMap(checkpoints),
    ...variants.flatMap(outliers),
    ...tooFewRuns(comparisons),
  ];
  return [...new Map(warnings.map((warning) => [JSON.stringify(warning), warning])).values()];
}

/** Statements that should have been prepared went without names. */
export const UNNAMED_STATEMENTS: Warning = {
  code: 'unnamed_statements',
  where: '',
  text: 'the database is behind a transaction pooler that does not know prepared names (it hands each transaction to another connection of the server): statements went without, and were parsed each time; take the direct address for figures that can be compared',
};

function unsteady({ name, reps }: VariantResult): Warning[] {
  const drifts = reps.flatMap(({ windows = [] }) => {
    const { verdict, drift } = steadinessOf(windows);
    // Without a drift where the first third did nothing.
    return verdict === 'not steady' ? [drift ?? Infinity] : [];
  });
  if (drifts.length === 0) return [];
  const most = drifts.reduce((left, right) => (Math.abs(right) > Math.abs(left) ? right : left));
  const percent = `${Math.abs(most * 100).toFixed(0)} %`;
  const what =
    most === Infinity
      ? 'did nothing in its first third'
      : `ended up to ${percent} ${most > 0 ? 'faster' : 'slower'} than it began`;
  return [
    {
      code: 'not_steady',
      where: name,
      text: `${timesText(drifts.length, reps)} ${what}; take more messages`,
    },
  ];
}

function checkpoints({ name, reps }: VariantResult): Warning[] {
  const count = reps.filter(({ server }) => (server?.checkpoints ?? 0) > 0).length;
  if (count === 0) return [];
  return [
    {
      code: 'checkpoint_during_run',
      where: name,
      text: `the server wrote a checkpoint during ${timesText(count, reps)}: pages are written to the WAL whole after it; only compare within this run`,
    },
  ];
}

function outliers({ name, reps }: VariantResult): Warning[] {
  if (reps.length < MIN_VALUES_FOR_OUTLIERS) return [];
  const found = outliersOf(reps.map(({ perSecond }) => perSecond)).map((index) => reps[index] as RepRecord);
  if (found.length === 0) return [];
  return [
    {
      code: 'outlier',
      where: name,
      text: `repetition ${found.map(({ rep }) => rep).join(', ')} is far from the others: something else used the machine, or the system has two ways to behave`,
    },
  ];
}

function tooFewRuns(comparisons: readonly Comparison[]): Warning[] {
  if (!comparisons.some(({ verdict }) => verdict === 'too few runs')) return [];
  return [
    {
      code: 'too_few_runs',
      where: '',
      text: 'with so few repetitions no difference could be told from chance, however large; take more with --reps (10 are enough for most tables)',
    },
  ];
}

function timesText(count: number, reps: readonly RepRecord[]): string {
  return reps.length === 1 ? 'the repetition' : `${count} of ${reps.length} repetitions`;
}
