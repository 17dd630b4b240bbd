/** The part of a bench that is timed. */

/** Makes one attempt; undefined where it was synchronous and is over. */
export type Attempt = (attempt: number, client: number) => Promise<unknown> | undefined;

/**
 * Makes attempts one after the other, by several clients at the same time where there are several.
 *
 * @param now milliseconds with fractions
 * @returns how long all of them took together, and each by itself, in milliseconds, ascending
 */
export async function timeAttempts(
  attempts: number,
  clients: number,
  attempt: Attempt,
  now: () => number,
): Promise<{ elapsedMs: number; sortedMs: Float64Array }> {
  const tookMs = new Float64Array(attempts);
  let next = 0;
  async function work(client: number): Promise<void> {
    while (next < attempts) {
      const number = next;
      next += 1;
      const beganAtMs = now();
      const pending = attempt(number, client);
      // A bare statement that is synchronous is over: to wait for it would be another turn of the microtasks.
      if (pending !== undefined) await pending;
      tookMs[number] = now() - beganAtMs;
    }
  }
  const startedAtMs = now();
  if (clients === 1) await work(0);
  else await Promise.all(Array.from({ length: clients }, (_, client) => work(client)));
  return { elapsedMs: now() - startedAtMs, sortedMs: tookMs.sort() };
}
