/** What the functions of both stores in Postgres have in common: how they are planned, and how they lock. */

import { LOCK_TIME_LIMIT_MS } from '../core/limits.ts';
import { quoteName } from '../core/sql-text.ts';

/**
 * Settings of a function that reads. A scan of the table, or of an index with a sort after it, is what statistics
 * could talk the planner into; it costs as much as there are rows. A generic plan is made once, without looking at the
 * parameters.
 */
export const INDEX_ORDER_ONLY = [
  'set enable_seqscan = off',
  'set enable_bitmapscan = off',
  'set enable_sort = off',
  'set plan_cache_mode = force_generic_plan',
  // Parallel workers and JIT cost more to start than any of these statements takes.
  'set max_parallel_workers_per_gather = 0',
  'set jit = off',
].join(' ');

/** Settings of what appends: all that can matter to look-ups of single rows; each costs a call about 1.5 µs. */
export const APPEND_SETTINGS = [
  'set enable_seqscan = off',
  'set enable_sort = off',
  'set plan_cache_mode = force_generic_plan',
  `set lock_timeout = ${LOCK_TIME_LIMIT_MS}`,
].join(' ');

/**
 * The start of a function that writes: takes the lock of a store, and refuses transactions that would not see what was
 * committed before they got it.
 *
 * @param lock the table that is locked
 * @param store what an error calls the store, such as `A message store`
 */
export function lockStatements(schema: string, lock: string, store: string): string {
  return `
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception '${store} is written at READ COMMITTED, not at %', current_setting('transaction_isolation')
      using errcode = 'invalid_transaction_state';
  end if;
  lock table ${quoteName(schema)}.${lock} in share update exclusive mode;`;
}
