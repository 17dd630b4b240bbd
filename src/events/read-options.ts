/** What a caller wants read, as an engine takes it: checked, with the defaults filled in. */

import { DEFAULT_READ_EVENTS } from '../core/limits.ts';
import { checkObject, invalidOptions, isPosition } from '../messages/read-options.ts';
import type { ReadEvents } from './engine.ts';
import type { QueryInput, ReadOptions } from './event.ts';
import { toQuery } from './query.ts';

/** As engines know no “all”, a limit that no store reaches. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** Which events an iteration goes through, and how many it holds at a time. */
export interface IterateOptions extends Omit<ReadOptions, 'limit' | 'maxBytes'> {
  /** Events of a page at most. Default: 1,000; fewer where they are large. */
  pageEvents?: number;
}

/** @throws SluiceError `invalid_query`, `invalid_options` */
export function eventRead(query: QueryInput, options: ReadOptions): ReadEvents {
  const checked = toQuery(query);
  checkObject('options', options);
  const { after = 0n, before, backwards = false, limit, maxBytes } = options;
  checkPosition('after', after);
  if (before !== undefined) checkPosition('before', before);
  if (typeof backwards !== 'boolean')
    throw invalidOptions(`backwards must be true or false: ${String(backwards)}`, 'backwards');
  const read = { query: checked, after, before: before ?? null, backwards, limit: limitOf(limit) };
  return maxBytes === undefined ? read : { ...read, maxBytes: countOf('maxBytes', maxBytes) };
}

/** @throws SluiceError `invalid_query`, `invalid_options` */
export function eventIteration(query: QueryInput, options: IterateOptions): ReadEvents {
  checkObject('options', options);
  const { pageEvents = DEFAULT_READ_EVENTS, after, before, backwards } = options;
  const read = eventRead(query, {
    ...(after === undefined ? {} : { after }),
    ...(before === undefined ? {} : { before }),
    ...(backwards === undefined ? {} : { backwards }),
  });
  return { ...read, limit: countOf('pageEvents', pageEvents) };
}

/** @throws SluiceError `invalid_options` */
export function checkPosition(option: string, position: unknown): asserts position is bigint {
  if (isPosition(position)) return;
  throw invalidOptions(
    `${option} must be a bigint from 0 to 2^63 - 1: ${String(position).slice(0, 100)} (${typeof position})`,
    option,
  );
}

/** @throws SluiceError `invalid_options` */
export function countOf(option: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  throw invalidOptions(`${option} must be a whole number from 1: ${String(value)}`, option);
}

function limitOf(limit: number | 'unlimited' | undefined): number {
  if (limit === undefined) return DEFAULT_READ_EVENTS;
  if (limit === 'unlimited') return UNLIMITED;
  if (Number.isSafeInteger(limit) && limit >= 1) return limit;
  throw invalidOptions(`limit must be 'unlimited' or a whole number from 1: ${String(limit)}`, 'limit');
}
