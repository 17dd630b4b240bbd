/** The suite `store` inside the Worker: the loop of operations in a Durable Object, and the places that a run needs. */

import { SluiceError } from '../../src/core/errors.ts';
import { optionTable, resolveOptions } from '../../src/core/option-table.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { SqliteMessageEngine } from '../../src/messages/engines/sqlite-engine.ts';
import { MessageStore } from '../../src/messages/message-store.ts';
import { connect } from '../../workers/database.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import { RemoteBench } from '../steps/remote-bench.ts';
import type { BenchStep } from '../steps/step-bench.ts';
import { type BareSqlite, sqliteFloor } from '../suites/store/sqlite-floor.ts';
import {
  type BenchEngine,
  EngineBench,
  type StoreBench,
  type StoreRun,
} from '../suites/store/store-bench.ts';
import type { StorePorts } from '../suites/store/store-host.ts';
import { STORE_OPERATIONS, type StoreOrder, storePlaceOf } from '../suites/store/store-order.ts';
import { postgresBenchEngine } from '../suites/store/store-postgres.ts';
import type { LabEnv } from './env.ts';

/** Takes the steps of one place: its storage holds one namespace at a time. */
export class StoreSteps {
  readonly #bench: EngineBench;

  constructor(storage: DurableObjectStorage) {
    // The object's own clock may stand still; whoever sent the order looks at theirs.
    this.#bench = new EngineBench(objectEngine(storage), Date.now, false);
  }

  async take(step: BenchStep, order: StoreOrder): Promise<unknown> {
    if (step === 'close') {
      await this.#bench.close();
      return null;
    }
    return this.#bench[step](order);
  }
}

function objectEngine(storage: DurableObjectStorage): BenchEngine {
  return {
    async create() {
      await storage.deleteAll();
      return {
        openStore: async () => new MessageStore(new SqliteMessageEngine(new DurableObjectSqlite(storage))),
        openFloor: async (hasIndexes) => sqliteFloor(bareSqlite(storage), hasIndexes),
        drop: () => storage.deleteAll(),
      };
    },
  };
}

/** The storage's statements as they are: it keeps those prepared that it has seen. */
export function bareSqlite(storage: DurableObjectStorage): BareSqlite {
  return {
    exec: (statement) => void storage.sql.exec(statement),
    prepare: (statement) => ({
      run: (...bindings) => storage.sql.exec(statement, ...bindings),
      all: (...bindings) => storage.sql.exec(statement, ...bindings).toArray(),
    }),
    transaction: (step) => storage.transactionSync(step),
  };
}

/** The engines that there are inside a Worker. */
export function workerStorePorts(env: LabEnv, target: DatabaseTarget, run: string): StorePorts {
  return {
    async open(engine): Promise<StoreBench> {
      switch (engine) {
        case 'object':
          return new RemoteBench<StoreOrder, StoreRun>(
            (place, step, order) => storePlace(env, place).takeStoreStep(step, order),
            (order) => `${run}${storePlaceOf(order)}`,
            Date.now,
          );
        case 'postgres':
          return new EngineBench(
            postgresBenchEngine({ openConnection: () => connect(target), run }),
            Date.now,
          );
        default:
          throw new SluiceError(
            'invalid_options',
            `The Worker has no engine ${engine}: postgres and object are allowed`,
          );
      }
    },
    now: Date.now,
  };
}

/** The object that holds a place. */
export function storePlace(env: LabEnv, place: string) {
  return env.BENCH_OBJECT.getByName(`store/${place}`);
}

const ORDER = optionTable({
  engine: { kind: 'choice', choices: ['object'], default: 'object', description: '' },
  operation: { kind: 'choice', choices: STORE_OPERATIONS, default: 'write-1', description: '' },
  way: { kind: 'choice', choices: ['store', 'floor', 'indexed'], default: 'store', description: '' },
  writers: { kind: 'integer', min: 1, max: 100, default: 1, description: '' },
  operations: { kind: 'integer', min: 1, max: 1_000_000, default: 1, description: '' },
  others: { kind: 'integer', min: 0, max: 10_000_000, default: 0, description: '' },
});

/**
 * Reads an order that came in by a request.
 *
 * @throws SluiceError `invalid_options`
 */
export function readStoreOrder(value: unknown): StoreOrder {
  if (typeof value !== 'object' || value === null) {
    throw new SluiceError('invalid_options', 'Cannot use this order: a JSON object is allowed');
  }
  return resolveOptions(ORDER, value as Record<string, unknown>, 'order');
}
