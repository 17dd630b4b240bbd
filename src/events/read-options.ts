/** What a caller wants read, as an engine takes it: checked, with the defaults filled in. */

import { DEFAULT_READ_EVENTS } from '../core/limits.ts';
import { checkObject, checkPosition, countOf, invalidOptions, limitOf } from '../store/options.ts';
import type { ReadEvents } from './engine.ts';
import type { QueryInput, ReadOptions } from './event.ts';
import { toQuery } from './query.ts';

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
  const read = {
    query: checked,
    after,
    before: before ?? null,
    backwards,
    limit: limitOf('limit', limit, DEFAULT_READ_EVENTS),
  };
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
