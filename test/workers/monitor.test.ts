/** The monitor and its routes inside workerd: what is shown, to whom, and that it wakes nobody. */

import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { LabEnv } from '../../lab/workers/env.ts';
import type { ShardReport } from '../../src/monitor/shard-report.ts';
import type { AlertView, HistoryView, MonitorView } from '../../src/monitor/view.ts';
import type { Monitor } from '../../workers/monitor.ts';
import { MONITOR_NAME } from '../../workers/monitor-calls.ts';
import { type ReportParts, reportOf } from '../src/monitor/reports.ts';
import { askWith, evict, until } from './support.ts';
import './environment.ts';

const monitor = () => env.MONITOR.getByName(MONITOR_NAME);
/** The same for the tests' tools. */
const object = () => monitor() as unknown as DurableObjectStub<Monitor>;

let reports = 0;

/** Each test has a sink of its own: the monitor is one object, and stays. */
function newSink(): string {
  reports += 1;
  return `monitored_${reports}`;
}

function report(parts: ReportParts): Promise<{ everyMs: number; askDatabase: boolean }> {
  reports += 1;
  return monitor().report(reportOf({ sentAtMs: Date.now(), number: reports, ...parts }));
}

async function ask<Answer>(
  path: string,
  init?: RequestInit,
  overrides: Partial<LabEnv> = {},
): Promise<Answer> {
  const response = await askWith(overrides, new Request(`http://sluice${path}`, init));
  expect(response.status).toBeLessThan(300);
  return response.json<Answer>();
}

async function shardIn(sink: string): Promise<MonitorView['sinks'][number]> {
  const { sinks } = await ask<MonitorView>('/monitor/view');
  return sinks.find((one) => one.sink === sink) as MonitorView['sinks'][number];
}

describe('the monitor', () => {
  it('shows what a shard has reported, also after it was away itself', async () => {
    const sink = newSink();
    const counters = { messages_received_total: 5, messages_committed_total: 4 };
    expect(await report({ sink, shard: 3, counters, gauges: { queue_messages: 1 } })).toEqual({
      everyMs: 10_000,
      askDatabase: false,
    });
    const shown = { shards: [{ shard: 3, state: 'ok', received: 5, committed: 4, queueMessages: 1 }] };
    expect(await shardIn(sink)).toMatchObject(shown);
    await evict(object());
    expect(await shardIn(sink)).toMatchObject(shown);
  });

  it('shows the sinks that are defined, whether they have reported or not', async () => {
    expect(await shardIn('messages')).toMatchObject({ sink: 'messages' });
  });

  it('has shards report each second while somebody watches, who hears each second, and not after', async () => {
    const sink = newSink();
    const response = await askWith({}, new Request('http://sluice/monitor/events'));
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const reader = (response.body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    let text = '';
    const readUntil = async (part: string): Promise<void> => {
      while (!text.includes(part)) text += (await reader.read()).value ?? '';
    };
    await readUntil('event: view');
    expect((await report({ sink })).everyMs).toBe(1_000);
    await readUntil(`"sink":"${sink}"`);
    await reader.cancel();
    await until(async () => expect((await report({ sink })).everyMs).toBe(10_000));
  });

  it('keeps a history, and marks deployments on it', async () => {
    const sink = newSink();
    await report({ sink, counters: { messages_received_total: 100 } });
    await report({ sink, counters: { messages_received_total: 150 }, isLast: true });
    await ask('/monitor/deployments', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"version":"9.9","note":"faster"}',
    });
    const { series, stepMs, markers } = await ask<HistoryView>(
      `/monitor/history?range=15m&sink=${sink}&shard=0`,
    );
    const sum = series.received.reduce<number>(
      (total, perSecond) => total + (perSecond ?? 0) * (stepMs / 1_000),
      0,
    );
    expect(sum).toBeCloseTo(50, 5);
    expect(markers.at(-1)?.message).toBe('Version 9.9 was deployed: faster');
    const none = await ask<HistoryView>(`/monitor/history?sink=${newSink()}`);
    expect(
      none.series.received.every((value) => value === null),
      'the control',
    ).toBe(true);
  });

  it.each(['range=1h', 'shard=0', 'sink=a&shard=x', 'since=1'])('refuses a history of %s', async (query) => {
    const response = await askWith({}, new Request(`http://sluice/monitor/history?${query}`));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'invalid_options' });
  });

  it('asks one shard of those with a connection for the view of the database, once in 30 s', async () => {
    await runInDurableObject(object(), (_, state) => state.storage.sync());
    const sink = newSink();
    const connections = { open: 1, busy: 0 };
    const first = await report({ sink, connections });
    const second = await report({ sink, shard: 1, connections });
    expect([first.askDatabase, second.askDatabase]).toEqual([true, false]);
  });

  it('has an alarm only while somebody has messages waiting', async () => {
    const sink = newSink();
    const alarm = () => runInDurableObject(object(), (_, { storage }) => storage.getAlarm());
    // Those of the tests before have nothing that waits any more.
    const { sinks } = await ask<MonitorView>('/monitor/view');
    for (const { shards } of sinks)
      for (const { sink: one, shard } of shards) await report({ sink: one, shard, isLast: true });
    // What was put off for half a second is looked at once more.
    const rests = () =>
      until(async () => {
        await runDurableObjectAlarm(object());
        expect(await alarm()).toBeNull();
      });
    await rests();
    await report({ sink });
    await rests();
    await report({ sink, gauges: { queue_messages: 1 } });
    expect(await alarm()).not.toBeNull();
    await runDurableObjectAlarm(object());
    expect(await alarm(), 'as long as they wait').not.toBeNull();
    await report({ sink, isLast: true });
    await rests();
  });
});

describe('GET /health', () => {
  const READER = { OPERATORS: '', READ_TOKENS: 'look' };
  const authorization = 'Bearer look';

  async function health(
    sink: string,
  ): Promise<{ status: number; reasons: { sink: string; message: string }[] }> {
    const response = await askWith(
      READER,
      new Request('http://sluice/health', { headers: { authorization } }),
    );
    const { reasons } = await response.json<{ reasons: { sink: string; message: string }[] }>();
    return { status: response.status, reasons: reasons.filter((reason) => reason.sink === sink) };
  }

  it('is failing while a sink is paused, says why to those who may read, and nothing of it to strangers', async () => {
    const sink = newSink();
    const fault: ShardReport['fault'] = {
      code: 'database_refused',
      message: 'relation "prices" does not exist',
      atMs: Date.now(),
      failuresInARow: 2,
      details: null,
    };
    await report({ sink, state: 'paused', fault, gauges: { queue_messages: 2 } });
    expect(await health(sink)).toMatchObject({
      status: 503,
      reasons: [{ sink, status: 'failing', reason: 'paused', message: expect.stringContaining('prices') }],
    });
    await until(async () => {
      const response = await askWith(READER, '/health');
      expect([response.status, await response.json()]).toEqual([503, { status: 'failing' }]);
    });
    await report({ sink, isLast: true });
    expect((await health(sink)).reasons).toEqual([]);
    await until(async () => {
      const response = await askWith(READER, '/health');
      expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
    });
  });

  it('says that nothing is seen where the monitor does not answer', async () => {
    const MONITOR = {
      getByName: () => ({ health: () => Promise.reject(new Error('gone')) }),
    } as unknown as NonNullable<LabEnv['MONITOR']>;
    const answer = await ask('/health', { headers: { authorization } }, { ...READER, MONITOR });
    expect(answer).toMatchObject({ status: 'degraded', reasons: [{ reason: 'monitor-silent' }] });
  });

  it('asks the database where there is no monitor', async () => {
    const DATABASE_URL = 'postgres://user:secret@127.0.0.1:1/away';
    const response = await askWith(
      { ...READER, MONITOR: undefined, DATABASE_URL } as unknown as Partial<LabEnv>,
      '/health',
    );
    expect(response.status).toBe(503);
    expect((await askWith({ ...READER, DATABASE_URL }, '/health')).status, 'the control').toBe(200);
  });
});

describe('the audit log', () => {
  interface Audit {
    entries: {
      who: string;
      what: string;
      sink: string | null;
      shard: number | null;
      messages: number | null;
    }[];
  }

  const TOKENS = { OPERATORS: '', OPERATE_TOKENS: 'secret-of-anna' };

  it('has what operators did, by whom, and no token', async () => {
    const headers = {
      authorization: 'Bearer secret-of-anna',
      'content-type': 'application/json',
      'sluice-operator': 'anna',
    };
    const post = (path: string, body: string): Promise<Response> =>
      askWith(TOKENS, new Request(`http://sluice${path}`, { method: 'POST', headers, body }));
    expect((await post('/admin/messages/0/drain', '{}')).status).toBe(200);
    expect((await post('/admin/messages/0/dead-letters/drop', '{"ids":"all"}')).status).toBe(200);
    expect((await post('/admin/messages/99/drain', '{}')).status, 'refused').toBe(404);
    const audit = await ask<Audit>('/monitor/audit', { headers }, TOKENS);
    const who = expect.stringMatching(/^anna \(token [0-9a-f]{8}\)$/);
    expect(audit.entries.slice(0, 2)).toMatchObject([
      { who, what: 'dropped dead letters', sink: 'messages', shard: 0, messages: 0 },
      { who, what: 'drained a shard', sink: 'messages', shard: 0, messages: 0 },
    ]);
    expect(JSON.stringify(audit)).not.toContain('secret-of-anna');
    expect(audit.entries.some(({ shard }) => shard === 99)).toBe(false);
  });
});

describe('alerts', () => {
  interface Listed {
    current: AlertView[];
    history: AlertView[];
    silences: unknown[];
  }

  const post = (path: string, body: unknown): Promise<Response> =>
    askWith(
      {},
      new Request(`http://sluice/monitor/alerts/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'sluice-operator': 'anna' },
        body: JSON.stringify(body),
      }),
    );

  it('fire for a sink that has stopped, can be acknowledged and silenced, and are over when it goes on', async () => {
    const sink = newSink();
    await report({ sink, state: 'stopped', gauges: { queue_messages: 3 } });
    const firing = await until(async () => {
      await runDurableObjectAlarm(object());
      const { current } = await ask<Listed>('/monitor/alerts');
      const found = current.find((alert) => alert.sink === sink && alert.rule === 'SluiceSinkStopped');
      expect(found?.state).toBe('firing');
      return found as AlertView;
    });
    const { alerts, events } = await ask<MonitorView>('/monitor/view');
    expect(alerts.map(({ id }) => id)).toContain(firing.id);
    expect(events.some((event) => event.kind === 'alert' && event.sink === sink)).toBe(true);

    expect((await post('acknowledge', { id: firing.id })).status).toBe(200);
    expect((await post('silence', { rule: firing.rule, sink, forSeconds: 60, by: 'anna' })).status).toBe(200);
    const { current } = await ask<Listed>('/monitor/alerts');
    expect(current.find(({ id }) => id === firing.id)).toMatchObject({
      acknowledgedBy: 'anna (open)',
      silencedUntilMs: expect.any(Number),
    });
    await report({ sink, isLast: true });
    await until(async () => {
      await runDurableObjectAlarm(object());
      const { history } = await ask<Listed>('/monitor/alerts');
      expect(history.some((alert) => alert.sink === sink && alert.rule === firing.rule)).toBe(true);
    });
  });

  it.each([
    ['acknowledge', { id: 'nothing' }, 404],
    ['acknowledge', {}, 400],
    ['silence', { rule: 'NoRule', forSeconds: 1 }, 400],
    ['silence', {}, 400],
    ['silence', { forSeconds: -1 }, 400],
    ['silence', { forSeconds: 1, shard: 'x' }, 400],
    ['test', { more: 1 }, 400],
  ] as const)('%s of %j is refused', async (path, body, status) => {
    expect((await post(path, body)).status).toBe(status);
  });

  it('have nobody to tell where no webhook is given', async () => {
    expect(await (await post('test', {})).json()).toEqual({ receivers: [] });
  });
});
