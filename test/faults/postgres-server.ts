/** A real Postgres that can be stopped, killed and started again on the same port and data. */

import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type SQL, sql } from 'drizzle-orm';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../local/postgres/embedded.ts';
import { systemTimers } from '../../src/core/timers.ts';
import type { Connection } from '../../src/database/connection.ts';
import { ConnectionSlot } from '../../src/database/connection-slot.ts';
import { openConnection } from '../support/open-connection.ts';
import { SmallDisk } from './small-disk.ts';

/** Few, so that a run can use them up. */
export const MAX_CONNECTIONS = 30;

/** The role of the Worker. Unlike the lab's own it is bound by limits and permissions. */
export const WRITER = { user: 'writer', password: 'writer' };

export class PostgresServer {
  readonly #folder: string;
  #server: EmbeddedPostgres | undefined;
  #dataFolder: string | undefined;
  #disk: SmallDisk | undefined;
  #port = 0;
  readonly #slot = new ConnectionSlot({
    open: () => openConnection({ url: (this.#server as EmbeddedPostgres).url, driver: 'tcp' }),
    timers: systemTimers,
  });
  // A slot is one lane.
  #queue: Promise<unknown> = Promise.resolve();

  /** @param folder where the data lies */
  constructor(folder: string) {
    this.#folder = folder;
  }

  get port(): number {
    return this.#port;
  }

  get isRunning(): boolean {
    return this.#server !== undefined;
  }

  /** The Worker's connection string, at another port: that of a proxy. */
  writerUrl(port: number): string {
    return `postgres://${WRITER.user}:${WRITER.password}@127.0.0.1:${port}/sluice`;
  }

  /** The lab's own connection string, past every proxy. Its role may do everything. */
  get url(): string {
    if (this.#server === undefined) throw new Error('Postgres is not running');
    return this.#server.url;
  }

  async start(): Promise<void> {
    if (this.#server !== undefined) return;
    this.#server = await startEmbeddedPostgres({
      dataDirectory: join(this.#folder, 'data'),
      port: this.#port,
      settings: { max_connections: MAX_CONNECTIONS, shared_buffers: '64MB', max_wal_size: '512MB' },
    });
    this.#port = this.#server.port;
    this.#dataFolder = dirname(this.#server.dataDirectory);
  }

  /** Creates the Worker's role and lets it use what the lab creates. */
  async prepare(): Promise<void> {
    await this.query(`create role ${WRITER.user} login password '${WRITER.password}'`);
    await this.query(
      `alter default privileges in schema public grant select, insert, update on tables to ${WRITER.user}`,
    );
  }

  /** A stop as by an administrator: connections are ended, data is written. */
  async stop(): Promise<void> {
    this.#slot.close();
    await this.#server?.stop();
    this.#server = undefined;
  }

  /** kill -9 of the whole server; the next start recovers. */
  async kill(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#slot.close();
    process.kill(server.processId, 'SIGKILL');
    await this.stop();
  }

  /** Stops for good and removes the data, wherever it really lies. */
  async remove(): Promise<void> {
    const folder = this.#dataFolder;
    await this.stop();
    await this.#disk?.unmount();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }

  /** A connection that a fault can hold, of a role and past every proxy. The one who opens it closes it. */
  connect(role: 'lab' | 'writer'): Promise<Connection> {
    const url =
      role === 'writer' ? this.writerUrl(this.#port) : (this.#server as EmbeddedPostgres | undefined)?.url;
    if (url === undefined) throw new Error('Postgres is not running');
    return openConnection({ url, driver: 'tcp' });
  }

  /** Ends the Worker's connections. Returns how many there were. */
  async terminateWriters(): Promise<number> {
    const ended = await this.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${WRITER.user}'`,
    );
    return ended.length;
  }

  /** A small disk beside the data, where a tablespace can be made. Unmounted by `remove` at the latest. */
  async mountSmallDisk(): Promise<SmallDisk> {
    const { dataDirectory } = this.#server as EmbeddedPostgres;
    await this.#disk?.unmount();
    this.#disk = await SmallDisk.mount(join(dirname(dataDirectory), 'small-disk'), dataDirectory);
    return this.#disk;
  }

  /** The rows that a query of the lab's own role answers with. It goes past every proxy. */
  query<Row = Record<string, unknown>>(statement: string | SQL): Promise<Row[]> {
    const answer = this.#queue.then(() =>
      this.#slot.use(async ({ db }) => {
        const result = (await db.execute(
          typeof statement === 'string' ? sql.raw(statement) : statement,
        )) as unknown as { rows?: Row[] };
        return result.rows ?? [];
      }),
    );
    this.#queue = answer.catch(() => {});
    return answer;
  }
}
