import { runInDurableObject } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { readHtmlReport } from '../../../lab/report/html.ts';
import type { BenchResult } from '../../../lab/result.ts';
import type { StoredRun } from '../../../lab/run/run-store.ts';
import '../../workers/environment.ts';

const TINY = {
  suite: 'store',
  rounds: 2,
  others: 0,
  writers: 1,
  reps: 1,
  engines: 'object',
  operations: 'write-1',
};
/** Takes seconds, so that there is a middle of it. */
const LONG = { suite: 'ingest', modes: 'naive', clients: 2, messages: 20_000, reps: 3 };

/** The same with rows that are all there within a second. */
const SHORT = { ...LONG, messages: 300, reps: 1 };

/** Messages of a repetition are on their way. */
function isSending({ event, data }: SseEvent): boolean {
  return event === 'progress' && (JSON.parse(data ?? '') as { done: number }).done > 0;
}

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return exports.default.fetch(`https://sluice.test${path}`, init);
}

function post(path: string, body?: unknown): Promise<Response> {
  return ask(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function start(given: Record<string, unknown>): Promise<StoredRun> {
  const response = await post('/bench/runs', given);
  expect(response.status, await response.clone().text()).toBe(202);
  const run = (await response.json()) as StoredRun;
  const location = response.headers.get('location') ?? '';
  expect(new URL(location, 'http://app/mounted/bench/runs').pathname).toBe(`/mounted/bench/runs/${run.id}`);
  return run;
}

interface SseEvent {
  id?: string;
  event?: string;
  data?: string;
}

/** Events until the stream ends, or until `isEnough`. */
async function events(response: Response, isEnough = (_: SseEvent): boolean => false): Promise<SseEvent[]> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder('utf-8', { ignoreBOM: false, fatal: true });
  const found: SseEvent[] = [];
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return found;
    text += decoder.decode(value, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      if (block.startsWith(':')) continue;
      const event = Object.fromEntries(
        block
          .split('\n')
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      );
      found.push(event);
      if (isEnough(event)) {
        await reader.cancel();
        return found;
      }
    }
  }
}

async function finished(id: string): Promise<SseEvent[]> {
  return events(await ask(`/bench/runs/${id}/events`));
}

/** Ends the bench's object as an eviction would, in the middle of whatever it does. */
async function loseObject(): Promise<void> {
  const stub = env.BENCH_OBJECT.getByName('bench');
  await runInDurableObject(stub, (_, state) => state.abort('lost by the test')).catch(() => {});
}

// One object for all tests of the file: what one leaves, another must not meet.
beforeEach(async () => {
  const { runs } = (await (await ask('/bench/runs')).json()) as { runs: StoredRun[] };
  for (const { id } of runs) {
    await post(`/bench/runs/${id}/cancel`);
    await ask(`/bench/runs/${id}`, { method: 'DELETE' });
  }
});

describe('a run', () => {
  it('is taken in, carried out, listed, shown and forgotten', async () => {
    const { id, status, total } = await start(TINY);
    expect({ status, total }).toEqual({ status: 'queued', total: 3 });
    const told = await finished(id);
    expect(told.at(0)).toMatchObject({ id: '1', event: 'state' });
    expect(told.at(-1)).toMatchObject({ event: 'end', data: '{"status":"complete"}' });
    const ids = told.flatMap((event) => (event.id === undefined ? [] : Number(event.id)));
    expect(ids).toEqual(ids.map((_, index) => index + 1));
    expect(told.filter(({ event }) => event === 'repetition')).toHaveLength(3);

    const { runs } = (await (await ask('/bench/runs')).json()) as { runs: StoredRun[] };
    expect(runs).toMatchObject([{ id, status: 'complete', taken: 3, total: 3 }]);
    const shown = (await (await ask(`/bench/runs/${id}`)).json()) as StoredRun & { result: BenchResult };
    expect(shown.result).toMatchObject({ suite: 'store', state: 'complete', seed: 1 });

    expect((await ask(`/bench/runs/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await ask(`/bench/runs/${id}`)).status).toBe(404);
  });

  it('has its report in every format', async () => {
    const { id } = await start(TINY);
    await finished(id);
    const report = async (format: string): Promise<Response> => ask(`/bench/runs/${id}/report.${format}`);
    const result = (await (await report('json')).json()) as BenchResult;
    expect(readHtmlReport(await (await report('html')).text(), 'the page')).toEqual(result);
    expect((await report('html')).headers.get('content-security-policy')).toContain("default-src 'none'");
    expect((await (await report('csv')).text()).split('\r\n')).toHaveLength(1 + 3 + 1);
    expect(await (await report('md')).text()).toMatch(/^## The message store/);
    expect(await (await report('text')).text()).toContain('object write-1');
    expect((await report('docx')).status).toBe(404);
  });

  it('goes on where it was when its object is gone in the middle of it, and a reader goes on where it was', async () => {
    const { id } = await start({ ...TINY, reps: 5, rounds: 20 });
    const first = await events(
      await ask(`/bench/runs/${id}/events`),
      ({ event, data }) => event === 'repetition' && (JSON.parse(data ?? '') as { taken: number }).taken >= 4,
    );
    await loseObject();
    const last = first.findLast((event) => event.id !== undefined)?.id ?? '';
    const second = await events(
      await ask(`/bench/runs/${id}/events`, { headers: { 'last-event-id': last } }),
    );
    const ids = [...first, ...second].flatMap((event) => (event.id === undefined ? [] : Number(event.id)));
    expect(ids).toEqual(ids.map((_, index) => index + 1));
    const { result } = (await (await ask(`/bench/runs/${id}`)).json()) as { result: BenchResult };
    expect(result.state).toBe('complete');
    expect(result.variants.map(({ reps }) => reps.length)).toEqual([5, 5, 5]);
  });

  it('is cancelled in the middle, and keeps nobody from the next one', async () => {
    const { id } = await start(LONG);
    await events(await ask(`/bench/runs/${id}/events`), ({ event }) => event === 'progress');
    const refused = await post('/bench/runs', TINY);
    expect([refused.status, await refused.json()]).toEqual([
      409,
      expect.objectContaining({ code: 'bench_running', run: id }),
    ]);
    expect((await ask(`/bench/runs/${id}`, { method: 'DELETE' })).status).toBe(409);
    expect(await (await post(`/bench/runs/${id}/cancel`)).json()).toMatchObject({ status: 'aborted' });
    expect((await finished(id)).at(-1)).toMatchObject({ event: 'end', data: '{"status":"aborted"}' });
    const next = await start(TINY);
    expect((await finished(next.id)).at(-1)).toMatchObject({ data: '{"status":"complete"}' });
  });

  it('that was cancelled sends nothing into the next one of its suite', async () => {
    const { id } = await start(LONG);
    await events(await ask(`/bench/runs/${id}/events`), isSending);
    await post(`/bench/runs/${id}/cancel`);
    const next = await start(SHORT);
    expect((await finished(next.id)).at(-1)).toMatchObject({ data: '{"status":"complete"}' });
  });

  it('repeats the repetition in whose load its object was lost, and finds none of its rows', async () => {
    const { id } = await start(SHORT);
    await events(await ask(`/bench/runs/${id}/events`), isSending);
    await loseObject();
    expect((await finished(id)).at(-1)).toMatchObject({ data: '{"status":"complete"}' });
  });

  it.each([
    ['store', { ...TINY, engines: 'postgres', rounds: 200 }],
    [
      'dcb',
      { suite: 'dcb', engines: 'postgres', sets: 'fresh', operations: 'append-1', rounds: 200, reps: 1 },
    ],
  ])('of the suite %s goes on though its object was lost and left schemas behind', async (_, given) => {
    const { id } = await start({ ...given, reps: 2 });
    await events(await ask(`/bench/runs/${id}/events`), ({ event }) => event === 'repetition');
    await loseObject();
    expect((await finished(id)).at(-1)).toMatchObject({ data: '{"status":"complete"}' });
  });

  it('that a terminal reads ends when nobody reads it any more', async () => {
    const response = await ask(
      `/bench?${new URLSearchParams(Object.entries(LONG).map(([k, v]) => [k, String(v)]))}`,
    );
    const id = response.headers.get('sluice-run') ?? '';
    await (response.body as ReadableStream<Uint8Array>).cancel();
    expect((await finished(id)).at(-1)).toMatchObject({ event: 'end', data: '{"status":"aborted"}' });
  });
});

describe('two runs', () => {
  it('are compared, variant by variant', async () => {
    const base = await start({ ...TINY, reps: 3 });
    await finished(base.id);
    const head = await start({ ...TINY, reps: 3 });
    await finished(head.id);
    const response = await ask(`/bench/compare?base=${base.id}&head=${head.id}`);
    expect(await response.json()).toMatchObject({
      comparisons: [expect.objectContaining({ head: 'object write-1', verdict: 'too few runs' })],
    });
    expect((await ask(`/bench/compare?base=${base.id}`)).status).toBe(400);
    expect((await ask(`/bench/compare?base=${base.id}&head=nobody`)).status).toBe(404);
  });
});

describe('what there is', () => {
  it('is told to a program that makes a form of it', async () => {
    const { suites, run } = (await (await ask('/bench/suites')).json()) as {
      suites: {
        name: string;
        options: { name: string; kind: string; default: unknown; allowed: string }[];
      }[];
      run: { name: string }[];
    };
    expect(suites.map(({ name }) => name)).toEqual(expect.arrayContaining(['ingest', 'store', 'dcb']));
    const clients = suites[0]?.options.find(({ name }) => name === 'clients');
    expect(clients).toMatchObject({
      kind: 'integer',
      default: 10,
      allowed: expect.stringContaining('1 to 1000'),
    });
    expect(run.map(({ name }) => name)).toEqual(['reps', 'seed']);
  });

  it('has a schema', async () => {
    expect(await (await ask('/bench/schema.json')).json()).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
    });
  });
});

describe('a wrong request', () => {
  it.each([
    ['an unknown suite', { suite: 'nothing' }, 'one of ingest'],
    ['an unknown option', { suite: 'store', colour: 'red' }, 'Unknown option colour'],
    ['too many repetitions', { ...TINY, reps: 51 }, 'from 1 to 50'],
    ['too much work', { suite: 'ingest', messages: 1_000_000 }, 'at most 2000000 are allowed'],
    ['no object', [], 'must be a JSON object'],
  ])('for a run, with %s, is refused and leaves nothing', async (_, body, reason) => {
    const response = await post('/bench/runs', body);
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(reason)]);
    expect(await (await ask('/bench/runs')).json()).toEqual({ runs: [] });
  });

  it.each([
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['plain text', { 'content-type': 'text/plain' }],
  ])('that a page of another site could send as %s starts nothing', async (_, headers) => {
    const response = await ask('/bench/runs', { method: 'POST', headers, body: JSON.stringify(TINY) });
    expect(response.status).toBe(400);
    expect(await (await ask('/bench/runs')).json()).toEqual({ runs: [] });
  });

  it.each([
    ['GET', '/bench/runs/nobody', 404],
    ['GET', '/bench/runs/nobody/events', 404],
    ['GET', '/bench/runs/nobody/report.json', 404],
    ['POST', '/bench/runs/nobody/cancel', 404],
    ['DELETE', '/bench/runs/nobody', 404],
    ['GET', '/bench/runs?colour=red', 400],
    ['PUT', '/bench/runs', 404],
  ])('%s %s is answered with %s', async (method, path, status) => {
    const response = await ask(path, { method, headers: { 'content-type': 'application/json' } });
    expect([response.status, response.headers.get('content-type')]).toEqual([
      status,
      'application/problem+json',
    ]);
  });

  it('for events from an impossible place is refused', async () => {
    const { id } = await start(TINY);
    await finished(id);
    const response = await ask(`/bench/runs/${id}/events`, { headers: { 'last-event-id': '-1' } });
    expect(response.status).toBe(400);
  });
});
