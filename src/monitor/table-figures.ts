/** Sizes and dead rows of tables, with their partitions. */

import { quoteText } from '../core/sql-text.ts';
import { sqlState } from '../database/connection.ts';
import { reason, type ServerQuestions } from './server-questions.ts';

/** Tables that are looked at. */
export const MAX_WATCHED_TABLES = 20;
/** Partitions of a table that are added up. */
const MAX_PARTITIONS = 1_000;

export interface TableFigures {
  /** Its name without the quotes that it can do without. */
  table: string;
  /** Null: not to be had, which is noted. With TOAST; without indexes. */
  tableBytes: number | null;
  indexBytes: number | null;
  deadTuples: number | null;
}

interface Row {
  place: number;
  there: boolean;
  parts: number;
  dead: number | null;
}

interface SizeRow {
  place: number;
  table: number | null;
  index: number | null;
}

/**
 * Figures of tables, as far as they are to be had.
 *
 * @param tables quoted names, with their schema where they have one
 */
export async function readTableFigures(
  questions: ServerQuestions,
  tables: readonly string[],
): Promise<TableFigures[]> {
  const looked = tables.slice(0, MAX_WATCHED_TABLES);
  for (const table of tables.slice(MAX_WATCHED_TABLES))
    questions.name(`the table ${shown(table)}`, `only ${MAX_WATCHED_TABLES} tables are looked at`);
  if (looked.length === 0) return [];
  // By names: `to_regclass` and the counters take no lock.
  const rows = await together(
    questions,
    looked,
    (places) => `${treeOf(places, looked)}
      select place, bool_or(oid is not null) as there, count(oid)::int as parts, sum(pg_stat_get_dead_tuples(oid))::float8 as dead
      from part group by place`,
    'figures',
    (place) => ({ place, there: false, parts: -1, dead: null }) satisfies Row,
  );
  for (const { place, there, parts } of rows) {
    const name = `the table ${shown(looked[place] as string)}`;
    if (!there && parts === 0) questions.name(name, 'it is not in this database');
    if (parts >= MAX_PARTITIONS)
      questions.name(name, `only ${MAX_PARTITIONS} of its partitions are added up`);
  }
  const present = rows.filter(({ there }) => there).map(({ place }) => place);
  // Each takes the weakest lock for a moment, which an ALTER TABLE keeps away.
  const sizes = await together(
    questions,
    looked,
    (places) => `${treeOf(places, looked)}
      select place, sum(pg_table_size(oid))::float8 as table, sum(pg_indexes_size(oid))::float8 as index from part group by place`,
    'size',
    (place) => ({ place, table: null, index: null }) satisfies SizeRow,
    present,
  );
  const sizeOf = new Map(sizes.map((size) => [size.place, size]));
  return rows
    .filter(({ there }) => there)
    .toSorted((left, right) => left.place - right.place)
    .map(({ place, dead }) => ({
      table: shown(looked[place] as string),
      tableBytes: sizeOf.get(place)?.table ?? null,
      indexBytes: sizeOf.get(place)?.index ?? null,
      deadTuples: dead,
    }));
}

/** Asks for all tables in one question; where that fails, for each alone, so that one that is locked hides only itself. */
async function together<Answer extends { place: number }>(
  questions: ServerQuestions,
  tables: readonly string[],
  text: (places: readonly number[]) => string,
  what: string,
  none: (place: number) => Answer,
  places: readonly number[] = tables.map((_, place) => place),
): Promise<Answer[]> {
  if (places.length === 0) return [];
  try {
    return await questions.query<Answer>(text(places));
  } catch (error) {
    if (places.length > 1 && sqlState(error) !== undefined) {
      const answers: Answer[] = [];
      for (const place of places)
        answers.push(...(await together(questions, tables, text, what, none, [place])));
      return answers;
    }
    for (const place of places)
      questions.name(`${what} of ${shown(tables[place] as string)}`, tableReason(error));
    return places.map(none);
  }
}

// lock_not_available
function tableReason(error: unknown): string {
  return sqlState(error) === '55P03'
    ? 'the table is locked, as by an ALTER TABLE'
    : reason(error, 'usage on its schema');
}

/** Each table with all of its partitions, which have the rows. */
function treeOf(places: readonly number[], tables: readonly string[]): string {
  const roots = places.map((place) => `(${place}, to_regclass(${quoteText(tables[place] as string)})::oid)`);
  return `with recursive tree (place, oid) as (
      select * from (values ${roots.join(', ')}) as roots
      union
      select place, inhrelid from tree join pg_inherits on inhparent = tree.oid
    ), numbered as (
      select place, oid, row_number() over (partition by place) as number from tree
    ), part as (
      select place, oid from numbered where number <= ${MAX_PARTITIONS}
    )`;
}

/** A name without the quotes that it can do without. */
function shown(quoted: string): string {
  return quoted.replaceAll(/"([a-z_][a-z0-9_$]*)"/g, '$1');
}
