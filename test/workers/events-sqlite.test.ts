/** The event store in the SQLite storage of a real Durable Object. */

import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';
import { encodeBenchShardName } from '../../lab/workers/bench-shard-name.ts';
import type { EventEngine } from '../../src/events/engine.ts';
import { SqliteEventEngine } from '../../src/events/engines/sqlite-engine.ts';
import type { Shard } from '../../workers/shard.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import { dcbScenarios } from '../support/dcb-scenarios.ts';
import { eventStoreContract } from '../support/event-store-contract.ts';
import { SQLITE_EVENT_CASES } from '../support/sqlite-event-cases.ts';
import './environment.ts';

let objects = 0;

/** A Durable Object with an empty storage: a shard that only counts frames has no tables of its own. */
function emptyObject(): DurableObjectStub<Shard> {
  objects += 1;
  const bench = `events-${crypto.randomUUID().slice(0, 8)}-${objects}`;
  return env.BENCH_SHARD.getByName(encodeBenchShardName({ bench, spec: null, driver: null, shard: 0 }));
}

/** The engine of an object. An object that was restarted has another storage, so the engine cannot be kept in a test. */
const engines = new WeakMap<DurableObjectState, SqliteEventEngine>();

function engineOf(state: DurableObjectState): SqliteEventEngine {
  const known = engines.get(state);
  if (known !== undefined) return known;
  const engine = new SqliteEventEngine(new DurableObjectSqlite(state.storage));
  engines.set(state, engine);
  return engine;
}

/** The engine of an object, from outside. */
function engineIn(stub: DurableObjectStub<Shard>): EventEngine {
  const inside = <Result>(call: (engine: EventEngine) => Promise<Result>): Promise<Result> =>
    runInDurableObject(stub, (_, state) => call(engineOf(state)));
  return {
    append: (commands) => inside((engine) => engine.append(commands)),
    read: (read) => inside((engine) => engine.read(read)),
    head: () => inside((engine) => engine.head()),
    clear: () => inside((engine) => engine.clear()),
  };
}

eventStoreContract('the SQLite of a Durable Object', async () => ({
  engine: engineIn(emptyObject()),
  close: async () => {},
}));

dcbScenarios('the SQLite of a Durable Object', async () => engineIn(emptyObject()));

describe('the event engine in the storage of a Durable Object', () => {
  it.each(SQLITE_EVENT_CASES)('$name', async ({ run }) => {
    await runInDurableObject(emptyObject(), (_, state) => run(new DurableObjectSqlite(state.storage)));
  });
});
