/** What a caller may be told of a failure. */

import { isSluiceError } from '../core/errors.ts';

/** Failures whose text is about what the caller did, or when. */
const TOLD_FAILURES: ReadonlySet<string> = new Set(['buffer_full', 'time_limit', 'store_closed']);

/**
 * What a caller is told of a failure. The holder of a token is a tenant: addresses of databases and what these say go to
 * the log.
 */
export function failureText(error: unknown): string {
  if (isSluiceError(error)) {
    if (TOLD_FAILURES.has(error.code)) return error.message;
    if (error.code === 'database_unreachable') return 'The database cannot be reached; see the log';
  }
  return 'Something failed inside Sluice; see the log';
}
