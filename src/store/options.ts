/** Checks of what callers give to a store: the same for messages and for events. */

import { SluiceError } from '../core/errors.ts';

/** Largest position of Message DB, and of a Postgres column: a larger one would fail the whole group in the database. */
const MAX_INT64 = 9_223_372_036_854_775_807n;

/** As engines know no “all”, a limit that no store reaches. */
export const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** @throws SluiceError `invalid_options` for what is not an object */
export function checkObject(option: string, value: unknown): void {
  if (typeof value === 'object' && value !== null) return;
  throw invalidOptions(`${option}: ${value === null ? 'null' : typeof value} is not an object`, option);
}

/** True for a bigint from 0 to 2^63 - 1. */
export function isPosition(value: unknown): value is bigint {
  return typeof value === 'bigint' && value >= 0n && value <= MAX_INT64;
}

/** @throws SluiceError `invalid_options` for what is no position */
export function checkPosition(option: string, position: unknown): asserts position is bigint {
  if (isPosition(position)) return;
  throw invalidOptions(
    `${option} must be a bigint from 0 to 2^63 - 1: ${String(position).slice(0, 100)} (${typeof position})`,
    option,
  );
}

/** @throws SluiceError `invalid_options` for what is no whole number from 1 */
export function countOf(option: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  throw invalidOptions(`${option} must be a whole number from 1: ${String(value)}`, option);
}

/** `countOf` an option, or its default where it was left out. @throws SluiceError `invalid_options` */
export function countOption<Name extends string>(
  options: { [Key in Name]?: unknown },
  name: Name,
  fallback: number,
): number {
  const value = options[name];
  return value === undefined ? fallback : countOf(name, value);
}

/** How many a read returns at most. @throws SluiceError `invalid_options` */
export function limitOf(option: string, limit: number | 'unlimited' | undefined, fallback: number): number {
  if (limit === undefined) return fallback;
  if (limit === 'unlimited') return UNLIMITED;
  if (Number.isSafeInteger(limit) && limit >= 1) return limit;
  throw invalidOptions(`${option} must be 'unlimited' or a whole number from 1: ${String(limit)}`, option);
}

export function invalidOptions(sentence: string, option: string): SluiceError {
  return new SluiceError('invalid_options', sentence, { details: { option } });
}

/** True for a list, false for one. */
export function isList<Item>(value: Item | readonly Item[]): value is readonly Item[] {
  return Array.isArray(value);
}
