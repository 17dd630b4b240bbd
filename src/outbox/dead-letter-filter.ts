/** Which dead letters are meant: by their ids, all of them, or by why and when they were refused. */

import { SluiceError } from '../core/errors.ts';
import { MAX_TAKEN_DEAD_LETTERS } from '../core/limits.ts';
import type { SqliteValue } from '../database/sqlite.ts';
import type { DeadLetterGroupKey } from './dead-letter-groups.ts';

/** Some letters by their ids, or every one there is. */
export type DeadLetterIds = readonly number[] | 'all';

/** Letters of one reason, or of a time. A letter has to meet all that is given. */
export interface DeadLetterFilter {
  /** An SQLSTATE, who refused it (`postgres`, `mapping`, `schema`, `sink`), or a part of the reason in any case. */
  reason?: string;
  /** The column that did not fit. */
  column?: string;
  /** Refused at this time or later. */
  sinceMs?: number;
  /** Refused before this time. */
  untilMs?: number;
  /** Those of one group, and no others. */
  group?: DeadLetterGroupKey;
}

export type DeadLetterChoice = DeadLetterIds | DeadLetterFilter;

export function isFilter(choice: DeadLetterChoice): choice is DeadLetterFilter {
  return typeof choice === 'object' && !Array.isArray(choice);
}

/** The condition of a filter in SQL, and what it binds; `true` where nothing is asked for. */
export function conditionOf({ reason, column, sinceMs, untilMs, group }: DeadLetterFilter): {
  condition: string;
  bindings: SqliteValue[];
} {
  const conditions: string[] = [];
  const bindings: SqliteValue[] = [];
  if (reason !== undefined) {
    // Letters of 0.2.0 say by their SQLSTATE alone that it was Postgres.
    conditions.push(
      "(sql_state = ? or coalesce(refused_by, iif(sql_state is null, null, 'postgres')) = ? or instr(lower(reason), lower(?)) > 0)",
    );
    bindings.push(reason, reason, reason);
  }
  if (column !== undefined) {
    conditions.push('column_name = ?');
    bindings.push(column);
  }
  if (sinceMs !== undefined) {
    conditions.push('failed_at_ms >= ?');
    bindings.push(sinceMs);
  }
  if (untilMs !== undefined) {
    conditions.push('failed_at_ms < ?');
    bindings.push(untilMs);
  }
  if (group !== undefined) {
    conditions.push('refused_by is ? and sql_state is ? and column_name is ? and constraint_name is ?');
    bindings.push(group.by, group.sqlState, group.column, group.constraint);
  }
  return { condition: conditions.length === 0 ? 'true' : conditions.join(' and '), bindings };
}

/** @throws SluiceError `invalid_options` for too many ids */
export function assertNumberOfIds(ids: readonly number[]): void {
  if (ids.length <= MAX_TAKEN_DEAD_LETTERS) return;
  throw new SluiceError(
    'invalid_options',
    `Cannot use ${ids.length} ids: at most ${MAX_TAKEN_DEAD_LETTERS} at a time, or "all"`,
  );
}

/** Ids of a choice that were not found. */
export function missingOf(choice: DeadLetterChoice, found: readonly { id: number }[]): number[] {
  if (choice === 'all' || isFilter(choice)) return [];
  const there = new Set(found.map(({ id }) => id));
  return [...new Set(choice)].filter((id) => !there.has(id));
}
