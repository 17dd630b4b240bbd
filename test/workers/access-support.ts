/** What the tests of who may connect share: Workers that ask, requests that say who they are, and what came of it. */

import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { expect } from 'vitest';
import type { SessionMemory } from '../../src/ingest/intake.ts';
import { messages } from '../../src/schema/messages.ts';
import { messageSources } from '../../src/sinks/column-sources.ts';
import type { AuthorizeOption } from '../../workers/authorization.ts';
import { createSluice } from '../../workers/create-sluice.ts';
import { Client, until } from './support.ts';

const sinks = { messages: { table: messages, columns: messageSources } };

/** A Worker whose code says who may send, and no variable. */
export function workerWith(
  authorize: AuthorizeOption | undefined,
  variables: Record<string, unknown> = {},
): (request: Request) => Promise<Response> {
  const sluice = createSluice({ sinks, ...(authorize === undefined ? {} : { authorize }) });
  const { AUTHORIZE: _, ...others } = env;
  return async (request) => sluice.router.fetch(request, { ...others, ...variables });
}

export function upgrade(path: string, headers: Record<string, string> = {}): Request {
  return new Request(`http://sluice${path}`, { headers: { upgrade: 'websocket', ...headers } });
}

export const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

/** `open`, or the code and the reason with which a socket is closed at once. */
export async function outcome(response: Response): Promise<string> {
  if (response.status !== 101) return `${response.status}`;
  const client = new Client(response);
  client.send('ping');
  await until(() => expect(client.isClosed || client.frames.length > 0).toBe(true));
  if (!client.isClosed) {
    await client.close();
    return 'open';
  }
  const { code, reason } = await client.closed;
  return `${code} ${reason}`;
}

export interface Attached {
  producer: string;
  kept: { access: unknown; address: string; isAssigned: boolean };
  memory?: SessionMemory | undefined;
}

/** What the sockets of the shard of `messages` keep through hibernation. */
export function attachmentsOf(): Promise<Attached[]> {
  return runInDurableObject(env.SHARD.getByName('messages/0'), (_, state) =>
    state.getWebSockets().map((socket) => socket.deserializeAttachment() as Attached),
  );
}
