/** The exporters of the monitor inside workerd: what its variables and bindings ask for. */

import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { AnalyticsPoint } from '../../src/monitor/exports/analytics-point.ts';
import type { ShardReport } from '../../src/monitor/shard-report.ts';
import type { Env } from '../../workers/env.ts';
import { Monitor } from '../../workers/index.ts';
import type { Monitor as RunningMonitor } from '../../workers/monitor.ts';
import { readMetricsText } from '../src/monitor/metrics-text-rules.ts';
import { reportOf } from '../src/monitor/reports.ts';
import './environment.ts';
import { until } from './support.ts';

/** A monitor of its own with these variables, which is told reports one after the other. @returns its metrics then */
function tell(
  name: string,
  variables: Partial<Env>,
  reports: readonly ShardReport[],
  isOver = () => true,
): Promise<string> {
  const stub = env.MONITOR.getByName(name) as unknown as DurableObjectStub<RunningMonitor>;
  return runInDurableObject(stub, async (_, state) => {
    const monitor = new Monitor(state, { ...env, ...variables } as never) as unknown as RunningMonitor;
    for (const report of reports) await monitor.report(report);
    // A report does not wait for what it is told on.
    await until(() => expect(isOver()).toBe(true));
    return monitor.metrics({ format: 'prometheus' });
  });
}

const counted = (received: number, parts: Partial<ShardReport> = {}): ShardReport => ({
  ...reportOf({ counters: { messages_received_total: received }, sentAtMs: Date.now(), sink: 'exported' }),
  ...parts,
});

describe('exports of the monitor', () => {
  afterEach(() => vi.restoreAllMocks());

  it('writes points to Analytics Engine where it is bound', async () => {
    const points: AnalyticsPoint[] = [];
    const ANALYTICS = { writeDataPoint: (point: AnalyticsPoint) => points.push(point) };
    const text = await tell('analytics', { ANALYTICS }, [
      counted(5),
      counted(8, { number: 2, isLast: true }),
    ]);
    expect(points.map(({ doubles: [received], blobs: [sink] }) => [sink, received])).toEqual([
      ['exported', 0],
      ['exported', 3],
    ]);
    expect(text).toContain('\nsluice_export_points_sent_total{exporter="analytics"} 2\n');
  });

  it('sends metrics to a collector where one is named, and shows what it did not take', async () => {
    const fetched = vi
      .spyOn(globalThis, 'fetch')
      .mockImplementationOnce(async () => new Response('{}'))
      .mockImplementationOnce(async () => new Response('no', { status: 400 }));
    const warned = vi.spyOn(console, 'warn').mockReturnValue();
    const variables = {
      OTLP_URL: 'https://collector.test',
      OTLP_HEADERS: 'authorization=Bearer%20secret-word',
    };
    const reports = [counted(1), counted(2, { number: 2, isLast: true })];
    const text = await tell('otlp', variables, reports, () =>
      warned.mock.calls.join().includes('answered 400'),
    );
    expect(fetched.mock.calls.map(([url]) => url)).toEqual(
      Array(2).fill('https://collector.test/v1/metrics'),
    );
    expect(fetched.mock.calls[0]?.[1]).toMatchObject({
      method: 'POST',
      headers: { authorization: 'Bearer secret-word' },
      body: expect.stringContaining('"sluice_messages_received_total"'),
    });
    const { samples } = readMetricsText(text, 'prometheus');
    const lost = samples.find(({ name }) => name === 'sluice_export_points_lost_total');
    expect(lost?.value).toBeGreaterThan(0);
    expect(warned.mock.calls.join()).toContain('it answered 400');
    expect(warned.mock.calls.join() + text).not.toContain('secret-word');
  });

  it('goes on without an exporter whose variable is wrong, and says so', async () => {
    const logged = vi.spyOn(console, 'error').mockReturnValue();
    const text = await tell('wrong', { OTLP_URL: 'nonsense' }, [counted(1)]);
    expect(logged.mock.calls.join()).toContain('Cannot use the variable OTLP_URL');
    expect(text).toContain('sluice_messages_received_total{sink="exported",shard="0"} 1\n');
    expect(text).not.toContain('export_points');
  });
});
