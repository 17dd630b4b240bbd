/**
 * What a flusher remembers of tries that failed: its state, when the next try is due, and what is kept in storage of it, so
 * that a shard that has slept or crashed goes on with its backoff or its stop.
 */

import {
  type BackoffOptions,
  backoffMs,
  DEFAULT_BACKOFF,
  outageBackoff,
  PAUSE_BACKOFF,
} from '../core/backoff.ts';
import { type ErrorCode, isSluiceError, SluiceError } from '../core/errors.ts';
import type { Timers } from '../core/timers.ts';
import type { FaultClass } from '../database/fault-class.ts';
import type { LaneFault } from '../outbox/lane-faults.ts';
import { detailsOf, type Refusal, type RefusalDetails, refusalOf } from '../outbox/refusal.ts';
import type { FlusherStats } from './flusher-stats.ts';
import type { Measurements } from './measurements.ts';

/** `stop`: the shard's view and the database's differ, and only an operator may decide. */
export type FlushFault = FaultClass | 'stop';

export interface FlushFaultsOptions {
  timers: Timers;
  /** A number from 0 to below 1, for the jitter. */
  random: () => number;
  /** Default: `outageBackoff`. */
  backoff?: BackoffOptions;
  /** Where tries are noted that fail. Missing: nobody watches. */
  measured?: Measurements | undefined;
  /** The fault that an earlier life ended with: this one goes on from there, with its backoff or its stop. */
  fault?: LaneFault | undefined;
  /** Called with a fault that has to outlive this flusher, and with undefined once it is over. */
  onFault?: (fault: LaneFault | undefined) => void;
}

/** A shorter backoff between retries is not worth a row of the storage: the next life may as well try at once. */
const KEPT_BACKOFF_MS = 1_000;

export class FlushFaults {
  readonly #options: FlushFaultsOptions;
  readonly #stats: FlusherStats;
  /** When the next try is due after a failure; 0 where nothing holds one back. */
  retryAtMs = 0;
  /** True where `onFault` was told of a fault that is not over. */
  #isKept = false;
  #isPausedByOperator = false;

  /** @param stats where state and failures are noted */
  constructor(stats: FlusherStats, options: FlushFaultsOptions) {
    this.#stats = stats;
    this.#options = options;
    if (options.fault !== undefined) this.#takeUp(options.fault);
  }

  #takeUp({ state, failuresInARow, retryAtMs, code, message, atMs, details }: LaneFault): void {
    this.#stats.state = state;
    this.#stats.failuresInARow = failuresInARow;
    this.#stats.lastError = message;
    this.#stats.lastErrorCode = code;
    this.#stats.lastErrorAtMs = atMs;
    const kept = readDetails(details);
    this.#stats.lastErrorDetails = kept.refusal ?? null;
    this.#stats.troubleSinceMs = kept.sinceMs ?? atMs;
    // A clock that was set back must not make a pause of it that nobody has asked for.
    this.retryAtMs = Math.min(retryAtMs, this.#options.timers.now() + PAUSE_BACKOFF.maxMs);
    this.#isKept = true;
    this.#isPausedByOperator = code === 'paused_by_operator';
  }

  /** True where an operator has paused it: nothing that a try comes to changes that. */
  get isPausedByOperator(): boolean {
    return this.#isPausedByOperator;
  }

  /** An operator wants nothing to be written. One that has stopped by itself stays so: somebody has to decide about that. */
  pauseByOperator(): void {
    if (this.#stats.state === 'stopped') return;
    const text = 'An operator has paused it: nothing is written before somebody resumes it';
    const error = new SluiceError('paused_by_operator', text);
    this.#tell(error, refusalOf(error));
    this.#isPausedByOperator = true;
    this.#stats.state = 'stopped';
    this.#stats.troubleSinceMs ??= this.#options.timers.now();
    this.#keep('stopped', error);
  }

  /**
   * Counts the error of a try that is not over, and tells of it where the try before went well. Where that one has failed, its
   * text stays: it says why all wait, and what this try has met so far does not say so yet. Without that, an operator could look
   * at a pause and find no reason for it.
   *
   * @returns false where it was not told: call `tell` once the try is over, if it has not failed
   */
  note(error: unknown): boolean {
    const refusal = this.#count(error);
    if (this.#stats.state !== 'running') return false;
    this.#tell(error, refusal);
    return true;
  }

  /** Makes an error that was counted the last one. */
  tell(error: unknown): void {
    this.#tell(error, refusalOf(error));
  }

  #count(error: unknown): Refusal {
    const refusal = refusalOf(error);
    this.#stats.failures += 1;
    this.#options.measured?.retries.add(refusal.sqlState?.slice(0, 2) ?? codeOf(error));
    return refusal;
  }

  #tell(error: unknown, refusal: Refusal): void {
    // Why nothing is written is still that somebody wants it so.
    if (this.#isPausedByOperator) return;
    this.#stats.lastError = refusal.reason;
    this.#stats.lastErrorDetails = detailsOf(refusal);
    this.#stats.lastErrorCode = codeOf(error);
    this.#stats.lastErrorAtMs = this.#options.timers.now();
  }

  /**
   * A try has failed: the next one is due after a backoff, or waits for an operator.
   *
   * @param isUndecided true where the next message may decide it, so that the next try comes sooner
   */
  failed(fault: FlushFault, error: unknown, isUndecided = false): void {
    const { timers, random } = this.#options;
    this.#tell(error, this.#count(error));
    if (this.#isPausedByOperator) return;
    this.#stats.failuresInARow += 1;
    this.#stats.troubleSinceMs ??= timers.now();
    const backoff = this.#options.backoff ?? outageBackoff(timers.now() - this.#stats.troubleSinceMs);
    const state = fault === 'stop' ? 'stopped' : fault === 'pause' ? 'paused' : 'retrying';
    this.#stats.state = state;
    const waits = fault === 'pause' && !isUndecided ? PAUSE_BACKOFF : backoff;
    const waitMs = backoffMs(this.#stats.failuresInARow, random(), waits);
    this.retryAtMs = timers.now() + waitMs;
    if (state !== 'retrying' || waitMs >= KEPT_BACKOFF_MS || this.#isKept) this.#keep(state, error);
  }

  /** A batch was too large, and the next one is smaller. It is tried soon: that it failed says nothing about a smaller one. */
  shrunk(error: unknown): void {
    const { timers, random, backoff = DEFAULT_BACKOFF } = this.#options;
    this.#tell(error, this.#count(error));
    if (this.#isPausedByOperator) return;
    this.#stats.state = 'retrying';
    this.#stats.troubleSinceMs ??= timers.now();
    this.retryAtMs = timers.now() + backoffMs(1, random(), backoff);
    if (this.#isKept) this.#keep('retrying', error);
  }

  /** A try went well. */
  succeeded(): void {
    this.#stats.failuresInARow = 0;
    this.retryAtMs = 0;
    if (!this.#isPausedByOperator) this.resumed();
  }

  /** An operator lets it go on. */
  resumed(): void {
    this.#isPausedByOperator = false;
    this.#stats.state = 'running';
    this.#stats.troubleSinceMs = null;
    if (!this.#isKept) return;
    this.#isKept = false;
    this.#options.onFault?.(undefined);
  }

  /** An operator wanted it to go on, and it cannot: this is why. */
  stayStopped(error: unknown): void {
    this.#tell(error, this.#count(error));
    this.#keep('stopped', error);
  }

  #keep(state: LaneFault['state'], error: unknown): void {
    const { failuresInARow, lastError, lastErrorCode, lastErrorAtMs, lastErrorDetails, troubleSinceMs } =
      this.#stats;
    const details = {
      ...(isSluiceError(error) ? error.details : {}),
      ...(lastErrorDetails === null ? {} : { refusal: lastErrorDetails }),
      ...(troubleSinceMs === null ? {} : { sinceMs: troubleSinceMs }),
    };
    this.#isKept = true;
    this.#options.onFault?.({
      state,
      failuresInARow,
      retryAtMs: this.retryAtMs,
      code: lastErrorCode ?? 'internal',
      message: lastError ?? '',
      atMs: lastErrorAtMs ?? this.#options.timers.now(),
      details: Object.keys(details).length > 0 ? JSON.stringify(details) : null,
    });
  }
}

function codeOf(error: unknown): ErrorCode {
  return isSluiceError(error) ? error.code : 'database_refused';
}

/** In storage, what is said of the refusal stands beside the error's own details. */
function readDetails(details: string | null): { refusal?: RefusalDetails; sinceMs?: number } {
  return details === null ? {} : (JSON.parse(details) as { refusal?: RefusalDetails; sinceMs?: number });
}
