import { insertRows } from './insert-row.ts';
import type { Writer } from './writer.ts';

/** One connection for each lane: the number that `buffered` has by default, so that only the queue differs. */
const DEFAULT_CONNECTIONS = 4;

/**
 * The baseline that people start with: one awaited INSERT per message, and a socket's next message waits for it.
 * A producer's messages stay on one lane, and a lane has one message on its way at a time.
 */
export const naive: Writer = {
  mode: 'naive',
  description: 'one awaited INSERT per message',
  isExactlyOnce: false,
  plan: ({ connections }) => ({
    lanes: connections === 0 ? DEFAULT_CONNECTIONS : connections,
    workersPerLane: 1,
    triggerRows: 1,
    maxRows: 1,
    lingerMs: 0,
  }),
  create: insertRows,
};
