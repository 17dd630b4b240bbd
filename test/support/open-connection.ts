/** Connections for tests: as the product opens them, but for its time limit, which a busy machine may miss. */

import type { Connection, OpenOptions } from '../../src/database/connection.ts';
import { openConnection as open } from '../../src/database/connection.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { HANG_LIMIT_MS } from './patience.ts';

/** @throws SluiceError like the product's */
export function openConnection(target: DatabaseTarget, options: OpenOptions = {}): Promise<Connection> {
  return open(target, { timeLimitMs: HANG_LIMIT_MS, ...options });
}
