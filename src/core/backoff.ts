/** How long to wait before the next try, from how many tries have failed in a row. */

export interface BackoffOptions {
  /** The longest wait after the first failure. Default: 100. */
  baseMs: number;
  /** The longest wait ever. Default: 30,000. */
  maxMs: number;
}

/**
 * For what somebody has to put right first, as a wrong password: asked now and then whether it was. Somebody who has put it right
 * need not wait for it, but can resume the shard.
 */
export const PAUSE_BACKOFF: BackoffOptions = { baseMs: 1_000, maxMs: 300_000 };

export const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 100, maxMs: 30_000 };

/** How long an outage is a short one, and the longest wait between two tries in that time. */
const SHORT_OUTAGE_MS = 600_000;
const SHORT_OUTAGE_BACKOFF: BackoffOptions = { ...DEFAULT_BACKOFF, maxMs: 10_000 };

/**
 * The waits while a database cannot be reached and messages wait for it. Most outages are restarts and failovers: for ten minutes it
 * is asked every ten seconds at the latest, so that its return is noticed, and told, soon. After that, less often.
 *
 * @param lastedMs how long the outage has lasted
 */
export function outageBackoff(lastedMs: number): BackoffOptions {
  return lastedMs < SHORT_OUTAGE_MS ? SHORT_OUTAGE_BACKOFF : DEFAULT_BACKOFF;
}

/**
 * Exponential backoff with full jitter: a random time up to `baseMs * 2^(failures - 1)`, so that many shards that
 * lost the same database do not come back at the same moment (AWS Architecture Blog, "Exponential Backoff And
 * Jitter"). At least a tenth of that time passes, so that a broken database is never asked in a tight loop.
 *
 * @param failures tries that failed in a row, from 1
 * @param random a number from 0 to below 1
 */
export function backoffMs(
  failures: number,
  random: number,
  options: BackoffOptions = DEFAULT_BACKOFF,
): number {
  const ceiling = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(ceiling * (0.1 + 0.9 * random));
}
