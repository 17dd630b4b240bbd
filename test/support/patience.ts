/**
 * How long tests wait. A limit is there to end what hangs, and for nothing else: a machine that is busy with other things
 * must not decide whether a test passes. So there are these two, and test/patience.test.ts finds every other.
 */

/** For one thing that has to come. */
export const HANG_LIMIT_MS = 240_000;

/** For a whole test or hook: half an hour, since some compute for minutes where they get little of the machine. */
export const TEST_LIMIT_MS = 1_800_000;

// Taken before any test has put its own clock in their place.
const now = performance.now.bind(performance);
const { setTimeout: after } = globalThis;

/**
 * Asks until `check` no longer throws, and gives what it then returns; its last error where that never comes. Clocks that a
 * test has taken over stand still meanwhile, which those of `vi.waitFor` do not.
 */
export async function eventually<Value>(check: () => Value | Promise<Value>, everyMs = 10): Promise<Value> {
  const untilMs = now() + HANG_LIMIT_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (now() > untilMs) throw error;
    }
    await new Promise((resolve) => after(resolve, everyMs));
  }
}
