/** One connection to Postgres, the same for both drivers: Drizzle on top, COPY beside it. */

import { drizzle } from 'drizzle-orm/node-postgres';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { isSluiceError, SluiceError } from '../core/errors.ts';
import { CONNECT_TIME_LIMIT_MS } from '../core/limits.ts';
import { withTimeLimit } from '../core/time-limit.ts';
import { requestCancel } from './cancel-request.ts';
import { CopyIn } from './copy-in.ts';
import { createClient } from './drivers.ts';
import { Handshake } from './handshake.ts';
import { sqlState } from './server-error.ts';
import { type DatabaseTarget, describeTarget } from './target.ts';

export { sqlState };

/** Drizzle, whatever the driver below it. */
export type Database = PgDatabase<PgQueryResultHKT, Record<string, never>>;

export interface Connection {
  readonly db: Database;
  /** False once the server or the network ended the connection; such a connection is of no further use. */
  readonly isOpen: boolean;
  /** Runs a `COPY … FROM STDIN` with data that is ready, in one write, and resolves when the server has taken it. */
  copy(statement: string, data: readonly Uint8Array[]): Promise<void>;
  /**
   * Runs a `COPY … FROM STDIN` with data that is still being made, and resolves when the server has taken all of it. The chunks are made no faster than
   * the socket takes them, where the platform tells (Node does; sockets on Workers give no backpressure).
   */
  copyStream(statement: string, chunks: Iterable<Uint8Array>): Promise<void>;
  /**
   * Asks the server to stop what the connection runs. Never waits, and may do nothing: Neon's proxy has no way for it. To be
   * called before `close`, where a statement is given up.
   */
  cancel(): void;
  /** Ends the connection. Never waits: ending a dead socket can hang on Workers (brianc/node-postgres#3152). */
  close(): void;
}

// Above a usual batch (5,000 rows of about 150 bytes), so that a batch is handed over at once.
const COPY_HIGH_WATER_BYTES = 1024 * 1024;

export interface OpenOptions {
  /** How long the server may take to accept the connection. Default: 5,000. */
  timeLimitMs?: number;
  /** Makes the TCP socket of the driver `tcp`. Default: node-postgres's own choice for the platform. */
  socket?: (config: { ssl?: unknown }) => unknown;
}

/**
 * Opens a connection.
 *
 * @throws SluiceError `database_unreachable`, which names the host and the reason but no password;
 *   `invalid_configuration` where the driver is not installed
 */
export async function openConnection(
  target: DatabaseTarget,
  { timeLimitMs = CONNECT_TIME_LIMIT_MS, socket }: OpenOptions = {},
): Promise<Connection> {
  let isOpen = true;
  let client: pg.Client | undefined;
  const close = (): void => {
    isOpen = false;
    void client?.end().catch(() => {});
  };
  const handshake = new Handshake(target.driver === 'neon' && target.neonProxy === undefined);
  try {
    client = await createClient(target, socket);
    handshake.watch(client);
    // Without a listener, the loss of an idle connection would be an uncaught error and end the process.
    client.on('error', () => {
      isOpen = false;
    });
    client.on('end', () => {
      isOpen = false;
    });
    await withTimeLimit<unknown>(client.connect(), timeLimitMs, 'connecting');
  } catch (error) {
    close();
    // A driver that is not installed: no further try helps.
    if (isSluiceError(error) && error.code === 'invalid_configuration') throw error;
    throw new SluiceError(
      'database_unreachable',
      `Cannot reach the database ${describeTarget(target)}: ${handshake.reasonOf(error)}`,
      {
        cause: error,
        details: { sqlState: sqlState(error) },
      },
    );
  }
  const db = drizzle(client);
  const opened = client;
  return {
    db: db as unknown as Database,
    get isOpen() {
      return isOpen;
    },
    async copy(statement, data) {
      const query = new CopyIn(statement, data);
      client.query(query);
      await query.finished;
    },
    async copyStream(statement, chunks) {
      const stream = client.query(copyFrom(statement, { highWaterMark: COPY_HIGH_WATER_BYTES }));
      const finished = new Promise<void>((resolve, reject) => {
        stream.on('finish', resolve);
        stream.on('error', reject);
      });
      finished.catch(() => {});
      for (const chunk of chunks) {
        if (stream.write(chunk)) continue;
        // An error ends the wait too: a stream that failed never drains.
        await Promise.race([new Promise((resolve) => stream.once('drain', resolve)), finished]);
      }
      stream.end();
      await finished;
    },
    cancel() {
      if (!isOpen || target.driver === 'neon') return;
      createClient(target, socket)
        .then((messenger) => requestCancel(opened, messenger))
        .catch(() => {});
    },
    close,
  };
}
