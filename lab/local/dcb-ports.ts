/** The engines of the suite `dcb` from the command line: Node's SQLite and Postgres here, Durable Objects over HTTP. */

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeSqlite } from '../../local/sqlite.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { openConnection } from '../../src/database/connection.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { SqliteEventEngine } from '../../src/events/engines/sqlite-engine.ts';
import { EventStore } from '../../src/events/event-store.ts';
import { RemoteBench } from '../steps/remote-bench.ts';
import { type DcbBench, DcbEngineBench, type DcbEngineRoom, type DcbRun } from '../suites/dcb/bench.ts';
import { directStore } from '../suites/dcb/bench-store.ts';
import type { DcbPorts } from '../suites/dcb/host.ts';
import type { DcbEngine, DcbOrder } from '../suites/dcb/order.ts';
import { dcbPlaceOf, OBJECT_PLACES } from '../suites/dcb/place.ts';
import { dropBenchSchemas, postgresDcbEngine } from '../suites/dcb/postgres.ts';
import { sqliteEventFloor } from '../suites/dcb/sqlite-floor.ts';
import { askWorker } from './ask-place.ts';
import { nodeHeap } from './heap.ts';
import { type LocalStorePlaces, openBare } from './store-ports.ts';

export function localDcbPorts({ folder, target, workerUrl, run }: LocalStorePlaces): DcbPorts {
  const now = (): number => performance.now();
  const heap = nodeHeap();
  return {
    async open(engine): Promise<DcbBench> {
      switch (engine) {
        case 'memory':
        case 'file':
          return new DcbEngineBench(sqliteEngine(engine, folder), now, { heap });
        case 'postgres':
          if (target === undefined) throw new SluiceError('internal', 'The bench has no database');
          return new DcbEngineBench(
            postgresDcbEngine({ openConnection: () => openConnection(target), run }),
            now,
            { heap },
          );
        default:
          if (workerUrl === undefined) throw new SluiceError('internal', 'The bench has no Worker');
          return withoutWorker(
            new RemoteBench<DcbOrder, DcbRun>(
              askWorker(workerUrl, '/bench/dcb'),
              (order) => `${run}${dcbPlaceOf(order)}`,
              now,
            ),
            engine,
            target,
            run,
          );
      }
    },
  };
}

/**
 * What the Worker's objects have in Postgres is dropped from here: when the bench is closed, the Worker is gone, whose
 * connections would hold up the drop. What they have in their storage is gone with it.
 */
function withoutWorker(
  bench: DcbBench,
  engine: DcbEngine,
  target: DatabaseTarget | undefined,
  run: string,
): DcbBench {
  return {
    prepare: (order) => bench.prepare(order),
    run: (order) => bench.run(order),
    audit: (order) => bench.audit(order),
    async close() {
      if (engine !== 'object' || target === undefined) return;
      const connection = await openConnection(target);
      try {
        await dropBenchSchemas(connection, `${run}${OBJECT_PLACES}`);
      } finally {
        connection.close();
      }
    },
  };
}

/** Node's SQLite as users have it, a database for each namespace. */
function sqliteEngine(kind: 'memory' | 'file', folder: string): DcbEngineRoom {
  return {
    async create() {
      const own = kind === 'memory' ? undefined : await mkdtemp(join(folder, 'events-'));
      const path = (name: string): string => (own === undefined ? ':memory:' : join(own, name));
      const open: { close(): void }[] = [];
      let events: EventStore | undefined;
      function openEvents(): EventStore {
        if (events !== undefined) return events;
        const sqlite = new NodeSqlite(path('events.db'), { synchronous: 'normal' });
        open.push(sqlite);
        events = new EventStore(new SqliteEventEngine(sqlite));
        return events;
      }
      return {
        openStore: async () => directStore(openEvents()),
        openEvents: async () => openEvents(),
        async openFloor(hasIndex) {
          const { bare, close } = openBare(path('floor.db'), kind);
          open.push({ close });
          return sqliteEventFloor(bare, hasIndex);
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
