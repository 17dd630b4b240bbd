/** `GET /metrics` inside workerd. */

import { listDurableObjectIds } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { encodeShardName } from '../../workers/shard-name.ts';
import { readMetricsText } from '../src/monitor/metrics-text-rules.ts';
import { reportOf } from '../src/monitor/reports.ts';
import './environment.ts';
import { askWith } from './support.ts';

describe('/metrics', () => {
  function scrape(path: string, headers: Record<string, string> = {}): Promise<Response> {
    const request = new Request(`http://sluice${path}`, {
      headers: { authorization: 'Bearer look', ...headers },
    });
    return askWith({ OPERATORS: '', READ_TOKENS: 'look' }, request);
  }

  it('shows what shards have reported, and wakes none of them', async () => {
    const shard = 77;
    await env.MONITOR.getByName('monitor').report(
      reportOf({ sink: 'messages', shard, counters: { batches_total: 12 }, sentAtMs: Date.now() }),
    );
    const response = await scrape(`/metrics?sink=messages&shard=${shard}`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const { faults, samples } = readMetricsText(await response.text(), 'prometheus');
    expect(faults).toEqual([]);
    expect(samples).toContainEqual({
      name: 'sluice_batches_total',
      labels: { sink: 'messages', shard: '77' },
      value: 12,
    });
    expect(new Set(samples.map(({ labels }) => labels.shard))).toEqual(new Set([undefined, '77']));
    const id = env.SHARD.idFromName(encodeShardName({ sink: 'messages', shard }));
    const isThere = async () => (await listDurableObjectIds(env.SHARD)).some((one) => one.equals(id));
    expect(await isThere()).toBe(false);
    // A control: one that is asked is there.
    await env.SHARD.get(id).stats();
    expect(await isThere()).toBe(true);
  });

  it('speaks OpenMetrics with who asks for it', async () => {
    const response = await scrape('/metrics', { accept: 'application/openmetrics-text;version=1.0.0' });
    expect(response.headers.get('content-type')).toBe(
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
    );
    expect(readMetricsText(await response.text(), 'openmetrics').faults).toEqual([]);
  });

  it('asks for a token, and refuses what it does not know', async () => {
    expect((await scrape('/metrics', { authorization: 'Bearer other' })).status).toBe(401);
    expect((await scrape('/metrics?shard=1')).status).toBe(400);
    expect((await scrape('/metrics?what=all')).status).toBe(400);
  });
});
