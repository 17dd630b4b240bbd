/** A shard inside workerd and its monitor: what is told, when, and that nothing is left afterwards that would keep the shard awake. */

import { evictDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { sampleValue } from '../../src/monitor/report-samples.ts';
import type { ShardReport } from '../../src/monitor/shard-report.ts';
import { MONITOR_NAME } from '../../workers/monitor-calls.ts';
import type { ShardStats } from '../../workers/objects.ts';
import { readMetricsText } from '../src/monitor/metrics-text-rules.ts';
import { abortShard, openSocket, until } from './support.ts';
import './environment.ts';

const shard = () => env.SHARD.getByName('messages/0');
const monitor = () => env.MONITOR.getByName(MONITOR_NAME);
const stats = () => shard().stats() as Promise<ShardStats>;

async function latest(): Promise<ShardReport | undefined> {
  const reports = await monitor().reports();
  return reports
    .map(({ report }) => report)
    .find(({ sink, shard: number }) => sink === 'messages' && number === 0);
}

/** The last report of an activity, which holds at least so many messages. */
function lastReport(messages: number): Promise<ShardReport> {
  return until(async () => {
    const report = await latest();
    const committed = sampleValue(report?.counters ?? [], 'messages_committed_total');
    expect([report?.isLast, committed >= messages]).toEqual([true, true]);
    return report as ShardReport;
  });
}

it('reports while it is at work and once more at its end; then it sleeps, and only messages make it report again', async () => {
  const client = await openSocket('/ws/messages?producer=reported');
  client.send('1\n2\n3\nno json');
  await until(async () => expect((await stats()).committed).toBe(3));
  const first = await until(async () => {
    const report = await latest();
    expect(report).toBeDefined();
    return report as ShardReport;
  });
  expect(first).toMatchObject({ number: 1, isLast: false, state: 'running', fault: null });
  expect(first.producers).toMatchObject([{ producer: 'reported', creditMessages: null }]);

  const last = await lastReport(3);
  expect(last.histograms.map(([name]) => name)).toEqual(
    expect.arrayContaining(['ack_duration_seconds', 'flush_duration_seconds', 'connect_duration_seconds']),
  );
  const counted = (name: string, label?: string): number =>
    last.counters.reduce(
      (sum, [metric, of, value]) =>
        metric === name && (label === undefined || of === label) ? sum + value : sum,
      0,
    );
  expect(counted('messages_received_total')).toBe(4);
  expect(counted('messages_stored_total')).toBe(3);
  expect(counted('messages_refused_total', 'invalid_json')).toBe(1);
  expect(counted('sockets_opened_total')).toBe(1);
  expect(counted('storage_rows_written_total')).toBeGreaterThan(0);
  expect(counted('requests_total')).toBeGreaterThan(1);
  for (const [name, label, value] of [
    ['queue_messages', '', 0],
    ['sockets', 'raw', 1],
    ['producers', '', 1],
    ['database_connections', 'open', 0],
    ['database_connections_limit', '', 1],
  ] as const)
    expect(sampleValue(last.gauges, name, label), name).toBe(value);
  // All that a shard and its database tell is in the table of metrics, once.
  const { faults, samples } = readMetricsText(
    await monitor().metrics({ format: 'prometheus' }),
    'prometheus',
  );
  expect(faults).toEqual([]);
  expect(samples.find(({ name }) => name === 'sluice_monitor_points_left_out')?.value).toBe(0);
  expect(samples.find(({ name }) => name === 'sluice_messages_stored_total')?.value).toBe(3);
  // The monitor asked for it, and it was read over the connection that was open.
  expect((await monitor().view()).databases).toMatchObject([{ samples: expect.any(Array) }]);

  // It waits until no timer is set and no call under way.
  await evictDurableObject(shard(), { webSockets: 'hibernate' });
  const asleep = await stats();
  expect(asleep.sinceMs).toBeGreaterThan(last.sinceMs);
  expect([asleep.received, asleep.totals]).toEqual([
    0,
    { received: 4, stored: 3, committed: 3, dead: 0, duplicate: 0, refused: 1 },
  ]);
  client.send('ping');
  await until(() => expect(client.frames).toContain('pong'));
  await evictDurableObject(shard(), { webSockets: 'hibernate' });
  expect((await latest())?.sentAtMs, 'a ping and a question about its figures are no messages').toBe(
    last.sentAtMs,
  );

  client.send('5');
  await until(async () => {
    const { sinceMs, isLast } = (await latest()) as ShardReport;
    expect([sinceMs > asleep.sinceMs, isLast]).toEqual([true, false]);
  });
  await until(async () => expect((await stats()).committed).toBe(1));
  await abortShard(shard());
  expect((await stats()).totals).toMatchObject({ stored: 4, committed: 4 });
  await client.closed;
});
