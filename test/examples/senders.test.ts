/** The examples of docs/security.md: examples/workers/senders.ts, asked by examples/ticket.ts and examples/token-socket.ts. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { ticketFor } from '../../examples/ticket.ts';
import { openSocket } from '../../examples/token-socket.ts';
import { REPOSITORY } from '../../local/repository.ts';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { tokens } from '../../src/access/tokens.ts';

const SECRET = 'a-secret-of-thirty-two-bytes-or-more-1';
let worker: LocalWorker;
beforeAll(async () => {
  worker = await startWorker({
    main: 'examples/workers/senders.ts',
    objects: ['SHARD'],
    bindings: {
      JWT_SECRET: SECRET,
      INGEST_TOKENS: `page:sha256:${createHash('sha256').update('static').digest('hex')}`,
      TICKET_SECRETS: SECRET,
    },
  });
});
afterAll(async () => {
  await worker?.stop();
});

/** `open`, or the code that a socket is closed with. */
async function outcome(socket: Pick<WebSocket, 'send' | 'close'> & EventTarget): Promise<string | number> {
  try {
    return await new Promise((resolve) => {
      socket.addEventListener('open', () => socket.send('ping'));
      socket.addEventListener('message', () => resolve('open'));
      socket.addEventListener('close', (event) => resolve((event as unknown as { code: number }).code));
    });
  } finally {
    socket.close();
  }
}
const connect = (path: string, headers: Record<string, string> = {}) =>
  outcome(new WebSocket(new URL(path, worker.url), { headers }) as never);

test('each of those who know somebody lets them in, and nobody else', async () => {
  const claims = { exp: Math.floor(Date.now() / 1000) + 60, aud: 'notes' };
  const sign = (secret: string) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(secret));
  expect(await connect('/ws/notes', { authorization: `Bearer ${await sign(SECRET)}` })).toBe('open');
  expect(await connect('/ws/notes', { authorization: `Bearer ${await sign(`${SECRET}x`)}` })).toBe(1008);
  expect(await connect('/ws/notes', { authorization: 'Bearer static' })).toBe('open');
  expect(await connect('/ws/notes', { authorization: 'Bearer other' })).toBe(1008);
  expect(await connect('/ws/notes?producer=press-1', { 'x-partner': 'acme' })).toBe('open');
  expect(await connect('/ws/notes?producer=other-1', { 'x-partner': 'acme' })).toBe(1008);
  expect(await connect('/ws/notes?producer=press-1', { 'x-partner': 'other' })).toBe(1008);
  const ticket = await ticketFor('7', SECRET);
  expect(await connect(`/ws/notes?ticket=${ticket}`)).toBe('open');
  expect(await connect(`/ws/notes?ticket=${ticket}`)).toBe(1008);
});

test('the list examples/ingest-tokens.json is one, and grants what it says', async () => {
  const list = readFileSync(join(REPOSITORY, 'examples/ingest-tokens.json'), 'utf8');
  const ask = (token: string) =>
    tokens(list)(new Request('http://sluice/'), {
      sink: 'notes',
      producer: undefined,
      env: {},
      token,
      ticket: undefined,
      nowMs: 0,
    });
  const hall = { sinks: ['notes'], producers: ['hall-*'], tokenId: 'hall' };
  expect(await ask('a-token-for-the-hall')).toEqual(hall);
  expect(await ask('a-token-for-the-partner')).toEqual({
    tenant: 'acme',
    priority: 'low',
    tokenId: 'partner',
  });
  expect(await ask('another')).toBeUndefined();
});

test('a page opens a socket with a token', async () => {
  vi.stubGlobal('WebSocket', WebSocket);
  const origin = worker.url.origin.replace('http', 'ws');
  expect(await outcome(openSocket(origin, 'static') as never)).toBe('open');
  expect(await outcome(openSocket(origin, 'other') as never)).toBe(1008);
});
