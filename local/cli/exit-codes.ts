/** What the process's exit code says. Scripts and CI rely on these numbers. */

import { isSluiceError } from '../../src/core/errors.ts';

export const EXIT = {
  good: 0,
  failed: 1,
  wrongOptions: 2,
  /** A run lost or doubled messages. */
  auditFailed: 3,
  databaseUnreachable: 4,
  /** A figure is not what --threshold or --fail-on demands of it; the number is k6's. */
  thresholdFailed: 99,
  /** Ctrl-C, as shells count it: 128 + SIGINT. */
  interrupted: 130,
} as const;

/** The exit code that belongs to an error. */
export function exitCodeOf(error: unknown): number {
  if (!isSluiceError(error)) return EXIT.failed;
  switch (error.code) {
    case 'invalid_options':
      return EXIT.wrongOptions;
    case 'audit_failed':
      return EXIT.auditFailed;
    case 'database_unreachable':
      return EXIT.databaseUnreachable;
    case 'aborted':
      return EXIT.interrupted;
    default:
      return EXIT.failed;
  }
}
