/** The client that docs/clients.md shows, against a real Worker, with connections that break. */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { rowsOf, testDatabase } from '../support/connect.ts';

interface Client {
  unacked: string[];
  acked: number;
  socket: WebSocket;
  send(message: unknown): void;
  close(): void;
}

const code = readFileSync(new URL('../../examples/reference-client.js', import.meta.url), 'utf8');
const database = testDatabase('tcp');
let worker: LocalWorker;
let ReferenceClient: new (url: string, options: object) => Client;

beforeAll(async () => {
  worker = await startWorker({ bindings: { AUTHORIZE: 'open', DATABASE_URL: inject('databaseUrl') } });
  ({ ReferenceClient } = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as never);
});
afterAll(() => worker.stop());

function socketUrl(path: string): string {
  return new URL(path, worker.url.href.replace('http', 'ws')).href;
}

/** A client, how it ended, and the connections it made, the first `cuts` of which break after a few frames. */
function start(url: string, cuts = 0) {
  const nacks: { code: string; from: number }[] = [];
  const ended = Promise.withResolvers<string | undefined>();
  let sockets = 0;
  const client = new ReferenceClient(url, {
    open: (address: string) => {
      sockets += 1;
      const socket = new WebSocket(address, 'sluice.v1');
      if (sockets > cuts) return socket;
      let frames = 0;
      return socket.on('message', () => {
        frames += 1;
        // Behind the handler of this frame: what it has sent is on its way, and its answer is lost.
        if (frames === 2) queueMicrotask(() => socket.terminate());
      });
    },
    onNack: (nack: { code: string; from: number }) => nacks.push(nack),
    onEnd: ended.resolve,
  });
  return { client, nacks, ended: ended.promise, sockets: () => sockets };
}

describe('the client of docs/clients.md', () => {
  test('is short', () => {
    const lines = code.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//'));
    expect(lines.length).toBeGreaterThan(40);
    expect(lines.length).toBeLessThanOrEqual(75);
  });

  test('delivers each message once and in order over connections that break', async () => {
    const { client, nacks, ended, sockets } = start(socketUrl('/ws/messages?producer=reference'), 4);
    const count = 6_000;
    for (let n = 1; n <= count; n += 1)
      client.send({ n, text: n % 50 === 0 ? '\ufffd' : 'x'.repeat(n % 40) });
    client.send('\u0000');
    client.close();
    expect(await ended).toBeUndefined();
    expect(sockets()).toBe(5);
    expect(nacks.length).toBeGreaterThan(0);
    for (const nack of nacks) expect(nack).toMatchObject({ code: 'nul_character', from: count + 1 });
    const rows = await rowsOf<{ n: number }>(
      await database.open(),
      "select (payload ->> 'n')::int as n from messages where producer = 'reference' order by id",
    );
    expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
  });

  test.each([
    ['/ws/mesages', /^4404 unknown_sink: There is no sink "mesages"/],
    ['/ws/messages?producer=a%20b', /^4400 invalid_options: /],
  ])('is told why %s is not to be tried again', async (path, reason) => {
    expect(await start(socketUrl(path)).ended).toMatch(reason);
  });
});
