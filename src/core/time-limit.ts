/** A ceiling on how long something may take. */

import { SluiceError } from './errors.ts';

/**
 * Waits for a promise (or for a lazy query, which it starts) for at most `limitMs`. The work itself is not stopped: who waits gives it up, and must end
 * what it runs on.
 *
 * @param doing what took too long, as in "Gave up connecting after 5000 ms"
 * @throws SluiceError `time_limit`
 */
export async function withTimeLimit<Value>(
  work: PromiseLike<Value>,
  limitMs: number,
  doing: string,
): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new SluiceError('time_limit', `Gave up ${doing} after ${limitMs} ms`)),
      limitMs,
    );
  });
  // Once, and for all uses below: Drizzle's queries are lazy thenables, which run again at every `then`.
  const promise = Promise.resolve(work);
  // The loser of the race may still fail later; nobody waits for it any more.
  promise.catch(() => {});
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
