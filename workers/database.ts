/** The database of this deployment, and how a Worker or a Durable Object connects to it. */

import { SluiceError } from '../src/core/errors.ts';
import { type Connection, openConnection } from '../src/database/connection.ts';
import { type DatabaseTarget, resolveTarget } from '../src/database/target.ts';
import { CoalescingSocket } from './coalescing-socket.ts';
import type { Env } from './env.ts';

/** Throws `invalid_configuration` where no database is set. `driver`: instead of the one that is configured. */
export function databaseTarget(env: Env, driver: string | undefined = env.DRIVER): DatabaseTarget {
  try {
    return resolveTarget({
      hyperdriveUrl: env.HYPERDRIVE?.connectionString,
      databaseUrl: env.DATABASE_URL,
      driver,
      neonProxy: env.NEON_PROXY,
    });
  } catch (error) {
    // What is wrong here is the deployment, not the request that happened to need the database.
    throw new SluiceError('invalid_configuration', error instanceof Error ? error.message : '', {
      cause: error,
    });
  }
}

/** Opens a connection that belongs to the event, or to the Durable Object, that asks for it. */
export function connect(target: DatabaseTarget, timeLimitMs?: number): Promise<Connection> {
  return openConnection(target, {
    socket: ({ ssl }) => new CoalescingSocket(Boolean(ssl)),
    ...(timeLimitMs === undefined ? {} : { timeLimitMs }),
  });
}
