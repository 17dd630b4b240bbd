/** What pg_stat_statements knows of our own statements: those that write to the tables of sinks, or to Sluice's own. */

import { quoteText } from '../core/sql-text.ts';
import {
  type Server,
  type ServerQuestions,
  STATEMENTS_NOT_INSTALLED,
  statementsReason,
} from './server-questions.ts';
import { statementText } from './statement-text.ts';

/** Statements that are told, those that took the most time. A bulk INSERT counts once, whatever its number of rows. */
const MAX_STATEMENTS = 20;
/** Entries that are added up to them: a bulk INSERT has one for each number of rows. */
const MAX_ENTRIES = 500;
/** What is read of a statement's text; the name of its table stands at the beginning. */
const STATEMENT_CHARACTERS = 2_000;
/** For how long it is remembered which statements are ours. */
const REMEMBERED_MS = 600_000;

/** How writers begin a statement. */
const WRITES = '^\\s*(copy|insert|update|delete|call|create\\s+temporary)\\M';

/**
 * Which entries are our statements. To find that, the server reads the texts of all statements from a file, which may have tens of
 * megabytes where rows are written in bulk; so it is kept for ten minutes.
 */
export class StatementMemory {
  #labels = new Map<string, string>();
  #freshUntilMs = 0;

  /** Their texts by their ids; undefined where it has to be asked again. */
  labels(atMs: number): ReadonlyMap<string, string> | undefined {
    return atMs < this.#freshUntilMs ? this.#labels : undefined;
  }

  remember(labels: Map<string, string>, atMs: number): void {
    this.#labels = labels;
    // Right after a start hardly any of them has run.
    this.#freshUntilMs = labels.size === 0 ? 0 : atMs + REMEMBERED_MS;
  }
}

export interface OwnStatement {
  /** Without literals, at most 160 characters. */
  text: string;
  calls: number;
  seconds: number;
}

/**
 * Our statements since the server's statistics were reset, those with the most time first. Undefined where they cannot be had,
 * which is noted.
 *
 * @param names texts of which one stands in each of our statements: quoted names of tables
 */
export async function readOwnStatements(
  questions: ServerQuestions,
  server: Server,
  names: readonly string[],
  memory: StatementMemory,
  atMs: number,
): Promise<OwnStatement[] | undefined> {
  const { statementsSchema: schema, statementsVersion } = server;
  if (schema === null) {
    questions.name('statements', STATEMENTS_NOT_INSTALLED);
    return undefined;
  }
  try {
    let labels = memory.labels(atMs);
    if (labels === undefined) {
      const found = await findOwn(questions, schema, statementsVersion, names);
      memory.remember(found, atMs);
      labels = found;
    }
    if (labels.size === 0) return [];
    const ids = [...labels.keys()].map((id) => quoteText(id)).join(', ');
    const rows = await questions.query<{ id: string; calls: number; seconds: number }>(
      `select queryid::text as id, sum(calls)::float8 as calls, sum(${totalTime(statementsVersion)})::float8 / 1000 as seconds
        from ${schema}.pg_stat_statements(false)
        where ${HERE} and queryid::text in (${ids})${topLevel(statementsVersion)} group by 1`,
    );
    return added(rows, labels);
  } catch (error) {
    questions.name('statements', statementsReason(error));
    return undefined;
  }
}

const HERE = 'dbid = (select oid from pg_database where datname = current_database())';

async function findOwn(
  questions: ServerQuestions,
  schema: string,
  version: Server['statementsVersion'],
  names: readonly string[],
): Promise<Map<string, string>> {
  if (names.length === 0) return new Map();
  const places = names.map(
    (name) => `position(${quoteText(name)} in left(query, ${STATEMENT_CHARACTERS})) > 0`,
  );
  const rows = await questions.query<{ id: string; text: string }>(
    `select queryid::text as id, max(left(query, ${STATEMENT_CHARACTERS})) as text
      from ${schema}.pg_stat_statements(true)
      where ${HERE} and queryid is not null and query ~* ${quoteText(WRITES)} and (${places.join(' or ')})${topLevel(version)}
      group by 1 order by sum(${totalTime(version)}) desc limit ${MAX_ENTRIES}`,
  );
  return new Map(rows.map(({ id, text }) => [id, statementText(text)]));
}

function added(
  rows: readonly { id: string; calls: number; seconds: number }[],
  labels: ReadonlyMap<string, string>,
): OwnStatement[] {
  const byText = new Map<string, OwnStatement>();
  for (const { id, calls, seconds } of rows) {
    const text = labels.get(id) as string;
    const sum = byText.get(text) ?? { text, calls: 0, seconds: 0 };
    sum.calls += calls;
    sum.seconds += seconds;
    byText.set(text, sum);
  }
  return [...byText.values()]
    .toSorted((left, right) => right.seconds - left.seconds)
    .slice(0, MAX_STATEMENTS);
}

function totalTime([major, minor]: Server['statementsVersion']): string {
  return major > 1 || minor >= 8 ? 'total_exec_time' : 'total_time';
}

// What a trigger or a function runs is part of the statement that calls it.
function topLevel([major, minor]: Server['statementsVersion']): string {
  return major > 1 || minor >= 9 ? ' and toplevel' : '';
}
