/**
 * What an error of a write may be about, before anything else is known: the first half of the policy for rows that are
 * refused. The second half, which asks for evidence, is `src/ingest/verdict.ts`.
 *
 * A SQLSTATE alone does not tell a row's own fault from a schema's. `42P01` is a table that was dropped, and also the text
 * 'no_such_table' in a column of type regclass; `23514` is a negative temperature, and also the partition of next month that
 * nobody has created; a trigger may raise any code for any reason.
 */

import { isSluiceError } from '../core/errors.ts';
import { aboutCheckpoint, faultClassOf } from './fault-class.ts';
import { type ServerError, serverErrorOf } from './server-error.ts';

/**
 * - `outage`: connections, locks, resources. Never about a row, however often it comes.
 * - `database`: the role, the settings, the data on disk, Sluice's own tables. Never about a row; somebody has to act.
 * - `message`: Sluice itself found the fault in one message, and asked the database nothing.
 * - `duplicate`: the row's key is in the table already.
 * - `value`: the error names a value: its type, its length, a constraint that it breaks.
 * - `partition`: no partition takes the row. Nonsense in its key, or a partition that is missing.
 * - `passing`: usually passes by itself, but may be raised by a trigger for one row, and for ever.
 * - `unclear`: may be a row's fault as well as the schema's.
 */
export type FaultKind =
  | 'outage'
  | 'database'
  | 'message'
  | 'duplicate'
  | 'value'
  | 'partition'
  | 'passing'
  | 'unclear';

/** `pause` in the table of classes, and never about a row. */
const DATABASE = /^(28|3D|XX001|XX002|55P02|57P04|2200H|54011|54023|25|53)/;

/**
 * @param columns the columns that the sink writes. Missing: not known
 */
export function faultKindOf(error: unknown, columns?: ReadonlySet<string>): FaultKind {
  const fault = faultClassOf(error);
  const server = serverErrorOf(error);
  if (isSluiceError(error)) {
    if (fault === 'isolate') return 'message';
    // Somebody has to act on an error with a code of ours, as of a checkpoint; the server's are below.
    if (server === undefined || error.code !== 'database_refused')
      return fault === 'pause' ? 'database' : 'outage';
  }
  if (server === undefined) return fault === 'pause' ? 'database' : 'outage';
  if (aboutCheckpoint(error)) return fault === 'retry' ? 'outage' : 'database';
  const { sqlState } = server;
  // A statement that took too long: the server has too much to do, or a trigger takes that long for this row.
  const mayBeRow = isRaised(server) || sqlState === 'XX000' || sqlState === '57014';
  if (fault === 'retry') return mayBeRow ? 'passing' : 'outage';
  if (sqlState === '23505' || sqlState === '23P01') return 'duplicate';
  if (sqlState === '23514' && server.routine === 'ExecFindPartition') return 'partition';
  if (isRaised(server)) return 'unclear';
  if (fault === 'pause') return DATABASE.test(sqlState) ? 'database' : 'unclear';
  if (sqlState === '23502' && server.column !== undefined && columns?.has(server.column) === false)
    return 'unclear';
  return sqlState.startsWith('P0') ? 'unclear' : 'value';
}

/** True where a function's RAISE made the error: its code says what its author chose. */
export function isRaised({ routine }: ServerError): boolean {
  return routine === 'exec_stmt_raise';
}

/**
 * True where the error came from within a function, as of a trigger. Such a trigger may run after the row is in its indexes, so a
 * row whose key is there already does not come so far.
 */
export function isFromFunction(server: ServerError): boolean {
  // The server translates these lines, but not the names in them.
  return isRaised(server) || /\bPL\/|\bSQL\b/.test(server.where ?? '');
}

/** Whether two errors are the same fault: that another row meets it as well says that it is no fault of the first. */
export function isSameFault(one: ServerError, other: ServerError): boolean {
  for (const field of ['sqlState', 'schema', 'table', 'column', 'dataType', 'constraint'] as const) {
    if (one[field] !== other[field]) return false;
  }
  if (one.routine !== other.routine) return false;
  // One trigger may raise one code for many reasons.
  return !isFromFunction(one) || shapeOf(one.message) === shapeOf(other.message);
}

/** Of longer texts the beginning has to do: a quote that is not closed is looked for to the end, from each of them. */
const MAX_SHAPE_LENGTH = 2_000;

/** A text without the values that a function may have put into it. */
export function shapeOf(message: string): string {
  const start = message.slice(0, MAX_SHAPE_LENGTH);
  return start.replaceAll(/"[^"]*"|'[^']*'|«[^»]*»|„[^“]*“/g, '"').replaceAll(/[-+]?\d[\d.,:eE+-]*/g, '0');
}
