/** The suite `stress` inside the Worker: phases where the run is, for there are no processes. */

import * as zlib from 'node:zlib';
import type { ConnectionSlot } from '../../src/database/connection-slot.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { connect } from '../../workers/database.ts';
import { NO_MEMORY_GAUGE } from '../suites/stress/phase.ts';
import { phasesInPlace } from '../suites/stress/phases-in-place.ts';
import type { StressPorts } from '../suites/stress/stress-host.ts';
import { zstdOf } from '../suites/stress/zstd.ts';

/** Two of the formats hold a whole record, at up to 1.5 kB for each epoch, several times; an object has 128 MB. */
export const MAX_WORKER_EPOCHS = 15_000;

export function workerStressPorts(slot: ConnectionSlot, target: DatabaseTarget): StressPorts {
  return {
    slot,
    ...phasesInPlace({
      open: () => connect(target),
      zstd: zstdOf(zlib),
      memory: NO_MEMORY_GAUGE,
      now: Date.now,
    }),
  };
}
