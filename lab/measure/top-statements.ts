/** Which statements took the server's time between two looks at pg_stat_statements. */

import { quoteText } from '../../src/core/sql-text.ts';
import {
  type ServerQuestions,
  STATEMENTS_NOT_INSTALLED,
  statementsReason,
} from '../../src/monitor/server-questions.ts';
import { statementText } from '../../src/monitor/statement-text.ts';
import type { ServerFigures } from '../result.ts';

const TOP_STATEMENTS = 10;
/** Statements that are remembered from the beginning: twice what pg_stat_statements keeps by default. */
const MAX_STATEMENTS = 10_000;
/** What is read of a statement's text. Its report is shorter still; a bulk INSERT has hundreds of kilobytes. */
const STATEMENT_CHARACTERS = 2_000;

type Statements = NonNullable<ServerFigures['statements']>;

export interface StatementCounters {
  calls: number;
  rows: number;
  totalMs: number;
}

/** The counters of all statements by their ids; undefined where they cannot be had, which is noted. */
export async function readStatements(
  questions: ServerQuestions,
  version: number,
  schema: string | null,
): Promise<Map<string, StatementCounters> | undefined> {
  if (schema === null) {
    questions.name('statements', STATEMENTS_NOT_INSTALLED);
    return undefined;
  }
  try {
    const rows = await questions.query<{ id: string | null; calls: number; rows: number; total: number }>(
      `select queryid::text as id, sum(calls)::float8 as calls, sum(rows)::float8 as rows, sum(${totalTime(version)})::float8 as total
        from ${schema}.pg_stat_statements(false)
        where dbid = (select oid from pg_database where datname = current_database())
        group by 1 order by 4 desc limit ${MAX_STATEMENTS}`,
    );
    if (rows.some(({ id }) => id === null)) {
      questions.name('statements of other roles', 'hidden from this role; grant it pg_read_all_stats');
    }
    return new Map(
      rows.flatMap(({ id, calls, rows: found, total }) =>
        id === null ? [] : [[id, { calls, rows: found, totalMs: total }]],
      ),
    );
  } catch (error) {
    questions.name('statements', statementsReason(error));
    return undefined;
  }
}

/** Those that took the most time between two readings; null where their texts cannot be had, which is noted. */
export async function topStatements(
  questions: ServerQuestions,
  schema: string | null,
  before: ReadonlyMap<string, StatementCounters>,
  after: ReadonlyMap<string, StatementCounters>,
): Promise<Statements | null> {
  const changed = [...after]
    .map(([id, { calls, rows, totalMs }]) => {
      const base = before.get(id) ?? { calls: 0, rows: 0, totalMs: 0 };
      return { id, calls: calls - base.calls, rows: rows - base.rows, totalMs: totalMs - base.totalMs };
    })
    // Fewer calls than before: somebody reset the statistics meanwhile.
    .filter(({ calls }) => calls > 0)
    .toSorted((left, right) => right.totalMs - left.totalMs)
    // The watch's own are among them, and are only known by their texts: it has fewer than ten.
    .slice(0, 2 * TOP_STATEMENTS);
  if (changed.length === 0) return [];
  const ids = changed.map(({ id }) => `${quoteText(id)}::bigint`).join(', ');
  const texts = await questions.ask('texts of statements', () =>
    questions.query<{ id: string; text: string | null; own: boolean }>(
      `select queryid::text as id, max(left(query, ${STATEMENT_CHARACTERS})) as text,
          bool_or(position(${quoteText(questions.mark)} in query) > 0) as own
        from ${schema}.pg_stat_statements(true)
        where dbid = (select oid from pg_database where datname = current_database()) and queryid in (${ids})
        group by 1`,
    ),
  );
  if (texts === undefined) return null;
  const byId = new Map(texts.map((row) => [row.id, row]));
  return changed
    .flatMap(({ id, calls, rows, totalMs }) => {
      const found = byId.get(id);
      if (found === undefined || found.own) return [];
      return [{ text: statementText(found.text ?? ''), calls, rows, meanMs: totalMs / calls, totalMs }];
    })
    .slice(0, TOP_STATEMENTS);
}

function totalTime(version: number): string {
  return version < 130_000 ? 'total_time' : 'total_exec_time';
}
