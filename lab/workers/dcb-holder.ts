/** An event store in a Durable Object, for the clients of the suite `dcb`, which call it by RPC from another one. */

import { systemTimers } from '../../src/core/timers.ts';
import { ConnectionPool } from '../../src/database/connection-pool.ts';
import { PostgresEventEngine } from '../../src/events/engines/postgres-engine.ts';
import { EventStore } from '../../src/events/event-store.ts';
import { connect, databaseTarget } from '../../workers/database.ts';
import { type BenchStore, directStore } from '../suites/dcb/bench-store.ts';
import type { HolderCalls, LabEnv } from './env.ts';

/** As many as a namespace has. */
const CONNECTIONS = 4;

export class DcbHolder {
  readonly #env: LabEnv;
  #open: { store: EventStore; bench: BenchStore; pool: ConnectionPool } | undefined;

  constructor(env: LabEnv) {
    this.#env = env;
  }

  /** The one store, in which all appends meet. */
  store(schema: string): BenchStore {
    if (this.#open === undefined) {
      const target = databaseTarget(this.#env);
      const pool = new ConnectionPool({
        open: () => connect(target),
        timers: systemTimers,
        size: CONNECTIONS,
      });
      const store = new EventStore(
        new PostgresEventEngine({ connections: pool, schema, preparesStatements: true }),
      );
      this.#open = { store, bench: directStore(store), pool };
    }
    return this.#open.bench;
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.store.close();
    open?.pool.close();
  }
}

/** The store of an object as its clients see it. */
export function storeOfHolder(holder: HolderCalls, schema: string): BenchStore {
  return {
    append: (events, condition) => holder.appendToHolder(schema, events, condition),
    last: (query) => holder.lastInHolder(schema, query),
  };
}
