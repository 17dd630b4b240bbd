import { exports } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import type { BenchResult } from '../../../lab/result.ts';
import '../../workers/environment.ts';

const SHORT = 'suite=dcb&sets=tiny&rounds=2&appenders=1,20&reps=1';

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return exports.default.fetch(`https://sluice.test${path}`, init);
}

// By HTTP the same calls take another way: a part of the operations shows it.
it.each([
  ['rpc', 'append-1,append-100,if-own,conflict,race,read-complex,read-stream,project-5'],
  ['http', 'append-1,append-100,race,read-stream'],
])(
  'runs the suite dcb inside the Worker, on Postgres and in Durable Objects by %s, and finds every event',
  async (through, operations) => {
    const response = await ask(`/bench?${SHORT}&operations=${operations}&through=${through}&format=json`);
    const result = (await response.json()) as BenchResult;
    expect(result).toMatchObject({ suite: 'dcb', state: 'complete', config: { through } });
    const names = result.variants.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining([
        'postgres tiny race ×20',
        'object tiny race ×20',
        'object tiny append-100',
        'object-sqlite tiny read-stream',
        'floor: object-sqlite append-1',
      ]),
    );
    for (const { name, summary } of result.variants) {
      const { audit } = summary;
      expect([name, audit]).toEqual([name, { ...audit, lost: 0, duplicated: 0, outOfOrder: 0 }]);
      expect(audit?.sent).toBeGreaterThan(0);
    }
    const race = result.variants.find(({ name }) => name === 'object tiny race ×20');
    expect(Number(race?.summary.metrics.wins) + Number(race?.summary.metrics.conflicts)).toBe(4);
  },
);

it.each([
  ['engines=memory', 'no memory in engines'],
  ['engines=postgres&sets=medium&rounds=100000', 'at most 2000000 are allowed'],
  ['engines=object&modes=copy', 'Unknown option modes'],
])('refuses a run of the suite dcb with %s', async (query, reason) => {
  const response = await ask(`/bench?suite=dcb&${query}`);
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(reason)]);
});

it.each([
  ['target=a/b&call=prepare', '{}', 'target'],
  ['target=a&call=destroy', '{}', 'call'],
  ['target=a&call=prepare', 'nothing', 'job'],
  ['target=a&call=prepare', '{"operations":99999999}', 'job.operations'],
  ['target=a&call=prepare', '{"engine":"postgres"}', 'job.engine'],
  ['target=a&call=prepare', '{"set":"huge"}', 'job.set'],
])('refuses a call of %s with %s', async (query, body, named) => {
  const response = await ask(`/bench/dcb?${query}`, { method: 'POST', body });
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(named)]);
});

it('takes no call for a run that nothing was prepared for', async () => {
  const body = JSON.stringify({ engine: 'object-sqlite', operation: 'append-1' });
  const call = (name: string) => ask(`/bench/dcb?target=unprepared&call=${name}`, { method: 'POST', body });
  expect((await call('run')).status).toBe(500);
  expect((await call('prepare')).status).toBe(200);
  expect((await call('run')).status, 'the control').toBe(200);
  await call('close');
  expect((await call('run')).status).toBe(500);
});
