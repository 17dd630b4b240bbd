/** The counters of a Postgres that stand before and after a repetition, and what changed between them. */

import { quoteText } from '../../src/core/sql-text.ts';
import type { Server, ServerQuestions } from '../../src/monitor/server-questions.ts';
import type { ServerFigures } from '../result.ts';
import { readStatements, type StatementCounters } from './top-statements.ts';

type Io = NonNullable<ServerFigures['io']>;

/** Each is undefined where it could not be read. */
export interface Counters {
  wal?: { position: bigint };
  fullPageImages?: number;
  checkpoints?: { begun: number; ended: number };
  statements?: Map<string, StatementCounters>;
  io?: Map<string, Io[number]>;
}

/** Reads all counters that the server has and shows. */
export async function readCounters(
  questions: ServerQuestions,
  { version, statementsSchema }: Server,
): Promise<Counters> {
  const counters: Counters = {};
  const position = await questions.ask('WAL', async () => {
    const [row] = await questions.query<{ position: string }>(
      `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::text as position`,
    );
    return BigInt(row?.position ?? 0);
  });
  if (position !== undefined) counters.wal = { position };

  const images = await questions.from(14, version, 'full-page images', async () => {
    const [row] = await questions.query<{ images: string }>(
      `select wal_fpi::text as images from pg_stat_wal`,
    );
    return Number(row?.images);
  });
  if (images !== undefined) counters.fullPageImages = images;

  const checkpoints = await questions.ask('checkpoints', async () => {
    const [row] = await questions.query<{ begun: string; ended: string | null }>(checkpointQuery(version));
    return { begun: Number(row?.begun), ended: Number(row?.ended ?? 0) };
  });
  if (checkpoints !== undefined) counters.checkpoints = checkpoints;

  const io = await questions.from(16, version, 'reads and writes of files (pg_stat_io)', () =>
    readIo(questions),
  );
  if (io !== undefined) counters.io = io;

  const statements = await readStatements(questions, version, statementsSchema);
  if (statements !== undefined) counters.statements = statements;
  return counters;
}

async function readIo(questions: ServerQuestions): Promise<Map<string, Io[number]>> {
  const rows = await questions.query<Io[number]>(
    `select object, context, coalesce(sum(reads), 0)::float8 as reads, coalesce(sum(writes), 0)::float8 as writes,
      coalesce(sum(extends), 0)::float8 as extends, coalesce(sum(fsyncs), 0)::float8 as fsyncs
      from pg_stat_io group by 1, 2`,
  );
  return new Map(rows.map((row) => [`${row.object}/${row.context}`, row]));
}

/** Bytes of tables, and of their indexes. */
export async function readSizes(
  questions: ServerQuestions,
  tables: readonly string[],
): Promise<{ tables: number; indexes: number }> {
  const sizes = { tables: 0, indexes: 0 };
  for (const table of tables) {
    const [row] = await questions.query<{ tables: number; indexes: number }>(
      `select pg_table_size(${quoteText(table)}::regclass)::float8 as tables, pg_indexes_size(${quoteText(table)}::regclass)::float8 as indexes`,
    );
    sizes.tables += row?.tables ?? 0;
    sizes.indexes += row?.indexes ?? 0;
  }
  return sizes;
}

/** PostgreSQL 17 has a separate view for the checkpointer, and 18 a column for those that came to their end. */
function checkpointQuery(version: number): string {
  if (version < 170_000) {
    return `select (checkpoints_timed + checkpoints_req)::text as begun, null as ended from pg_stat_bgwriter`;
  }
  const ended = version < 180_000 ? 'null' : 'num_done::text';
  return `select (num_timed + num_requested)::text as begun, ${ended} as ended from pg_stat_checkpointer`;
}

/** What was read and written between two looks, the busiest first. */
export function ioBetween(
  before: ReadonlyMap<string, Io[number]>,
  after: ReadonlyMap<string, Io[number]>,
): Io {
  const counts = ['reads', 'writes', 'extends', 'fsyncs'] as const;
  return [...after]
    .map(([key, row]) => {
      const base = before.get(key);
      const changed = { ...row };
      for (const count of counts) changed[count] = Math.max(0, row[count] - (base?.[count] ?? 0));
      return changed;
    })
    .filter((row) => counts.some((count) => row[count] > 0))
    .toSorted((left, right) => total(right) - total(left));
  function total(row: Io[number]): number {
    return counts.reduce((sum, count) => sum + row[count], 0);
  }
}

/** How much a counter grew; null where it could not be read. */
export function difference(before: number | undefined, after: number | undefined): number | null {
  return before === undefined || after === undefined ? null : Math.max(0, after - before);
}

/** How many checkpoints were begun or ended; null where it could not be read. */
export function checkpointsBetween(before: Counters, after: Counters): number | null {
  if (before.checkpoints === undefined || after.checkpoints === undefined) return null;
  return Math.max(
    0,
    after.checkpoints.begun - before.checkpoints.begun,
    after.checkpoints.ended - before.checkpoints.ended,
  );
}
