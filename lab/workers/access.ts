/** Who may use the bench: nobody, those who have its token, or everybody, as the variable BENCH says. */

import { SluiceError } from '../../src/core/errors.ts';
import { bearerToken, tokensOf } from '../../workers/access.ts';
import type { LabEnv } from './env.ts';

/** @throws SluiceError `bench_disabled`, `unauthorized` or `invalid_configuration` */
export function assertBenchAccess(env: LabEnv, authorization: string | undefined): void {
  if (assertBenchIsOn(env) === 'open') return;
  if (tokensOf(env.BENCH_TOKEN, 'BENCH_TOKEN').includes(bearerToken(authorization))) return;
  throw new SluiceError('unauthorized', 'A token is asked for: send "Authorization: Bearer <BENCH_TOKEN>"');
}

/**
 * For what shows nothing and starts nothing, such as the page, which asks for the token itself.
 *
 * @returns how the bench is on: for those who have the token, or for everybody
 * @throws SluiceError `bench_disabled`, also where a token is asked for and none is set; `invalid_configuration`
 */
export function assertBenchIsOn({ BENCH: value = '', BENCH_TOKEN: token }: LabEnv): 'on' | 'open' {
  if (value === 'open') return value;
  if (value === 'on') {
    if (!tokensOf(token, 'BENCH_TOKEN').isEmpty) return value;
    throw new SluiceError(
      'bench_disabled',
      'The bench is on, but nobody has its token: set the secret BENCH_TOKEN, or the variable BENCH to "open" to let everybody in',
    );
  }
  if (value !== '' && value !== 'off') {
    throw new SluiceError(
      'invalid_configuration',
      `The variable BENCH is ${JSON.stringify(value)}; "off", "on" and "open" are allowed`,
    );
  }
  throw new SluiceError(
    'bench_disabled',
    'The bench is off: it writes to the database and costs money. To use it, set the variable BENCH to "on" and the secret BENCH_TOKEN',
  );
}
