/** Whether a load generator could still have done more. */

import type { Warning } from '../result.ts';

/** Beyond it, what the generator measures is its own delay: a frame waits for it as long as for the system. */
export const BUSY_LOOP_DELAY_MS = 20;

/** @param loopDelayP99Ms p99 delay of the generator's event loop; null where it cannot be measured */
export function clientBoundWarnings(where: string, loopDelayP99Ms: number | null): Warning[] {
  if (loopDelayP99Ms === null || loopDelayP99Ms <= BUSY_LOOP_DELAY_MS) return [];
  return [
    {
      code: 'client_bound',
      where,
      // Without the figure, so that several repetitions tell it once.
      text: `the load generator's event loop was more than ${BUSY_LOOP_DELAY_MS} ms late: the latencies hold its own delay, and the rate may be its own; take more messages in a frame, or generate the load on another machine`,
    },
  ];
}
