/** Asks a Worker whether it reaches its database, before anything is sent to it. */

import { type ErrorCode, SluiceError } from '../src/core/errors.ts';
import { operatorHeaders } from './operator-token.ts';
import { routeOf } from './worker-address.ts';

/** Above what `/health` itself waits for, twice. */
const ANSWER_TIME_LIMIT_MS = 15_000;

/**
 * A database that this process reaches may be out of the Worker's reach, as with a certificate that only Node trusts. The
 * Worker would then take messages and try to write them for ever.
 *
 * @throws SluiceError `database_unreachable` with the Worker's own sentence; `not_found` where something else than Sluice answers
 */
export async function assertReachesDatabase(workerUrl: URL): Promise<void> {
  const url = routeOf(workerUrl, '/health?deep=1');
  const response = await fetch(url, {
    // Others are not told why.
    headers: operatorHeaders(),
    signal: AbortSignal.timeout(ANSWER_TIME_LIMIT_MS),
  }).catch((error: unknown) => {
    throw new SluiceError(
      'database_unreachable',
      `The Worker does not say within ${ANSWER_TIME_LIMIT_MS / 1000} s whether it reaches its database`,
      { cause: error },
    );
  });
  const text = await response.text();
  // What is wrong with sinks is for others to say: here it counts that the database answers.
  if (isHealth(text)) return;
  const problem = problemOf(text);
  if (problem === undefined && response.status < 500) {
    throw new SluiceError(
      'not_found',
      `What answers at ${url} is not Sluice (${response.status}): its router may be mounted below another path, which belongs ` +
        `into the address, as in ${routeOf(workerUrl, '/sluice')}`,
    );
  }
  throw new SluiceError(
    problem?.code ?? 'database_unreachable',
    `The Worker cannot use its database: ${problem?.detail ?? `${response.status} ${text.slice(0, 200)}`}`,
  );
}

function isHealth(text: string): boolean {
  try {
    return ['ok', 'degraded', 'failing'].includes(
      (JSON.parse(text) as { status?: string } | null)?.status ?? '',
    );
  } catch {
    return false;
  }
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
