/** Watching wakes no shard: whatever is read of it comes from the monitor. */

import { evictDurableObject } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { MONITOR_NAME } from '../../workers/monitor-calls.ts';
import type { ShardStats } from '../../workers/objects.ts';
import { openSocket, until } from './support.ts';
import './environment.ts';

const shard = () => env.SHARD.getByName('messages/0');

/** Asking starts a shard that sleeps, so this says since when it was awake. */
const stats = () => shard().stats() as Promise<ShardStats>;

/** All that a dashboard, an uptime check and a Prometheus ask for. */
const READS = [
  '/health',
  '/metrics',
  '/monitor/view',
  '/monitor/alerts',
  '/monitor/audit',
  '/monitor/history?range=15m&sink=messages&shard=0',
  '/monitor/history?range=7d',
];

/** An hour: a dashboard that gets a view each second, and all the others once a minute. */
const HOUR_S = 3_600;
const READS_PER_HOUR = 60;

const request = (path: string): Promise<Response> => exports.default.fetch(`http://sluice.test${path}`);

async function fallAsleep(): Promise<void> {
  await until(async () => {
    const reports = await env.MONITOR.getByName(MONITOR_NAME).reports();
    expect(reports.find(({ report }) => report.sink === 'messages')?.report.isLast).toBe(true);
  });
  await evictDurableObject(shard(), { webSockets: 'hibernate' });
}

async function read(path: string): Promise<void> {
  const response = await request(path);
  await response.text();
  expect(response.status, path).toBe(200);
}

it('for an hour with a dashboard open and no traffic, a shard that sleeps is woken zero times', async () => {
  const client = await openSocket('/ws/messages?producer=sleeper');
  client.send('1');
  await until(async () => expect((await stats()).committed).toBeGreaterThan(0));
  await fallAsleep();

  const stream = await request('/monitor/events');
  const views = (stream.body as ReadableStream<Uint8Array>).getReader();
  const monitor = env.MONITOR.getByName(MONITOR_NAME);
  for (let second = 0; second < HOUR_S; second += 1) {
    // What the stream does each second.
    await monitor.view();
    if (second % (HOUR_S / READS_PER_HOUR) === 0) for (const path of READS) await read(path);
  }
  // The stream itself is alive.
  for (let event = 0; event < 3; event += 1) expect((await views.read()).done).toBe(false);
  await views.cancel();
  const watchedUntilMs = Date.now();
  await scheduler.wait(2);
  const { sinceMs, sockets } = await stats();
  expect(sockets).toBe(1);
  // It was started by this question, and by nothing before it.
  expect(sinceMs).toBeGreaterThan(watchedUntilMs);

  // The control: what asks the shard itself wakes it.
  await fallAsleep();
  await read('/stats?sink=messages');
  const askedAtMs = Date.now();
  await scheduler.wait(2);
  expect((await stats()).sinceMs).toBeLessThanOrEqual(askedAtMs);
});
