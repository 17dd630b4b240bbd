/**
 * Asks over a connection that belongs to somebody else, without a trace on it: each question is a transaction that only reads, with
 * time limits that end with it, in one message. So it goes through a pooler that gives each transaction another server, uses no
 * names of statements, and never holds an old snapshot that would keep a vacuum from its work.
 */

import { SluiceError } from '../core/errors.ts';
import { withTimeLimit } from '../core/time-limit.ts';
import type { Connection } from '../database/connection.ts';
import { rollback, runScript } from '../database/script.ts';
import type { RunQuestion } from './server-questions.ts';

export interface QuestionLimits {
  /** How long the server may work on one question. Default: 2,000. */
  statementTimeoutMs?: number;
  /** How long a question may wait for a lock, as that of an ALTER TABLE. Default: 200. */
  lockTimeoutMs?: number;
  /** How long all questions together may take before no further one is asked. Default: 8,000. */
  totalTimeLimitMs?: number;
}

export const QUESTION_LIMITS: Required<QuestionLimits> = {
  statementTimeoutMs: 2_000,
  lockTimeoutMs: 200,
  totalTimeLimitMs: 8_000,
};

/** What the network may add to the server's own limit before the connection counts as lost. */
const NETWORK_MS = 3_000;

/**
 * Makes what runs questions on a connection. The time for all of them begins now.
 *
 * A question that fails rejects, and leaves the connection fit for the next one; where that cannot be, the connection is closed.
 *
 * @param now in milliseconds
 */
export function limitedQuestions(
  connection: Connection,
  limits: QuestionLimits,
  now: () => number,
): RunQuestion {
  const { statementTimeoutMs, lockTimeoutMs, totalTimeLimitMs } = { ...QUESTION_LIMITS, ...limits };
  const untilMs = now() + totalTimeLimitMs;
  const begin = [
    'begin isolation level read committed read only',
    `set local statement_timeout = ${statementTimeoutMs}`,
    `set local lock_timeout = ${lockTimeoutMs}`,
  ];
  return async <Row>(text: string) => {
    if (!connection.isOpen)
      throw new SluiceError('database_unreachable', 'not asked, since the connection was lost');
    if (now() >= untilMs)
      throw new SluiceError(
        'time_limit',
        `not asked, since the questions before took ${totalTimeLimitMs} ms`,
      );
    try {
      const results = await withTimeLimit(
        runScript(connection, [...begin, text, 'commit']),
        statementTimeoutMs + NETWORK_MS,
        'asking',
      );
      return results[begin.length]?.rows as Row[];
    } catch (error) {
      // The server would go on with it, and with whatever it waits for.
      if (error instanceof SluiceError && error.code === 'time_limit') connection.cancel();
      await rollback(connection, error);
      throw error;
    }
  };
}
