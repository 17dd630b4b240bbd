/** Who may bench: nobody unless the variable BENCH says so, and only with the token where one is set. */

import { SluiceError } from '../../src/errors.ts';
import type { Env } from '../env.ts';

/** @throws SluiceError `bench_disabled` or `unauthorized` */
export async function assertBenchAccess(
  { BENCH, BENCH_TOKEN }: Env,
  authorization: string | undefined,
): Promise<void> {
  if (BENCH !== 'on') {
    throw new SluiceError(
      'bench_disabled',
      'The bench is off: it writes to the database and costs money. Set the variable BENCH to "on" to allow it',
    );
  }
  if (BENCH_TOKEN === undefined || BENCH_TOKEN === '') return;
  const given = authorization?.replace(/^Bearer /i, '') ?? '';
  if (await isSame(given, BENCH_TOKEN)) return;
  throw new SluiceError(
    'unauthorized',
    'The bench asks for its token: send "Authorization: Bearer <BENCH_TOKEN>"',
  );
}

// Comparing digests takes the same time for every token, so the time says nothing about how much of it was right.
async function isSame(left: string, right: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const digests = await Promise.all(
    [left, right].map((text) => crypto.subtle.digest('SHA-256', encoder.encode(text))),
  );
  return crypto.subtle.timingSafeEqual(digests[0] as ArrayBuffer, digests[1] as ArrayBuffer);
}
