/** Who may use the bench: it is off unless a variable says otherwise, and asks for its token where one is set. */

import { assertAccess, assertOpen, type Door } from '../../workers/access.ts';
import type { LabEnv } from './env.ts';

const BENCH_DOOR: Door = {
  variable: 'BENCH',
  token: 'BENCH_TOKEN',
  code: 'bench_disabled',
  closed: 'The bench is off: it writes to the database and costs money',
};

/** @throws SluiceError `bench_disabled` or `unauthorized` */
export function assertBenchAccess(env: LabEnv, authorization: string | undefined): Promise<void> {
  return assertAccess(BENCH_DOOR, env, authorization);
}

/**
 * For the page, which asks for the token itself.
 *
 * @throws SluiceError `bench_disabled`
 */
export function assertBenchIsOn(env: LabEnv): void {
  assertOpen(BENCH_DOOR, env);
}
