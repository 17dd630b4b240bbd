/** What the answers of a namespace, of its messages and of its events, have in common. */

import { httpErrorOf } from '../src/events/http/answers.ts';
import { rpcErrorAnswer } from '../src/messages/http/rpc-errors.ts';
import { logFailure } from './log.ts';
import { problemResponse } from './problem.ts';

/** How often a namespace in Postgres looks for what others wrote there, while somebody is subscribed. */
export const POLL_MS = 1_000;

/** How long a subscriber that is one too many waits to hear that others are gone. */
export const GONE_READER_MS = 250;

/** What may wait in memory while Postgres is slow, for messages and for events each: an object has 128 MB. */
export const MAX_WAITING_BYTES = 16 * 1024 * 1024;

export function jsonResponse(body: string | ReadableStream<Uint8Array>, status: number): Response {
  return new Response(body, {
    status,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    },
  });
}

/** The addresses of the event store. They answer errors as all of Sluice does; those of messages, as EventoDB does. */
const EVENT_PATHS: ReadonlySet<string> = new Set(['/read', '/append', '/events/subscribe']);

/** An error as the answer of an address of the stores. */
export function storeErrorResponse(path: string, error: unknown): Response {
  if (EVENT_PATHS.has(path)) return problemResponse(httpErrorOf(error, logStoreFailure));
  const { status, body } = rpcErrorAnswer(error, logStoreFailure);
  return jsonResponse(body, status);
}

export function logStoreFailure(error: unknown): void {
  logFailure('The store failed', error);
}

export function randomBytes(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}
