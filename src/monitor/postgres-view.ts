/**
 * Postgres' own view of itself: connections, transactions, WAL, standbys, tables of sinks, and what our statements cost. Asked over a
 * connection that exists anyway, in short transactions that only read (limited-questions.ts). No question scans a table.
 */

import type { Connection } from '../database/connection.ts';
import { limitedQuestions, type QuestionLimits } from './limited-questions.ts';
import type { DatabaseMetricName } from './metrics.ts';
import { readOwnStatements, StatementMemory } from './own-statements.ts';
import { type Server, ServerQuestions } from './server-questions.ts';
import type { DatabaseReport, Sample } from './shard-report.ts';
import { readTableFigures } from './table-figures.ts';

/** Marks its statements in the server's statistics and logs. */
const MARK = '/* sluice monitor */';

/** Standbys that are told; those that lag most. */
const MAX_STANDBYS = 20;
/** Sentences about what is hidden, and characters of each: a report is at most 64 KiB. */
const MAX_HIDDEN = 40;
const MAX_HIDDEN_CHARACTERS = 300;
const MAX_LABEL_CHARACTERS = 160;

export interface PostgresViewOptions extends QuestionLimits {
  /** Names the database without user or password: `host:port/database`. */
  address: string;
  /** Quoted names of tables, with their schema where they have one; those beyond 20 are named as hidden (watchedTables). */
  tables: readonly string[];
  /** One of these texts stands in each of our statements. Default: `tables`. */
  statementNames?: readonly string[];
  /** In milliseconds since 1970. */
  now: () => number;
  /** Kept by who asks again and again, so that texts of statements are read every ten minutes only. */
  memory?: StatementMemory;
}

/**
 * Asks Postgres for its view of itself. About seven round trips; at most `totalTimeLimitMs` and one question more.
 *
 * What the role may not see, what the server does not have, and what a lock or a time limit keeps away, stands in `hidden`; what
 * could be read stands beside it. Never rejects. The connection is fit for its owner afterwards, or closed where it was lost.
 *
 * @param connection open, idle, and used by nobody else meanwhile
 */
export async function readPostgresView(
  connection: Connection,
  options: PostgresViewOptions,
): Promise<DatabaseReport> {
  const { address, tables, statementNames = tables, now, memory = new StatementMemory() } = options;
  const questions = new ServerQuestions(limitedQuestions(connection, options, now), MARK);
  const samples: Sample<DatabaseMetricName>[] = [];
  const atMs = now();
  const add = (metric: DatabaseMetricName, label: string, value: number): void => {
    samples.push([metric, label.slice(0, MAX_LABEL_CHARACTERS), value]);
  };

  const server = await questions.ask('the server', () => questions.server());
  const settings = await questions.ask('settings', () => readSettings(questions));
  if (settings !== undefined) {
    add('postgres_connections_limit', '', settings.limit);
    add('postgres_connections_reserved', 'superuser', settings.superuser);
    add('postgres_connections_reserved', 'role', settings.role);
  }
  await questions.ask('connections', () => readActivity(questions, add));
  await questions.ask('WAL', () => readWal(questions, add));
  await questions.ask('standbys', () => readStandbys(questions, add));
  for (const { table, tableBytes, indexBytes, deadTuples } of await readTableFigures(questions, tables)) {
    if (tableBytes !== null) add('postgres_table_bytes', table, tableBytes);
    if (indexBytes !== null) add('postgres_index_bytes', table, indexBytes);
    if (deadTuples !== null) add('postgres_dead_tuples', table, deadTuples);
  }
  if (server !== undefined) {
    const statements = await readOwnStatements(questions, server, statementNames, memory, atMs);
    for (const { text, calls, seconds } of statements ?? []) {
      add('postgres_statement_seconds_total', text, seconds);
      add('postgres_statement_calls_total', text, calls);
    }
  }
  return {
    address,
    atMs,
    serverVersion: settings?.version ?? versionText(server),
    samples,
    hidden: bounded(questions.missing),
  };
}

type Add = (metric: DatabaseMetricName, label: string, value: number) => void;

interface Settings {
  version: string;
  limit: number;
  superuser: number;
  role: number;
}

async function readSettings(questions: ServerQuestions): Promise<Settings> {
  // `reserved_connections` came with PostgreSQL 16.
  const [row] = await questions.query<Settings>(
    `select current_setting('server_version') as version, current_setting('max_connections')::int as limit,
      current_setting('superuser_reserved_connections')::int as superuser,
      coalesce(current_setting('reserved_connections', true), '0')::int as role`,
  );
  return row as Settings;
}

/** Where the settings are hidden, the version is known by its number: 170002 is 17.2. */
function versionText(server: Server | undefined): string {
  return server === undefined ? '' : `${Math.floor(server.version / 10_000)}.${server.version % 10_000}`;
}

/** Connections of clients by their state, and the oldest transaction, a prepared one too. */
async function readActivity(questions: ServerQuestions, add: Add): Promise<void> {
  // Of other roles' connections only process, database and role are to be seen.
  const rows = await questions.query<{ state: string | null; backends: number; oldest: number | null }>(
    `select case when backend_type is null then 'hidden' else coalesce(state, 'starting') end as state, count(*)::int as backends,
        max(extract(epoch from clock_timestamp() - xact_start)) filter (where pid <> pg_backend_pid())::float8 as oldest
      from pg_stat_activity
      where backend_type = 'client backend' or backend_type is null and datid is not null and usesysid is not null
      group by 1
      union all
      select null, 0, max(extract(epoch from clock_timestamp() - prepared))::float8 from pg_prepared_xacts`,
  );
  let oldest = 0;
  for (const row of rows) {
    oldest = Math.max(oldest, row.oldest ?? 0);
    if (row.state !== null) add('postgres_connections', row.state, row.backends);
  }
  add('postgres_longest_transaction_seconds', '', oldest);
  if (rows.some(({ state }) => state === 'hidden'))
    questions.name(
      'states and transactions of other roles',
      'hidden from this role; grant it pg_read_all_stats',
    );
}

async function readWal(questions: ServerQuestions, add: Add): Promise<void> {
  // A standby that reads an archive receives nothing.
  const [row] = await questions.query<{ bytes: number | null }>(
    `select case when pg_is_in_recovery() then pg_wal_lsn_diff(coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')
      else pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') end::float8 as bytes`,
  );
  if (row?.bytes == null) questions.name('WAL', 'this standby has received none');
  else add('postgres_wal_bytes_total', '', row.bytes);
}

async function readStandbys(questions: ServerQuestions, add: Add): Promise<void> {
  const rows = await questions.query<{ standby: string; lag: number | null; visible: boolean }>(
    `select application_name as standby, bool_and(state is not null) as visible, max(pg_wal_lsn_diff(
        case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end, replay_lsn))::float8 as lag
      from pg_stat_replication where state is distinct from 'backup'
      group by 1 order by 3 desc nulls last limit ${MAX_STANDBYS}`,
  );
  for (const { standby, lag } of rows)
    if (lag !== null) add('postgres_replication_lag_bytes', standby, Math.max(0, lag));
  if (rows.some(({ visible }) => !visible))
    questions.name('standbys', 'hidden from this role; grant it pg_read_all_stats');
}

function bounded(sentences: readonly string[]): string[] {
  const shown = sentences.slice(0, MAX_HIDDEN).map((text) => text.slice(0, MAX_HIDDEN_CHARACTERS));
  if (sentences.length > MAX_HIDDEN) shown.push(`And ${sentences.length - MAX_HIDDEN} more.`);
  return shown;
}
