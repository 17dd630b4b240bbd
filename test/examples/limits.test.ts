/** The example of docs/security.md, "How much": examples/workers/limits.ts. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { type LocalWorker, startWorker } from '../../local/worker.ts';

let worker: LocalWorker;
beforeAll(async () => {
  worker = await startWorker({ main: 'examples/workers/limits.ts', objects: ['SHARD'], bindings: {} });
});
afterAll(async () => {
  await worker?.stop();
});

/** What the server refuses of frames of so many messages each, sent one right after the other. */
async function refusals(producer: string, frames: readonly number[]): Promise<string[]> {
  const socket = new WebSocket(new URL(`/ws/notes?producer=${producer}`, worker.url));
  const codes: string[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('open', () => {
      for (const messages of frames) socket.send('{"text":"a"}\n'.repeat(messages));
      // Answered once every frame before it was handled (PROTOCOL.md, "Closing").
      socket.close();
    });
    socket.on('message', (data) => {
      codes.push((JSON.parse(String(data)) as { errors: { code: string }[] }).errors[0]?.code ?? '');
    });
    socket.on('close', () => resolve());
  });
  return codes;
}

test('a producer that sends more than its limit is told so, and one within it is not', async () => {
  expect(await refusals('within', [400])).toEqual([]);
  const codes = await refusals('beyond', [500, 500, 500]);
  expect(codes.length).toBeGreaterThan(0);
  expect(new Set(codes)).toEqual(new Set(['rate_limited']));
});
