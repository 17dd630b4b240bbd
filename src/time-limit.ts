/** A ceiling on how long something may take. */

import { SluiceError } from './errors.ts';

/**
 * Waits for a promise for at most `limitMs`. The work itself is not stopped: who waits gives it up, and must end
 * what it runs on.
 *
 * @param doing what took too long, as in "Gave up connecting after 5000 ms"
 * @throws SluiceError `time_limit`
 */
export async function withTimeLimit<Value>(promise: Promise<Value>, limitMs: number, doing: string): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new SluiceError('time_limit', `Gave up ${doing} after ${limitMs} ms`)), limitMs);
  });
  // The loser of the race may still fail later; nobody waits for it any more.
  promise.catch(() => {});
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
