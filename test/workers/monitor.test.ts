/** The monitor and its routes inside workerd. */

import { env, exports } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { MonitorView } from '../../src/monitor/view.ts';
import { reportOf } from '../src/monitor/reports.ts';
import './environment.ts';

function ask(path: string, init?: RequestInit): Promise<Response> {
  return exports.default.fetch(new Request(`http://sluice${path}`, init));
}

describe('the monitor', () => {
  it('shows what a shard has reported', async () => {
    const monitor = env.MONITOR.getByName('monitor');
    const nowMs = Date.now();
    const answer = await monitor.report(
      reportOf({
        sink: 'messages',
        shard: 3,
        sentAtMs: nowMs,
        counters: { messages_received_total: 5, messages_committed_total: 4 },
        gauges: { queue_messages: 1, queue_oldest_timestamp_seconds: nowMs / 1_000 },
      }),
    );
    expect(answer).toEqual({ everyMs: 10_000, askDatabase: false });
    const view = await (await ask('/monitor/view')).json<MonitorView>();
    const sink = view.sinks.find(({ sink }) => sink === 'messages');
    expect(sink?.shards.find(({ shard }) => shard === 3)).toMatchObject({
      state: 'ok',
      received: 5,
      committed: 4,
      queueMessages: 1,
    });
    const events = await ask('/monitor/events');
    const reader = (events.body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    let text = '';
    while (!text.includes('\n\ndata') && !text.includes('event: view'))
      text += (await reader.read()).value ?? '';
    expect(text).toContain('event: view');
    await reader.cancel();
  });
});
