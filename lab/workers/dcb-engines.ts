/** Event stores in Postgres that a Durable Object holds, and which the clients of the suite `dcb` reach through it. */

import { createToken, hashToken, schemaOfNamespace } from '../../src/store/namespaces.ts';
import { bound } from '../../workers/bound.ts';
import { connect, databaseTarget } from '../../workers/database.ts';
import { ACCESS_HEADER } from '../../workers/objects.ts';
import { unwrap } from '../../workers/outcome.ts';
import { randomBytes } from '../../workers/store-answers.ts';
import type { Engine } from '../jobs/fixture.ts';
import { openNamespace, postgresEngine } from '../jobs/postgres-engine.ts';
import { httpStore } from '../suites/dcb/bench-store.ts';
import { EVENT_STORE } from '../suites/dcb/event-store.ts';
import type { BenchedEvents } from '../suites/dcb/fixture.ts';
import type { EventRow } from '../suites/dcb/floor.ts';
import { storeOfHolder } from './dcb-holder.ts';
import type { LabEnv } from './env.ts';

/** Schemas in Postgres, each with an object that holds its store. Attempts go to that object, all else to Postgres. */
export function holderEngine(env: LabEnv, name: string): Engine<BenchedEvents, EventRow> {
  const target = databaseTarget(env);
  const schemas = postgresEngine(EVENT_STORE, { openConnection: () => connect(target), run: newName(name) });
  return {
    hasNames: schemas.hasNames,
    async create() {
      const namespace = await schemas.create();
      const { schema } = namespace;
      const holder = bound(env, 'BENCH_OBJECT').getByName(`dcb holder/${schema}`);
      return {
        ...namespace,
        openStore: async () => ({ ...(await namespace.openStore()), store: storeOfHolder(holder, schema) }),
        async drop() {
          await holder.closeHolder();
          await namespace.drop();
        },
      };
    },
  };
}

/** Namespaces of the Worker whose events are in Postgres. Attempts go to their objects, all else to Postgres. */
export function namespaceEngine(env: LabEnv, name: string): Engine<BenchedEvents, EventRow> {
  let hasNames = true;
  return {
    hasNames: () => hasNames,
    async create() {
      const namespace = `bench_${newName(name)}`;
      const token = createToken(namespace, randomBytes);
      const config = { namespace, engine: 'postgres', tokenHash: hashToken(token) } as const;
      const stub = bound(env, 'NAMESPACE').getByName(namespace);
      await unwrap(stub.configure(config, false));
      const target = databaseTarget(env);
      const owner = await connect(target);
      const direct = openNamespace(EVENT_STORE, {
        owner,
        openConnection: () => connect(target),
        schema: schemaOfNamespace(namespace),
        onNamesLost() {
          hasNames = false;
        },
      });
      const headers = { [ACCESS_HEADER]: `token ${token}` };
      return {
        ...direct,
        openStore: async () => ({
          ...(await direct.openStore()),
          store: httpStore((path, init) => stub.fetch(`https://namespace${path}`, { ...init, headers })),
        }),
        async drop() {
          direct.close();
          owner.close();
          await stub.destroy(config);
        },
      };
    },
  };
}

/** Another one each time, also where the object was restarted and knows nothing of those before. */
function newName(name: string): string {
  return `${name}_${crypto.randomUUID().slice(0, 8)}`;
}
