import { env, exports } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import type { BenchResult } from '../../../lab/result.ts';
import '../../workers/environment.ts';

const TINY = 'suite=store&rounds=2&others=120&writers=2&reps=1';

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return exports.default.fetch(`https://sluice.test${path}`, init);
}

it('runs the suite store inside the Worker, on Postgres and in Durable Objects, and finds every message', async () => {
  const response = await ask(`/bench?${TINY}&operations=write-1,write-100,read-10,category-big&format=json`);
  const result = (await response.json()) as BenchResult;
  expect(result).toMatchObject({ suite: 'store', state: 'complete' });
  const names = result.variants.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([
      'postgres write-1 ×2',
      'object write-100',
      'object category-big',
      'floor: object write-1',
    ]),
  );
  for (const { name, summary } of result.variants) {
    expect([name, summary.audit]).toEqual([
      name,
      { ...summary.audit, refused: 0, lost: 0, duplicated: 0, outOfOrder: 0 },
    ]);
    expect(summary.audit?.sent).toBeGreaterThan(0);
    expect(summary.audit?.found).toBe(summary.audit?.sent);
  }
});

it('streams the table of the suite store', async () => {
  const text = await (await ask(`/bench?${TINY}&engines=object&operations=write-1`)).text();
  expect(text).toMatch(/^object write-1 1\/1 {2}.*\/s$/m);
  expect(text).toContain('The message store, on each of its engines (store)');
});

it.each([
  ['engines=memory', 'no memory in engines'],
  ['engines=object&others=10000000', 'at most 2000000 are allowed'],
  ['engines=object&modes=copy', 'Unknown option modes'],
])('refuses a run of the suite store with %s', async (query, reason) => {
  const response = await ask(`/bench?suite=store&${query}`);
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(reason)]);
});

it.each([
  ['target=a/b&call=prepare', '{}', 'target'],
  ['target=a&call=destroy', '{}', 'call'],
  ['target=a&call=prepare', 'nothing', 'job'],
  ['target=a&call=prepare', '{"operations":99999999}', 'job.operations'],
  ['target=a&call=prepare', '{"engine":"postgres"}', 'job.engine'],
])('refuses a call of %s with %s', async (query, body, named) => {
  const response = await ask(`/bench/store?${query}`, { method: 'POST', body });
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(named)]);
});

it('takes no call for a run that nothing was prepared for', async () => {
  const body = JSON.stringify({ engine: 'object', operation: 'write-1' });
  const call = (name: string) => ask(`/bench/store?target=unprepared&call=${name}`, { method: 'POST', body });
  expect((await call('run')).status).toBe(500);
  expect((await call('prepare')).status).toBe(200);
  expect((await call('run')).status, 'the control').toBe(200);
  await call('close');
  expect((await call('run')).status).toBe(500);
  expect(env.BENCH).toBe('open');
});
