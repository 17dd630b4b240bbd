/** Whether changes against another run can be judged at all: a gate that cannot shut is worse than none. */

import { SluiceError } from '../src/core/errors.ts';
import type { OptionTable } from '../src/core/option-table.ts';
import { differencesOf, isSameVariant } from './compare.ts';
import { figureNames, figuresOf } from './figures.ts';
import type { BenchResult, VariantResult } from './result.ts';
import { holm } from './statistics/holm.ts';
import { smallestP } from './statistics/mann-whitney.ts';
import { ALPHA, repetitionsNeeded } from './statistics/verdict.ts';
import type { Threshold } from './threshold-text.ts';
import { matchesName } from './thresholds.ts';

/** A run that is judged, before or after it ran. */
export interface GatedRun {
  config: Readonly<Record<string, unknown>>;
  /** Its measured variants, with how many repetitions each has. */
  variants: readonly (Pick<VariantResult, 'name' | 'labels'> & { reps: number })[];
  /** Figures that are compared besides those of the thresholds. */
  metrics: readonly string[];
}

/**
 * Refuses relative thresholds that could not fail, or would fail and pass for another reason than the code: other
 * parameters, a figure or a variant that is not there, or so few repetitions that no outcome is called slower.
 *
 * @param parameters of the suite; those that only choose what is compared may differ
 * @throws SluiceError `invalid_options`
 */
export function assertCanFail(
  thresholds: readonly Threshold[],
  base: BenchResult,
  head: GatedRun,
  parameters: OptionTable,
): void {
  const measured = base.variants.filter(({ role }) => role === 'measured');
  for (const { expression, variant, figure } of thresholds) {
    const refuse = (why: string): SluiceError =>
      new SluiceError('invalid_options', `Cannot judge ${JSON.stringify(expression)}: ${why}`);
    if (base.state === 'invalid')
      throw refuse('the base run lost or doubled messages: none of its figures counts');
    const different = differencesOf(
      base.config,
      head.config,
      freeNames(base.config, head.config, parameters),
    );
    if (different.length > 0) {
      throw refuse(`the runs differ in ${different.join('; ')}, so their figures mean different things`);
    }
    const meant = measured.filter(({ name }) => matchesName(variant, name));
    if (meant.length === 0) {
      throw refuse(
        `the base run has no variant ${variant}; there are ${measured.map(({ name }) => name).join(', ')}`,
      );
    }
    if (!meant.some((one) => figuresOf(one, figure).length > 0)) {
      const known = new Set(meant.flatMap(figureNames));
      throw refuse(`the base run has no figure ${figure}; there are ${[...known].join(', ')}`);
    }
    const figures = new Set([...head.metrics, ...thresholds.map((threshold) => threshold.figure)]);
    const pairs = measured.flatMap((one) => {
      const other = head.variants.find((candidate) => isSameVariant(one, candidate));
      return other === undefined
        ? []
        : [...figures].flatMap((name) => {
            const reps = figuresOf(one, name).length;
            return reps === 0 ? [] : [{ isMeant: meant.includes(one), p: smallestP(reps, other.reps) }];
          });
    });
    if (!pairs.some(({ isMeant }) => isMeant)) throw refuse('none of its variants is in both runs');
    const smallest = holm(pairs.map(({ p }) => p));
    if (!pairs.some(({ isMeant }, index) => isMeant && (smallest[index] as number) < ALPHA)) {
      throw refuse(
        `it could never fail: so few repetitions show no difference, however large; take ${repetitionsNeeded(pairs.length)} (--reps) in both`,
      );
    }
  }
}

/** What may differ: how often, what is compared, and what only one of two versions knows. */
function freeNames(
  base: Readonly<Record<string, unknown>>,
  head: Readonly<Record<string, unknown>>,
  parameters: OptionTable,
): ReadonlySet<string> {
  const names = [...Object.keys(base), ...Object.keys(head)];
  return new Set(
    names.filter((name) => {
      const kind = parameters[name]?.kind;
      const isInBoth = Object.hasOwn(base, name) && Object.hasOwn(head, name);
      return !isInBoth || name === 'reps' || kind === 'choices' || kind === 'integers';
    }),
  );
}
