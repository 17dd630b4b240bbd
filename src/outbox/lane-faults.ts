/**
 * Why a lane does not write, and until when: kept in the shard's storage, so that a shard that has slept or crashed knows
 * it. One that has stopped stays stopped, and says why; one that backs off does not begin at full pace.
 */

import type { ErrorCode } from '../core/errors.ts';
import type { Sqlite } from '../database/sqlite.ts';

/**
 * Whether a lane writes.
 *
 * - `running`: writes, or has nothing to write.
 * - `retrying`: the last try failed, and another follows soon.
 * - `paused`: Postgres refuses for a reason that somebody has to remove (a missing table, a password, no room for dead
 *   letters); another try follows now and then.
 * - `stopped`: nothing is tried before `resume`.
 */
export type LaneState = 'running' | 'retrying' | 'paused' | 'stopped';

/** What a flusher keeps about the tries that failed. */
export interface LaneFault {
  state: Exclude<LaneState, 'running'>;
  /** Tries that failed in a row. */
  failuresInARow: number;
  /** When the next try is due; of no meaning where it has stopped. */
  retryAtMs: number;
  code: ErrorCode;
  message: string;
  atMs: number;
  /** What the error says for programs, as JSON text; null where it says nothing. */
  details: string | null;
}

interface FaultRow {
  state: LaneFault['state'];
  failures: number;
  retry_at_ms: number;
  code: ErrorCode;
  message: string;
  at_ms: number;
  details: string | null;
}

/** The table of faults. Safe to call again. */
export function createLaneFaults(sqlite: Sqlite): void {
  sqlite.run(
    'create table if not exists outbox_faults (lane integer primary key, state text not null, failures integer not null, retry_at_ms integer not null, code text not null, message text not null, at_ms integer not null, details text)',
  );
}

/** The fault of a lane; undefined where its last try went well. */
export function readLaneFault(sqlite: Sqlite, lane: number): LaneFault | undefined {
  const row = sqlite.run<FaultRow>(
    'select state, failures, retry_at_ms, code, message, at_ms, details from outbox_faults where lane = ?',
    lane,
  )[0];
  if (row === undefined) return undefined;
  const { state, failures, retry_at_ms, code, message, at_ms, details } = row;
  return { state, failuresInARow: failures, retryAtMs: retry_at_ms, code, message, atMs: at_ms, details };
}

/** Keeps the fault of a lane, in the place of the one before; undefined: there is none any more. */
export function saveLaneFault(sqlite: Sqlite, lane: number, fault: LaneFault | undefined): void {
  if (fault === undefined) {
    sqlite.run('delete from outbox_faults where lane = ?', lane);
    return;
  }
  const { state, failuresInARow, retryAtMs, code, message, atMs, details } = fault;
  sqlite.run(
    `insert into outbox_faults (lane, state, failures, retry_at_ms, code, message, at_ms, details)
      values (?, ?, ?, ?, ?, ?, ?, ?)
      on conflict (lane) do update set state = excluded.state, failures = excluded.failures,
        retry_at_ms = excluded.retry_at_ms, code = excluded.code, message = excluded.message,
        at_ms = excluded.at_ms, details = excluded.details`,
    lane,
    state,
    failuresInARow,
    Math.round(retryAtMs),
    code,
    message,
    Math.round(atMs),
    details,
  );
}
