/** What a flusher tells of its work. */

import type { ErrorCode } from '../core/errors.ts';
import type { LaneState } from '../outbox/lane-faults.ts';
import type { RefusalDetails } from '../outbox/refusal.ts';

export interface FlusherStats {
  state: LaneState;
  /** Messages that Postgres has committed. */
  committed: number;
  /** Messages that Postgres has refused for their content. */
  dead: number;
  /** Batches that Postgres has committed. */
  flushes: number;
  /** The most rows of a batch, while larger ones take too long to be written; null where they do not. */
  maxBatchRows: number | null;
  /** When the first of the tries failed that have not been followed by a success; null while all is well. */
  troubleSinceMs: number | null;
  /** Tries that failed, in all and since the last one that went well. */
  failures: number;
  failuresInARow: number;
  /** The last failure's text and time; kept after recovery, so that a short outage can be seen later. */
  lastError: string | null;
  lastErrorCode: ErrorCode | null;
  lastErrorAtMs: number | null;
  /** What it said beside its text: who refused what, and where; null where that is all. */
  lastErrorDetails: RefusalDetails | null;
}

/** The figures before anything was flushed. */
export function emptyFlusherStats(): FlusherStats {
  return {
    state: 'running',
    committed: 0,
    dead: 0,
    flushes: 0,
    maxBatchRows: null,
    troubleSinceMs: null,
    failures: 0,
    failuresInARow: 0,
    lastError: null,
    lastErrorCode: null,
    lastErrorAtMs: null,
    lastErrorDetails: null,
  };
}
