/** An event store in a Durable Object, for the clients of the suite `dcb`, which call it by RPC from another one. */

import { systemTimers } from '../../src/core/timers.ts';
import { ConnectionPool } from '../../src/database/connection-pool.ts';
import type { QueryItem } from '../../src/events/engine.ts';
import { PostgresEventEngine } from '../../src/events/engines/postgres-engine.ts';
import type { AppendConditionInput, NewEvent } from '../../src/events/event.ts';
import { EventStore } from '../../src/events/event-store.ts';
import { connect, databaseTarget } from '../../workers/database.ts';
import { type BenchStore, directStore } from '../suites/dcb/bench-store.ts';
import type { Answer } from '../suites/dcb/ledger.ts';
import type { LabEnv } from './env.ts';

/** As many as a namespace has. */
const CONNECTIONS = 4;

/** What a client calls. Each call names the schema, so that an object that was started anew knows where it was. */
export interface HolderCalls {
  appendToHolder(
    schema: string,
    events: readonly NewEvent[],
    condition: AppendConditionInput | undefined,
  ): Promise<Answer>;
  lastInHolder(schema: string, query: readonly QueryItem[]): Promise<bigint>;
  closeHolder(): Promise<void>;
}

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
