/**
 * The engines of the suites `store` and `dcb` from the command line: Node's SQLite and Postgres here, Durable Objects over
 * HTTP.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { NodeSqlite } from '../../local/sqlite.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { openConnection } from '../../src/database/connection.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import type { Engine } from '../jobs/fixture.ts';
import type { HeapMeter } from '../jobs/heap-meter.ts';
import type { Job, JobBench } from '../jobs/job.ts';
import type { JobPorts } from '../jobs/job-host.ts';
import { JobRunner } from '../jobs/job-runner.ts';
import { dropBenchSchemas, postgresEngine } from '../jobs/postgres-engine.ts';
import { type CallTarget, RemoteBench } from '../jobs/remote-bench.ts';
import { type BareSqlite, sqliteFloor } from '../jobs/sqlite-floor.ts';
import type { BenchedStore, StoreUnderTest } from '../jobs/store-under-test.ts';
import { EVENT_STORE } from '../suites/dcb/event-store.ts';
import { type DcbJob, OBJECT_TARGETS } from '../suites/dcb/job.ts';
import type { StoreJob } from '../suites/store/job.ts';
import { MESSAGE_STORE } from '../suites/store/message-store.ts';
import { nodeHeap } from './heap.ts';

export interface LocalEngines {
  /** A folder for the files of SQLite, on the disk whose speed is to be measured. */
  folder: string;
  /** Undefined where nothing in Postgres is measured. */
  target: DatabaseTarget | undefined;
  /** Where the Worker listens; undefined where no Durable Object is measured. */
  workerUrl: URL | undefined;
  /** Part of the names of all that is made: letters and digits. */
  run: string;
}

export function localStorePorts(engines: LocalEngines): JobPorts<StoreJob> {
  return localPorts(MESSAGE_STORE, engines);
}

export function localDcbPorts(engines: LocalEngines): JobPorts<DcbJob> {
  const { target, run } = engines;
  return localPorts(EVENT_STORE, engines, {
    heap: nodeHeap(),
    // What the Worker's objects have in Postgres is dropped from here.
    async afterObjects(engine) {
      if (engine !== 'object' || target === undefined) return;
      const connection = await openConnection(target);
      try {
        await dropBenchSchemas(connection, `${run}${OBJECT_TARGETS}`);
      } finally {
        connection.close();
      }
    },
  });
}

function localPorts<J extends Job, Store, Row>(
  store: BenchedStore<J, Store, Row>,
  { folder, target, workerUrl, run }: LocalEngines,
  more: { heap?: HeapMeter; afterObjects?(engine: string): Promise<void> } = {},
): JobPorts<J> {
  const now = (): number => performance.now();
  const here = (engine: Engine<Store, Row>): JobBench<J> =>
    new JobRunner(store.plan(engine), { now, heap: more.heap, hasNames: engine.hasNames });
  return {
    now,
    async open(engine) {
      switch (engine) {
        case 'memory':
        case 'file':
        case 'full':
          return here(sqliteEngine(store, engine as SqliteKind, folder));
        case 'postgres':
          if (target === undefined) throw new SluiceError('internal', 'The bench has no database');
          return here(postgresEngine(store, { openConnection: () => openConnection(target), run }));
        default: {
          if (workerUrl === undefined) throw new SluiceError('internal', 'The bench has no Worker');
          const call = callWorker<J>(workerUrl, `/bench/${store.name}`);
          const bench = new RemoteBench<J>(call, (job) => `${run}${store.targetOf(job)}`, now);
          return {
            prepare: (job) => bench.prepare(job),
            run: (job) => bench.run(job),
            audit: (job) => bench.audit(job),
            // The Worker is stopped before the benches are closed, since its connections would hold up a drop; what its
            // objects have stored ends with it.
            close: async () => more.afterObjects?.(engine),
          };
        }
      }
    },
  };
}

/** The bench of an object of a Worker. @param path where the Worker takes the calls of a suite, such as `/bench/store` */
function callWorker<J extends Job>(workerUrl: URL, path: string): CallTarget<J> {
  return async function call(target, name, job) {
    const url = new URL(path, workerUrl);
    url.searchParams.set('target', target);
    url.searchParams.set('call', name);
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(job) });
    if (!response.ok) {
      const text = (await response.text()).slice(0, 200);
      throw new SluiceError('internal', `The Worker could not ${name} the bench: ${response.status} ${text}`);
    }
    return response.json();
  };
}

type SqliteKind = 'memory' | 'file' | 'full';

/** Node's SQLite as users have it, a database for each namespace. */
function sqliteEngine<Store, Row>(
  { onSqlite, floor }: StoreUnderTest<Store, Row>,
  kind: SqliteKind,
  folder: string,
): Engine<Store, Row> {
  return {
    async create() {
      const own = kind === 'memory' ? undefined : await mkdtemp(join(folder, `${kind}-`));
      const path = (name: string): string => (own === undefined ? ':memory:' : join(own, name));
      const open: { close(): void }[] = [];
      return {
        async openStore() {
          const sqlite = new NodeSqlite(path('store.db'), {
            synchronous: kind === 'full' ? 'full' : 'normal',
          });
          open.push(sqlite);
          return onSqlite(sqlite);
        },
        async openFloor(hasIndexes) {
          const { bare, close } = openBare(path('floor.db'), kind);
          open.push({ close });
          return sqliteFloor(floor, bare, hasIndexes);
        },
        settle: async () => {},
        async drop() {
          for (const database of open.splice(0)) database.close();
          if (own !== undefined) await rm(own, { recursive: true, force: true });
        },
      };
    },
  };
}

/** node:sqlite and nothing around it. */
function openBare(path: string, kind: SqliteKind): { bare: BareSqlite; close: () => void } {
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
