/** The report for programs, and for later comparisons. */

import { SluiceError } from '../../src/core/errors.ts';
import type { BenchResult } from '../result.ts';

export function jsonReport(result: BenchResult): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

/**
 * Reads a result that was written before, by this version or an older one.
 *
 * @param where what the text is, for the message
 * @throws SluiceError `invalid_options` where it is no result of the bench
 */
export function readResult(text: string, where: string): BenchResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SluiceError('invalid_options', `${where} is not JSON, so no result of the bench`, {
      cause: error,
    });
  }
  if (!isResult(value)) {
    throw new SluiceError(
      'invalid_options',
      `${where} is no result of the bench: it must have "schemaVersion": 1, "suite", "variants" and all else that the schema asks for`,
    );
  }
  // Results of older versions numbered the repetitions by their place alone.
  for (const { reps } of value.variants) for (const [index, rep] of reps.entries()) rep.rep ??= index + 1;
  return value;
}

function isResult(value: unknown): value is BenchResult {
  if (typeof value !== 'object' || value === null) return false;
  const { schemaVersion, suite, startedAt, variants, notes, ...more } = value as Partial<BenchResult>;
  return (
    schemaVersion === 1 &&
    typeof suite === 'string' &&
    typeof startedAt === 'string' &&
    [more.tool, more.machine, more.database, more.config].every(isObject) &&
    Array.isArray(notes) &&
    Array.isArray(variants) &&
    variants.every(
      (variant) =>
        Array.isArray(variant?.reps) &&
        variant.reps.every((rep) => isObject(rep) && isObject(rep.metrics)) &&
        isObject(variant.summary) &&
        isObject(variant.summary.perSecond),
    )
  );
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
