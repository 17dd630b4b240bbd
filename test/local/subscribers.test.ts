/** Subscribers over TCP: how they hang up is what workerd makes of it, not what a stream's `cancel` does. */

import { get, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { MAX_SUBSCRIBERS } from '../../src/core/limits.ts';

let worker: LocalWorker;
beforeAll(async () => {
  worker = await startWorker({ bindings: { OPEN_NAMESPACE: 'default' } });
});
afterAll(() => worker?.stop());

/** Subscribes, and resolves when something has come. */
function subscribe(): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(new URL('/subscribe?all=true', worker.url), { agent: false }, (response) => {
      response.once('data', () => resolve(response));
      response.on('error', () => {});
    });
    request.on('error', reject);
  });
}

it('that hung up take no place; those that stay do', async () => {
  const statuses: (number | undefined)[] = [];
  for (let n = 0; n < MAX_SUBSCRIBERS + 10; n += 1) {
    const response = await subscribe();
    statuses.push(response.statusCode);
    response.destroy();
  }
  expect(new Set(statuses)).toEqual(new Set([200]));
  const staying = await Promise.all(Array.from({ length: MAX_SUBSCRIBERS + 30 }, subscribe));
  const places = staying.filter(({ statusCode }) => statusCode === 200);
  // The control. Of those that asked together, some may have been refused before the gone ones were found out.
  expect(places.length).toBeLessThanOrEqual(MAX_SUBSCRIBERS);
  expect((await subscribe()).statusCode).toBe(places.length === MAX_SUBSCRIBERS ? 429 : 200);
  for (const response of staying) response.destroy();
});
