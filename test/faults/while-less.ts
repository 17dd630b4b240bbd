/** Waits as long as something moves: how fast it does is a matter of the machine. */

import { setTimeout as delay } from 'node:timers/promises';

const LOOK_EVERY_MS = 10;

/**
 * Resolves to true when `work` is done, and to false when what is `left` has not become less for `standstillMs`.
 *
 * @throws what `work` throws
 */
export async function whileLess(
  work: Promise<unknown>,
  left: () => number,
  standstillMs: number,
): Promise<boolean> {
  const done = work.then(() => true);
  let fewest = Number.POSITIVE_INFINITY;
  let lessMs = performance.now();
  for (;;) {
    if (await Promise.race([done, delay(LOOK_EVERY_MS, false)])) return true;
    const count = left();
    const nowMs = performance.now();
    if (count < fewest) {
      fewest = count;
      lessMs = nowMs;
    } else if (nowMs - lessMs > standstillMs) {
      return false;
    }
  }
}
