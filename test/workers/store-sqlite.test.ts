/** The message store in the SQLite storage of a real Durable Object. */

import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';
import { encodeBenchShardName } from '../../lab/workers/bench-shard-name.ts';
import type { MessageEngine } from '../../src/messages/engine.ts';
import { SqliteMessageEngine } from '../../src/messages/engines/sqlite-engine.ts';
import { MessageStore } from '../../src/messages/message-store.ts';
import type { Shard } from '../../workers/shard.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import { messageStoreContract } from '../support/message-store-contract.ts';
import { SQLITE_ENGINE_CASES } from '../support/sqlite-engine-cases.ts';
import './environment.ts';

let objects = 0;

/** A Durable Object with an empty storage: a shard that only counts frames has no tables of its own. */
function emptyObject(): DurableObjectStub<Shard> {
  objects += 1;
  const bench = `store-${crypto.randomUUID().slice(0, 8)}-${objects}`;
  return env.BENCH_SHARD.getByName(encodeBenchShardName({ bench, spec: null, driver: null, shard: 0 }));
}

messageStoreContract('the SQLite of a Durable Object', async () => {
  const stub = emptyObject();
  // An object's storage may only be used from inside of it, and by the instance that it was given to: on a busy machine the
  // platform may end an object between two calls, and start it again.
  let opened: { storage: DurableObjectStorage; engine: SqliteMessageEngine } | undefined;
  const engineIn = ({ storage }: DurableObjectState): SqliteMessageEngine => {
    if (opened?.storage !== storage)
      opened = { storage, engine: new SqliteMessageEngine(new DurableObjectSqlite(storage)) };
    return opened.engine;
  };
  const engine = await runInDurableObject(stub, (_, state) => engineIn(state));
  const inside = new Proxy(engine, {
    get(_, name: keyof MessageEngine) {
      return (...args: unknown[]) =>
        runInDurableObject(stub, (_instance, state) =>
          (engineIn(state)[name] as (...args: unknown[]) => unknown)(...args),
        );
    },
  });
  return { store: new MessageStore(inside), engine: inside, close: async () => {} };
});

describe('the engine in the storage of a Durable Object', () => {
  it.each(SQLITE_ENGINE_CASES)('$name', async ({ run }) => {
    await runInDurableObject(emptyObject(), (_, state) => run(new DurableObjectSqlite(state.storage)));
  });
});
