/**
 * How long tests wait. A limit is there to end what hangs, and for nothing else: a machine that is busy with other things
 * must not decide whether a test passes. So there are these two, and test/patience.test.ts finds every other.
 */

/** For one thing that has to come. */
export const HANG_LIMIT_MS = 240_000;

/**
 * For a whole test or hook: a quarter of an hour. The longest ones take two minutes on a machine that is quiet, and get a
 * seventh of it on one that is not. More would let one that hangs take a large part of the time that CI has for everything.
 */
export const TEST_LIMIT_MS = 900_000;

// Taken before any test has put its own clock in their place.
const now = performance.now.bind(performance);
const { setTimeout: after, clearTimeout: cancel } = globalThis;

/**
 * Asks until `check` no longer throws, and gives what it then returns; its last error where that never comes. Clocks that a
 * test has taken over stand still meanwhile, which those of `vi.waitFor` do not.
 */
export async function eventually<Value>(check: () => Value | Promise<Value>, everyMs = 10): Promise<Value> {
  const untilMs = now() + HANG_LIMIT_MS;
  for (;;) {
    try {
      return await arrived(`The answer to ${nameOf(check)}`, Promise.resolve(check()));
    } catch (error) {
      if (now() > untilMs) throw error;
    }
    await new Promise((resolve) => after(resolve, everyMs));
  }
}

/** The beginning of its source, which tells it among others. */
function nameOf(check: () => unknown): string {
  return String(check).replaceAll(/\s+/g, ' ').slice(0, 160);
}

/** What was awaited hangs. */
export class NothingCame extends Error {}

/**
 * What is awaited, or an error that names it where it does not come. For what may never end, such as an answer of an object or
 * the end of a socket: the limit of the whole test would say only that something took too long.
 *
 * @param what as in "The answer to drain()"
 * @throws NothingCame
 */
export async function arrived<Value>(
  what: string,
  awaited: PromiseLike<Value>,
  limitMs = HANG_LIMIT_MS,
): Promise<Value> {
  let timer: ReturnType<typeof after> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = after(() => reject(new NothingCame(`${what} has not come within ${limitMs / 1_000} s`)), limitMs);
  });
  try {
    return await Promise.race([awaited, limit]);
  } finally {
    cancel(timer);
  }
}
