import { insertRows } from './insert-row.ts';
import type { Writer } from './writer.ts';

/** A queue, and `workers` connections that empty it, one INSERT per message. The order of messages is not kept. */
export const buffered: Writer = {
  mode: 'buffered',
  description: 'a queue and several connections, one INSERT per message',
  isExactlyOnce: false,
  plan: ({ workers }) => ({ lanes: 1, workersPerLane: workers, triggerRows: 1, maxRows: 1, lingerMs: 0 }),
  create: insertRows,
};
