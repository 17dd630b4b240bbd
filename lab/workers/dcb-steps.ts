/** The suite `dcb` inside the Worker: the clients in a Durable Object, and the places that a run needs. */

import { SluiceError } from '../../src/core/errors.ts';
import { optionTable, resolveOptions } from '../../src/core/option-table.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { SqliteEventEngine } from '../../src/events/engines/sqlite-engine.ts';
import { EventStore } from '../../src/events/event-store.ts';
import { schemaOfNamespace } from '../../src/messages/engines/postgres-schema.ts';
import { createToken, hashToken } from '../../src/store/namespaces.ts';
import { connect, databaseTarget } from '../../workers/database.ts';
import { ACCESS_HEADER } from '../../workers/objects.ts';
import { unwrap } from '../../workers/outcome.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import { randomBytes } from '../../workers/store-answers.ts';
import { RemoteBench } from '../steps/remote-bench.ts';
import type { BenchStep } from '../steps/step-bench.ts';
import { DcbEngineBench, type DcbEngineRoom, type DcbRun } from '../suites/dcb/bench.ts';
import { directStore, httpStore } from '../suites/dcb/bench-store.ts';
import { SET_NAMES } from '../suites/dcb/data-set.ts';
import type { DcbPorts } from '../suites/dcb/host.ts';
import { DCB_OPERATIONS, DCB_WAYS_TO_OBJECT, type DcbOrder } from '../suites/dcb/order.ts';
import { dcbPlaceOf } from '../suites/dcb/place.ts';
import { postgresDcbEngine, postgresNamespace } from '../suites/dcb/postgres.ts';
import { sqliteEventFloor } from '../suites/dcb/sqlite-floor.ts';
import { storeOfHolder } from './dcb-holder.ts';
import type { LabEnv } from './env.ts';
import { bareSqlite } from './store-steps.ts';

/** Takes the steps of one place. */
export class DcbSteps {
  readonly #ctx: DurableObjectState;
  readonly #env: LabEnv;
  #bench: DcbEngineBench | undefined;

  constructor(ctx: DurableObjectState, env: LabEnv) {
    this.#ctx = ctx;
    this.#env = env;
  }

  async take(step: BenchStep, order: DcbOrder): Promise<unknown> {
    // The object's own clock may stand still; whoever sent the order looks at theirs.
    this.#bench ??= new DcbEngineBench(engineOf(order, this.#ctx, this.#env), Date.now, {
      tellsLatency: false,
    });
    if (step !== 'close') return this.#bench[step](order);
    await this.#bench.close();
    this.#bench = undefined;
    return null;
  }
}

function engineOf(
  { engine, through }: DcbOrder,
  { storage, id }: DurableObjectState,
  env: LabEnv,
): DcbEngineRoom {
  if (engine === 'object-sqlite') return storageEngine(storage);
  const place = id.name ?? '';
  return through === 'rpc' ? holderEngine(env, place) : namespaceEngine(env, place);
}

/** The storage of this object. It holds one namespace at a time. */
function storageEngine(storage: DurableObjectStorage): DcbEngineRoom {
  return {
    async create() {
      await storage.deleteAll();
      let events: EventStore | undefined;
      const openEvents = (): EventStore => {
        events ??= new EventStore(new SqliteEventEngine(new DurableObjectSqlite(storage)));
        return events;
      };
      return {
        openStore: async () => directStore(openEvents()),
        openEvents: async () => openEvents(),
        openFloor: async (hasIndex) => sqliteEventFloor(bareSqlite(storage), hasIndex),
        settle: async () => {},
        drop: () => storage.deleteAll(),
      };
    },
  };
}

/** Schemas in Postgres, each with an object that holds its store. Attempts go to that object, all else to Postgres. */
function holderEngine(env: LabEnv, place: string): DcbEngineRoom {
  const target = databaseTarget(env);
  const schemas = postgresDcbEngine({ openConnection: () => connect(target), run: newName(place) });
  return {
    hasNames: schemas.hasNames,
    async create() {
      const namespace = await schemas.create();
      const { schema } = namespace;
      const holder = env.BENCH_OBJECT.getByName(`dcb holder/${schema}`);
      return {
        ...namespace,
        openStore: async () => storeOfHolder(holder, schema),
        async drop() {
          await holder.closeHolder();
          await namespace.drop();
        },
      };
    },
  };
}

/** Namespaces of the Worker whose events are in Postgres. Attempts go to their objects, all else to Postgres. */
function namespaceEngine(env: LabEnv, place: string): DcbEngineRoom {
  let hasNames = true;
  return {
    hasNames: () => hasNames,
    async create() {
      const name = `bench_${newName(place)}`;
      const token = createToken(name, randomBytes);
      const config = { namespace: name, engine: 'postgres', tokenHash: hashToken(token) } as const;
      const stub = env.NAMESPACE.getByName(name);
      await unwrap(stub.configure(config, false));
      const target = databaseTarget(env);
      const owner = await connect(target);
      const direct = postgresNamespace({
        owner,
        openConnection: () => connect(target),
        schema: schemaOfNamespace(name),
        onNamesLost() {
          hasNames = false;
        },
      });
      const headers = { [ACCESS_HEADER]: `token ${token}` };
      return {
        ...direct,
        openStore: async () =>
          httpStore((path, init) => stub.fetch(`https://namespace${path}`, { ...init, headers })),
        async drop() {
          direct.close();
          owner.close();
          await stub.destroy(config);
        },
      };
    },
  };
}

/** Another one each time, also where the object of the place was started anew and knows nothing of those before. */
function newName(place: string): string {
  return `${place.replace(/^dcb\//, '')}_${crypto.randomUUID().slice(0, 8)}`;
}

/** The engines that there are inside a Worker. */
export function workerDcbPorts(env: LabEnv, target: DatabaseTarget, run: string): DcbPorts {
  return {
    async open(engine) {
      switch (engine) {
        case 'postgres':
          return new DcbEngineBench(
            postgresDcbEngine({ openConnection: () => connect(target), run }),
            Date.now,
          );
        case 'object':
        case 'object-sqlite':
          return new RemoteBench<DcbOrder, DcbRun>(
            (place, step, order) => dcbPlace(env, place).takeDcbStep(step, order),
            (order) => `${run}${dcbPlaceOf(order)}`,
            Date.now,
          );
        default:
          throw new SluiceError(
            'invalid_options',
            `The Worker has no engine ${engine}: postgres, object and object-sqlite are allowed`,
          );
      }
    },
  };
}

/** The object that holds a place. */
export function dcbPlace(env: LabEnv, place: string) {
  return env.BENCH_OBJECT.getByName(`dcb/${place}`);
}

const ORDER = optionTable({
  engine: { kind: 'choice', choices: ['object', 'object-sqlite'], default: 'object-sqlite', description: '' },
  set: { kind: 'choice', choices: SET_NAMES, default: 'tiny', description: '' },
  seed: { kind: 'integer', min: 0, max: 2_147_483_647, default: 1, description: '' },
  operation: { kind: 'choice', choices: DCB_OPERATIONS, default: 'append-1', description: '' },
  way: { kind: 'choice', choices: ['store', 'floor', 'indexed'], default: 'store', description: '' },
  through: { kind: 'choice', choices: DCB_WAYS_TO_OBJECT, default: 'rpc', description: '' },
  clients: { kind: 'integer', min: 1, max: 100, default: 1, description: '' },
  operations: { kind: 'integer', min: 1, max: 1_000_000, default: 1, description: '' },
});

/**
 * Reads an order that came in by a request.
 *
 * @throws SluiceError `invalid_options`
 */
export function readDcbOrder(value: unknown): DcbOrder {
  if (typeof value !== 'object' || value === null) {
    throw new SluiceError('invalid_options', 'Cannot use this order: a JSON object is allowed');
  }
  return resolveOptions(ORDER, value as Record<string, unknown>, 'order');
}
