/**
 * What to do about a write that failed, by its SQLSTATE alone.
 *
 * Two mistakes cost data. To take an outage for bad data fills the dead letters with good rows (PostHog/posthog#10396,
 * fluent/fluent-plugin-sql#138), and to take bad data for an outage stops everything because of one row. Where the table
 * knows nothing, nothing is dropped: the sink pauses. For the rows of a sink the table is only the beginning: `fault-kind.ts`
 * says what else may be the reason, and `src/ingest/verdict.ts` what evidence it takes.
 */

import { getTableName } from 'drizzle-orm';
import { type ErrorCode, isSluiceError } from '../core/errors.ts';
import { checkpoints } from '../schema/checkpoints.ts';
import { serverErrorOf, sqlState } from './server-error.ts';

/**
 * - `retry`: it passes by itself. The same rows are written again after a pause, as often as it takes.
 * - `isolate`: the content of some row is what Postgres refuses. The others are written without it.
 * - `pause`: somebody has to change something. All rows wait, and none is given up.
 */
export type FaultClass = 'retry' | 'isolate' | 'pause';

export interface FaultRule {
  class: FaultClass;
  /** One line for logs and documents. */
  why: string;
}

/**
 * From SQLSTATE to what is done about it (PostgreSQL documentation, appendix "PostgreSQL Error Codes"). A key is
 *
 * - a class, the first two characters;
 * - a whole SQLSTATE, which wins over its class;
 * - a SQLSTATE and the server's routine that raised it, which wins over both, for a code that stands for several
 *   things. A routine's name is not translated, as messages are.
 *
 * What has no key is `pause`.
 */
export const FAULT_CLASSES: Readonly<Record<string, FaultRule>> = {
  // Connections and sessions.
  '08': {
    class: 'retry',
    why: 'The connection was lost or refused. 08P01 too: PgBouncer reports its own troubles with it',
  },
  '25': {
    class: 'retry',
    why: 'The transaction is in a state that the next one does not inherit, as after a session or transaction timeout',
  },
  '25006': {
    class: 'retry',
    why: 'The server is read-only: it has just lost its role in a failover, or its disk is nearly full',
  },
  '26000': {
    class: 'retry',
    why: 'A pooler switched to a server connection that does not know the prepared statement',
  },
  '42P05': {
    class: 'retry',
    why: 'A pooler switched to a server connection that already has the prepared statement',
  },
  '0A000:RevalidateCachedQuery': {
    class: 'retry',
    why: 'A cached plan is older than a change of the table; a new connection makes a new plan',
  },

  // The server's state.
  '40': {
    class: 'retry',
    why: 'The transaction lost to another one: a deadlock or a serialization failure',
  },
  '53': {
    class: 'retry',
    why: 'Connections, memory or disk have run out, which has nothing to do with these rows',
  },
  '55': { class: 'retry', why: 'Something is locked or in use; 55P03 is a lock_timeout' },
  '55000': {
    class: 'pause',
    why: 'The object is not made for it, as a view that takes no rows',
  },
  '55000:CheckMyDatabase': {
    class: 'retry',
    why: 'The database takes no connections at the moment, as while it is renamed or copied',
  },
  '55P02': { class: 'pause', why: 'The connection string sets a parameter that cannot be set' },
  '57': {
    class: 'retry',
    why: 'The server shuts down, starts up or cancelled the statement; 57014 is a statement_timeout',
  },
  '57P04': { class: 'pause', why: 'The database was dropped' },
  '58': { class: 'retry', why: 'The operating system or a pooler failed the server' },
  HV00N: { class: 'retry', why: "A foreign table's server is out of reach" },
  XX000: {
    class: 'retry',
    why: "Postgres's internal error, with which the proxies of Neon and Supabase also report a database that does not come up",
  },

  // The rows.
  '21': {
    class: 'isolate',
    why: 'Rows of one statement collide, as two of one key under ON CONFLICT DO UPDATE',
  },
  '22': { class: 'isolate', why: "A value is not of its column's type, or out of its range" },
  '2200H': { class: 'pause', why: 'A sequence has reached its end: every row would fail, whatever is in it' },
  '23': { class: 'isolate', why: 'A row breaks a constraint' },
  '44': { class: 'isolate', why: 'A row breaks the WITH CHECK OPTION of a view' },
  '54': {
    class: 'isolate',
    why: 'A row passes a limit of Postgres: 54000 is a value too large for an index, 54001 one nested too deeply',
  },
  '54011': { class: 'pause', why: 'The table has too many columns, which no row can help' },
  '54023': { class: 'pause', why: 'A function has too many arguments, which no row can help' },
  P0: { class: 'isolate', why: 'A trigger refuses a row' },

  // The schema and its permissions.
  '0A': { class: 'pause', why: 'This Postgres, or this kind of table, cannot do it' },
  '28': { class: 'pause', why: 'The role or its password is not accepted' },
  '3D': { class: 'pause', why: 'The database does not exist' },
  '3F': { class: 'pause', why: 'The schema does not exist' },
  // Row-level security (42501) too: where a policy is missing, it refuses all rows alike, and the checkpoint's as well.
  '42': {
    class: 'pause',
    why: 'Table, columns, types or permissions are not as the sink expects',
  },
  XX: { class: 'pause', why: 'The data on disk or an index is corrupted' },
};

/** Sluice's own errors that say by themselves what is to be done. */
const SLUICE_FAULTS: Partial<Record<ErrorCode, FaultClass>> = {
  // The sink's own code threw while it made the text of a row.
  sink_failed: 'isolate',
  // A message that a sink of streams cannot append.
  invalid_stream_name: 'isolate',
  invalid_message: 'isolate',
  duplicate_message_id: 'isolate',
  // Database and outbox contradict each other, or the configuration itself: to try again changes nothing.
  checkpoint_ahead: 'pause',
  checkpoint_behind: 'pause',
  checkpoint_missing: 'pause',
  dead_letters_full: 'pause',
  invalid_configuration: 'pause',
  invalid_options: 'pause',
  // Somebody has to create it.
  unknown_namespace: 'pause',
  // Another version of Sluice, or a role that may upgrade it, has to come.
  schema_version: 'pause',
};

/**
 * Sorts what a write was rejected with. An error without a SQLSTATE is `retry`: the server has said nothing against the
 * rows, as with a lost socket, a time limit, a name that is not resolved.
 */
export function faultClassOf(error: unknown): FaultClass {
  const own = isSluiceError(error) ? SLUICE_FAULTS[error.code] : undefined;
  if (own !== undefined) return own;
  const state = sqlState(error);
  if (state === undefined) return 'retry';
  const rule =
    FAULT_CLASSES[`${state}:${serverErrorOf(error)?.routine}`] ??
    FAULT_CLASSES[state] ??
    FAULT_CLASSES[state.slice(0, 2)];
  if (rule === undefined) return 'pause';
  return rule.class === 'isolate' && !isAboutRows(error) ? 'pause' : rule.class;
}

/** False where what was refused is none of the sink's rows: to try them one by one would make each of them a dead letter. */
function isAboutRows(error: unknown): boolean {
  // While a connection is opened, as with a wrong setting in the connection string (22023).
  if (isSluiceError(error) && error.code === 'database_unreachable') return false;
  return !aboutCheckpoint(error);
}

const CHECKPOINTS = getTableName(checkpoints);

/** Errors of statements that move a checkpoint. */
const ofCheckpoints = new WeakSet<object>();

/** Marks an error of a statement that was about a checkpoint, and about no row of the sink. */
export function markAboutCheckpoint(error: unknown): void {
  if (typeof error === 'object' && error !== null) ofCheckpoints.add(error);
}

/**
 * True where the error is of Sluice's own table, as of a constraint that somebody added there, or of a lock on it. Errors of
 * constraints say which table it was; of all others the statement is known.
 */
export function aboutCheckpoint(error: unknown): boolean {
  if (typeof error === 'object' && error !== null && ofCheckpoints.has(error)) return true;
  return serverErrorOf(error)?.table === CHECKPOINTS;
}
