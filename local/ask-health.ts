/** Asks a Worker whether it reaches its database, before anything is sent to it. */

import { type ErrorCode, SluiceError } from '../src/core/errors.ts';
import { routeOf } from './worker-address.ts';

/** Above what `/health` itself waits for, twice. */
const ANSWER_TIME_LIMIT_MS = 15_000;

/**
 * A database that this process reaches may be out of the Worker's reach, as with a certificate that only Node trusts. The
 * Worker would then take messages and try to write them for ever.
 *
 * @throws SluiceError `database_unreachable` with the Worker's own sentence
 */
export async function assertReachesDatabase(workerUrl: URL): Promise<void> {
  const response = await fetch(routeOf(workerUrl, '/health'), {
    signal: AbortSignal.timeout(ANSWER_TIME_LIMIT_MS),
  }).catch((error: unknown) => {
    throw new SluiceError(
      'database_unreachable',
      `The Worker does not say within ${ANSWER_TIME_LIMIT_MS / 1000} s whether it reaches its database`,
      { cause: error },
    );
  });
  if (response.ok) return;
  const text = await response.text();
  const problem = problemOf(text);
  throw new SluiceError(
    problem?.code ?? 'database_unreachable',
    `The Worker cannot use its database: ${problem?.detail ?? `${response.status} ${text.slice(0, 200)}`}`,
  );
}

function problemOf(text: string): { code: ErrorCode; detail: string } | undefined {
  try {
    const { code, detail } = JSON.parse(text) as { code?: unknown; detail?: unknown };
    return typeof code === 'string' && typeof detail === 'string'
      ? { code: code as ErrorCode, detail }
      : undefined;
  } catch {
    return undefined;
  }
}
