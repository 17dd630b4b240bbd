/** The suite `rates` inside the Worker: the load objects send; there is no separate process for the bad example. */

import type { ConnectionSlot } from '../../src/database/connection-slot.ts';
import type { RatesPorts } from '../suites/rates/rates-host.ts';
import { FIRE_AND_FORGET, RATE_MODES } from '../suites/rates/rates-suite.ts';
import type { LabEnv } from './env.ts';
import { workerIngestPorts } from './ingest-ports.ts';

/** The modes that a Worker has: the default of its parameter `modes`. */
export const WORKER_RATE_MODES = RATE_MODES.filter((mode) => mode !== FIRE_AND_FORGET);

export function workerRatesPorts(env: LabEnv, slot: ConnectionSlot): RatesPorts {
  return {
    ...workerIngestPorts(env, slot),
    wait: (ms) => scheduler.wait(ms),
    openPool: undefined,
    // A Worker is told neither its memory nor how late its event loop is.
    heapBytes: () => null,
    workerBytes: async () => null,
    watchLoop: () => () => null,
  };
}
