/** Says whether a Worker that was just started reaches its database: otherwise only its shards would find out. */

import { setTimeout as sleep } from 'node:timers/promises';
import { errorText, isSluiceError } from '../../src/core/errors.ts';
import { assertReachesDatabase } from '../ask-health.ts';
import { routeOf } from '../worker-address.ts';

/** How long wrangler may take until the Worker answers. */
const START_TIME_LIMIT_MS = 120_000;
const ASK_AGAIN_MS = 250;

/**
 * Waits until the Worker answers, and says once why it does not reach its database, if it does not.
 *
 * @returns true where Sluice answers
 * @param worker its address, with the path below which Sluice's router is mounted
 */
export async function reportHealth(worker: URL, log: (message: string) => void): Promise<boolean> {
  const deadlineMs = performance.now() + START_TIME_LIMIT_MS;
  while (performance.now() < deadlineMs) {
    await sleep(ASK_AGAIN_MS, undefined, { ref: false });
    // Nothing listens before wrangler has bundled the Worker.
    const isThere = await fetch(worker).then(
      () => true,
      () => false,
    );
    if (!isThere) continue;
    try {
      await assertReachesDatabase(worker);
      return true;
    } catch (error) {
      const isElsewhere = isSluiceError(error) && error.code === 'not_found';
      log(
        isElsewhere
          ? `What answers at ${routeOf(worker, '/health')} is not Sluice. If its router is mounted below another path, name ` +
              'the path with --path, as in npx sluice dev --path /sluice'
          : errorText(error),
      );
      return !isElsewhere;
    }
  }
  return false;
}
