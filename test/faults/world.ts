/**
 * Where faults happen: a real Postgres, the production Worker in workerd, clients, and a proxy on each way between them.
 * Many runs share one world, each with its own table and shard, so that they do not see each other.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBenchCheckpoints } from '../../lab/suites/ingest/bench-sink.ts';
import { Cleanup } from '../../local/cli/cleanup.ts';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { freePort } from '../support/free-port.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { heapUsedBytes } from './heap-gauge.ts';
import { PostgresServer } from './postgres-server.ts';

/** Lines of the Worker's console that are kept for those who ask why a run failed. */
const KEPT_LINES = 200;

export class World {
  readonly postgres: PostgresServer;
  /** Between the Worker and Postgres. */
  readonly toPostgres: FaultProxy;
  /** Between the clients and the Worker. */
  readonly toWorker: FaultProxy;
  readonly #worker: LocalWorker;
  readonly #cleanup: Cleanup;
  readonly #console: string[];
  readonly #restarts: Set<() => void>;
  readonly #inspectorPort: number | undefined;

  private constructor(parts: {
    postgres: PostgresServer;
    toPostgres: FaultProxy;
    toWorker: FaultProxy;
    worker: LocalWorker;
    cleanup: Cleanup;
    console: string[];
    restarts: Set<() => void>;
    inspectorPort: number | undefined;
  }) {
    this.postgres = parts.postgres;
    this.toPostgres = parts.toPostgres;
    this.toWorker = parts.toWorker;
    this.#worker = parts.worker;
    this.#cleanup = parts.cleanup;
    this.#console = parts.console;
    this.#restarts = parts.restarts;
    this.#inspectorPort = parts.inspectorPort;
  }

  /** @param readsHeap true where the heap of the Worker is to be looked at, which costs it speed */
  static async open({ readsHeap = false }: { readsHeap?: boolean } = {}): Promise<World> {
    const cleanup = new Cleanup();
    try {
      const folder = await mkdtemp(join(tmpdir(), 'sluice-faults-'));
      cleanup.add('remove the folder', () => rm(folder, { recursive: true, force: true }));
      const postgres = new PostgresServer(folder);
      cleanup.add('stop Postgres', () => postgres.remove());
      await postgres.start();
      await postgres.prepare();
      await postgres.query(createBenchCheckpoints());
      const toPostgres = await startFaultProxy({ target: { host: '127.0.0.1', port: postgres.port } });
      cleanup.add('close the proxy to Postgres', () => toPostgres.close());

      const console: string[] = [];
      const restarts = new Set<() => void>();
      const inspectorPort = readsHeap ? await freePort() : undefined;
      const worker = await startWorker({
        main: 'test/faults/worker/index.ts',
        flags: ['unsafe_module'],
        ...(inspectorPort === undefined ? {} : { inspectorPort }),
        bindings: {
          AUTHORIZE: 'open',
          DATABASE_URL: postgres.writerUrl(toPostgres.port),
          DRIVER: 'tcp',
          OPERATORS: 'open',
          BENCH: 'open',
        },
        onLog(message) {
          console.push(message);
          if (console.length > KEPT_LINES) console.shift();
        },
        onRestart() {
          for (const resolve of restarts) resolve();
        },
      });
      cleanup.add('stop the Worker', () => worker.stop());
      const toWorker = await startFaultProxy({
        target: { host: worker.url.hostname, port: Number(worker.url.port) },
      });
      cleanup.add('close the proxy to the Worker', () => toWorker.close());
      return new World({ postgres, toPostgres, toWorker, worker, cleanup, console, restarts, inspectorPort });
    } catch (error) {
      await cleanup.run();
      throw error;
    }
  }

  /** The Worker's own address, past every proxy. */
  get workerUrl(): URL {
    return this.#worker.url;
  }

  /** Bytes of the Worker's heap that are no garbage. */
  heapBytes(): Promise<number> {
    if (this.#inspectorPort === undefined)
      throw new Error('This world was opened without a look at the heap');
    return heapUsedBytes(this.#inspectorPort, 'sluice');
  }

  /** What the Worker wrote to its console of late. */
  get console(): readonly string[] {
    return this.#console;
  }

  /** kill -9 of workerd. Resolves once it was started again, on the same port and storage. */
  async killWorker(): Promise<void> {
    const processId = await this.#worker.processId();
    if (processId === undefined) throw new Error('The system does not tell which process is workerd');
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#restarts.add(resolve);
    process.kill(processId, 'SIGKILL');
    await promise;
    this.#restarts.delete(resolve);
  }

  /** All is well again, whatever a run has done. */
  async heal(): Promise<void> {
    this.toWorker.heal();
    this.toPostgres.heal();
    await this.postgres.start();
  }

  async close(): Promise<void> {
    await this.#cleanup.run();
  }
}
