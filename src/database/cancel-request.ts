/**
 * Asks the server to stop the statement of a connection that is given up. Without that, the statement goes on, and keeps its
 * locks, until it is done: the next try would wait for it, and leave one more process waiting.
 */

import type pg from 'pg';
import { CONNECT_TIME_LIMIT_MS } from '../core/limits.ts';
import { withTimeLimit } from '../core/time-limit.ts';

/** What node-postgres keeps for itself: the connection on the wire, and what names a process of the server. */
interface Internals {
  connection: {
    stream: { destroy?: () => void };
    connect(port: number, host: string): void;
    requestSsl(): void;
    cancel(processId: number, secretKey: unknown): void;
    on(event: string, listener: (error?: unknown) => void): void;
  };
  processID: number | null;
  secretKey: unknown;
  ssl: unknown;
}

/**
 * Sends a cancel request over a connection that exists for it alone (PostgreSQL documentation, "Canceling Requests in Progress").
 * Poolers know it too. Nobody is told how it went: the server does not say, and the time limits of the transaction end the
 * statement as well, only later.
 *
 * @param client whose statement is to be stopped
 * @param messenger a client of the same address that is not connected
 * @param limitMs how long the server may take to accept the request
 */
export async function requestCancel(
  client: pg.Client,
  messenger: pg.Client,
  limitMs: number = CONNECT_TIME_LIMIT_MS,
): Promise<void> {
  const { processID, secretKey } = client as unknown as Internals;
  const { connection, ssl } = messenger as unknown as Internals;
  if (processID === null) return;
  const ended = new Promise<void>((resolve) => {
    connection.on('error', () => resolve());
    connection.on('end', () => resolve());
  });
  const send = (): void => connection.cancel(processID, secretKey);
  connection.on('connect', ssl ? () => connection.requestSsl() : send);
  connection.on('sslconnect', send);
  connection.connect(messenger.port, messenger.host);
  try {
    await withTimeLimit(ended, limitMs, 'cancelling a statement');
  } catch {
    // The server does not answer; then it does not work for us either.
  } finally {
    connection.stream.destroy?.();
  }
}
