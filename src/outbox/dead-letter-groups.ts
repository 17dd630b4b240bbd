/** Dead letters by why they were refused: what an operator looks at first, as thousands of them often have one cause. */

import type { Sqlite } from '../database/sqlite.ts';
import type { Refuser } from './refusal.ts';

/** What letters of a group have in common, null where they say nothing of it. */
export interface DeadLetterGroupKey {
  by: Refuser | null;
  sqlState: string | null;
  column: string | null;
  constraint: string | null;
}

export interface DeadLetterGroup {
  key: DeadLetterGroupKey;
  count: number;
  /** The reason of the latest one; those of the others may have other values in them. */
  reason: string;
  firstFailedAtMs: number;
  lastFailedAtMs: number;
}

/** Groups that one answer has, the largest first. */
export const MAX_DEAD_LETTER_GROUPS = 100;

interface GroupRow {
  refused_by: Refuser | null;
  sql_state: string | null;
  column_name: string | null;
  constraint_name: string | null;
  count: number;
  last_id: number;
  reason: string;
  first_ms: number;
  last_ms: number;
}

/** The groups of a shard's letters, the largest first, at most `MAX_DEAD_LETTER_GROUPS`. */
export function groupLetters(sqlite: Sqlite): DeadLetterGroup[] {
  return sqlite
    .run<GroupRow>(
      `select *, (select reason from dead_letters where id = last_id) as reason from (
        select refused_by, sql_state, column_name, constraint_name, count(*) as count, max(id) as last_id,
          min(failed_at_ms) as first_ms, max(failed_at_ms) as last_ms
          from dead_letters group by refused_by, sql_state, column_name, constraint_name
          order by count desc, last_id limit ?)`,
      MAX_DEAD_LETTER_GROUPS,
    )
    .map((row) => ({
      key: {
        by: row.refused_by,
        sqlState: row.sql_state,
        column: row.column_name,
        constraint: row.constraint_name,
      },
      count: row.count,
      reason: row.reason,
      firstFailedAtMs: row.first_ms,
      lastFailedAtMs: row.last_ms,
    }));
}
