import { exports } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import type { BenchResult } from '../../../lab/result.ts';
import '../../workers/environment.ts';

function ask(path: string): Promise<Response> {
  return exports.default.fetch(`https://sluice.test${path}`);
}

it.each(['bson', 'jsonb', 'ndjson_zstd'])(
  'the suite stress runs inside the Worker with records in %s, and reads back what it wrote',
  async (payload) => {
    const response = await ask(
      `/bench?suite=stress&payload=${payload}&start=50&end=5050&step=2500&reps=1&format=json`,
    );
    const result = (await response.json()) as BenchResult;
    expect(result).toMatchObject({ suite: 'stress', state: 'complete' });
    expect(result.variants.map(({ reps }) => reps[0]?.broken)).toEqual([undefined, undefined, undefined]);
    for (const { summary } of result.variants)
      expect(summary.audit).toMatchObject({ sent: 1, found: 1, lost: 0 });
  },
);

it.each([
  ['suite=stress&end=100000', 'at most 15000 is allowed'],
  ['suite=stress&mode=async&concurrency=100', 'Cannot use 100 for concurrency in a Worker'],
  ['suite=rates&modes=fire-and-forget', 'no fire-and-forget in modes'],
  ['suite=dcb&engines=memory', 'no memory in engines'],
])('refuses %s, which is more than a Worker can do', async (query, reason) => {
  const response = await ask(`/bench?${query}`);
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(reason)]);
});
