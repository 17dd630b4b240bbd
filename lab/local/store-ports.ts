/** The engines of the suite `store` from the command line: Node's SQLite and Postgres here, a Durable Object over HTTP. */

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { NodeSqlite } from '../../local/sqlite.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { openConnection } from '../../src/database/connection.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { SqliteMessageEngine } from '../../src/messages/engines/sqlite-engine.ts';
import { MessageStore } from '../../src/messages/message-store.ts';
import { type AskPlace, RemoteBench } from '../steps/remote-bench.ts';
import { type BareSqlite, sqliteFloor } from '../suites/store/sqlite-floor.ts';
import {
  type BenchEngine,
  type BenchNamespace,
  EngineBench,
  type StoreBench,
  type StoreRun,
} from '../suites/store/store-bench.ts';
import type { StorePorts } from '../suites/store/store-host.ts';
import { type StoreEngine, type StoreOrder, storePlaceOf } from '../suites/store/store-order.ts';
import { postgresBenchEngine } from '../suites/store/store-postgres.ts';
import { askWorker } from './ask-place.ts';

export interface LocalStorePlaces {
  /** A folder for the files of SQLite, on the disk whose speed is to be measured. */
  folder: string;
  /** Undefined where the engine `postgres` is not measured. */
  target: DatabaseTarget | undefined;
  /** Where the Worker listens; undefined where the engine `object` is not measured. */
  workerUrl: URL | undefined;
  /** Part of the names of all that is made: letters and digits. */
  run: string;
}

export function localStorePorts({ folder, target, workerUrl, run }: LocalStorePlaces): StorePorts {
  const now = (): number => performance.now();
  return {
    async open(engine: StoreEngine): Promise<StoreBench> {
      switch (engine) {
        case 'memory':
        case 'file':
        case 'full':
          return new EngineBench(sqliteEngine(engine, folder), now);
        case 'postgres':
          if (target === undefined) throw new SluiceError('internal', 'The bench has no database');
          return new EngineBench(
            postgresBenchEngine({ openConnection: () => openConnection(target), run }),
            now,
          );
        case 'object':
          if (workerUrl === undefined) throw new SluiceError('internal', 'The bench has no Worker');
          return new RemoteBench<StoreOrder, StoreRun>(
            askStore(workerUrl),
            (order) => `${run}${storePlaceOf(order)}`,
            now,
          );
      }
    },
    now,
  };
}

/** Node's SQLite as users have it, a database for each namespace. */
function sqliteEngine(kind: 'memory' | 'file' | 'full', folder: string): BenchEngine {
  return {
    async create(): Promise<BenchNamespace> {
      const own = kind === 'memory' ? undefined : await mkdtemp(join(folder, `${kind}-`));
      const path = (name: string): string => (own === undefined ? ':memory:' : join(own, name));
      const open: { close(): void }[] = [];
      return {
        async openStore() {
          const sqlite = new NodeSqlite(path('store.db'), {
            synchronous: kind === 'full' ? 'full' : 'normal',
          });
          open.push(sqlite);
          return new MessageStore(new SqliteMessageEngine(sqlite));
        },
        async openFloor(hasIndexes) {
          const { bare, close } = openBare(path('floor.db'), kind);
          open.push({ close });
          return sqliteFloor(bare, hasIndexes);
        },
        async drop() {
          for (const database of open.splice(0)) database.close();
          if (own !== undefined) await rm(own, { recursive: true, force: true });
        },
      };
    },
  };
}

/** node:sqlite and nothing around it. */
export function openBare(
  path: string,
  kind: 'memory' | 'file' | 'full',
): { bare: BareSqlite; close: () => void } {
  const database = new DatabaseSync(path);
  if (kind !== 'memory') {
    database.exec(`pragma journal_mode = wal; pragma synchronous = ${kind === 'full' ? 'full' : 'normal'}`);
  }
  const begin = database.prepare('begin immediate');
  const commit = database.prepare('commit');
  return {
    bare: {
      exec: (statement) => database.exec(statement),
      prepare: (statement) => database.prepare(statement),
      transaction(step) {
        begin.run();
        step();
        commit.run();
      },
    },
    close: () => database.close(),
  };
}

/** What the Worker's objects hold ends with it, and it may be gone already. */
function askStore(workerUrl: URL): AskPlace<StoreOrder> {
  const ask = askWorker<StoreOrder>(workerUrl, '/bench/store');
  return async (place, step, order) => (step === 'close' ? null : ask(place, step, order));
}
