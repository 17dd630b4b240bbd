import { describe, expect, it } from 'vitest';
import { STORE_ENGINES } from '../../src/store/namespaces.ts';
import { createNamespace, subscribe, type TestNamespace } from './store-support.ts';

interface Line {
  id: string;
  stream: string;
  type: string;
  pos: number;
  gpos: number;
  data: unknown;
  meta: unknown;
  time: string;
}

function line(changes: Partial<Line> = {}): Line {
  return {
    id: crypto.randomUUID(),
    stream: 'order-1',
    type: 'Created',
    pos: 0,
    gpos: 1,
    data: { amount: 100 },
    meta: null,
    time: '2025-01-15T10:00:00.000000000Z',
    ...changes,
  };
}

const many = (count: number): Line[] =>
  Array.from({ length: count }, (_, index) => line({ pos: index, gpos: index * 2 + 10 }));

async function importOf(own: TestNamespace, body: string): Promise<Record<string, unknown>[]> {
  const response = await own.fetch('/import', {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body,
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  const text = await response.text();
  return [...text.matchAll(/^data: (.*)\n\n/gm)].map(([, data]) => JSON.parse(data ?? ''));
}

const textOf = (lines: readonly unknown[]): string => lines.map((one) => `${JSON.stringify(one)}\n`).join('');

async function exportOf(own: TestNamespace, query = ''): Promise<Line[]> {
  const response = await own.fetch(`/export${query}`);
  expect(response.status).toBe(200);
  const text = new TextDecoder().decode(await response.arrayBuffer());
  return text
    .split('\n')
    .filter((one) => one !== '')
    .map((one) => JSON.parse(one) as Line);
}

describe.each(STORE_ENGINES)('import and export of a namespace in %s', (engine) => {
  it('keeps all positions and times, tells its progress, and writes go on behind', async () => {
    const own = await createNamespace(engine);
    const lines = many(2_345);
    const events = await importOf(own, textOf(lines));
    expect(events).toEqual([
      { imported: 1_000, gpos: 2_008 },
      { imported: 2_000, gpos: 4_008 },
      { done: true, imported: 2_345, elapsed: expect.stringMatching(/^\d+\.\ds$/) },
    ]);
    expect(await exportOf(own)).toEqual(lines);
    // An answer of several pages is one array, too.
    const rows = await own.client.get('order-1', { batchSize: -1 });
    expect(rows.map((row) => [row[2], row[3]])).toEqual(lines.map(({ pos, gpos }) => [pos, gpos]));
    expect(await own.client.write('order-1', { type: 'T', data: {} })).toEqual({
      position: 2_345,
      globalPosition: 4_699,
    });
  });

  it('whose streams have another order than all together: each message is read once', async () => {
    const own = await createNamespace(engine);
    const lines = Array.from({ length: 40 }, (_, pos) => line({ pos, gpos: 100 - pos }));
    await importOf(own, textOf(lines));
    const rows = await own.client.get('order-1', { globalPosition: 71, batchSize: -1 });
    expect(rows.map((row) => row[2])).toEqual([...Array(30).keys()]);
  });

  it('comes out as it went in, with all that JSON may hold', async () => {
    const own = await createNamespace(engine);
    const metadata = { correlationStreamName: 'workflow-1', 世界: '🌍' };
    await own.client.write('a-1', {
      type: 'Ünï "code"',
      data: { text: 'line\nbreak \u2028 "quoted" \\' },
      metadata,
    });
    await own.client.write('b', { type: 'T', data: {} });
    await own.client.write('a-1', { type: 'T', data: { deep: { er: [1, 2.5, null] } } });
    const lines = await exportOf(own);
    const other = await createNamespace(engine);
    expect((await importOf(other, textOf(lines))).at(-1)).toMatchObject({ done: true, imported: 3 });
    expect(await exportOf(other)).toEqual(lines);
    expect(await other.client.category('a', { correlation: 'workflow' })).toHaveLength(1);
    expect(await other.client.get('a-1')).toEqual(await own.client.get('a-1'));
  });

  it('keeps the digits of numbers from a request to an export, an import and an answer', async () => {
    const numbers = ['9007199254740993', '1.50', '0.12345678901234567890', '12345678901234567890.10'];
    const own = await createNamespace(engine);
    for (const [index, number] of numbers.entries()) {
      // Each alone: no other one makes the request be looked at.
      await own.client.raw(
        `["stream.write","a-${index}",{"type":"T","data":{"n":${number}},"metadata":{"n":[${number}]}}]`,
      );
    }
    await own.client.write('b-1', { type: 'T', data: {} });
    const exported = await (await own.fetch('/export')).text();
    const found = [...exported.matchAll(/"n": ?\[?([\d.]+)/g)].map(([, number]) => number);
    expect(found).toEqual(numbers.flatMap((number) => [number, number]));
    const other = await createNamespace(engine);
    await importOf(other, exported);
    expect(await (await other.fetch('/export')).text()).toBe(exported);
    const answer = await other.fetch('/rpc', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '["category.get","a"]',
    });
    const text = await answer.text();
    for (const number of numbers) expect(text.split(number)).toHaveLength(3);
  });

  it('keeps data that are null', async () => {
    const own = await createNamespace(engine);
    const lines = [line({ data: null, gpos: 1 }), line({ pos: 1, gpos: 2, data: {} })];
    await importOf(own, textOf(lines));
    expect((await exportOf(own)).map(({ data }) => data)).toEqual([null, {}]);
  });

  it('exports some categories, and the messages of some time', async () => {
    const own = await createNamespace(engine);
    const lines = [
      line({ stream: 'a-1', gpos: 1, time: '2025-01-01T00:00:00.000000000Z' }),
      line({ stream: 'b-1', gpos: 2, time: '2025-01-02T00:00:00.000001000Z' }),
      line({ stream: 'a-2', gpos: 3, time: '2025-01-03T00:00:00.000000000Z' }),
      line({ stream: 'c-1', gpos: 4, time: '2025-01-04T00:00:00.000000000Z' }),
    ];
    await importOf(own, textOf(lines));
    const exported = async (query: string) => (await exportOf(own, query)).map(({ gpos }) => gpos);
    expect(await exported('?category=a')).toEqual([1, 3]);
    expect(await exported('?category=c,a')).toEqual([4, 1, 3]);
    expect(await exported('?since=2025-01-03')).toEqual([3, 4]);
    expect(await exported('?until=2025-01-03')).toEqual([1, 2]);
    expect(await exported('?since=2025-01-02T00:00:00.000001Z&until=2025-01-04T01:00:00%2B01:00')).toEqual([
      2, 3,
    ]);
    expect(await exported('?category=none')).toEqual([]);
    expect((await own.fetch('/export?since=yesterday')).status).toBe(400);
    expect((await own.fetch('/export?sinse=2025-01-01')).status).toBe(400);
    expect((await own.fetch('/export?category=a,a-1')).status).toBe(400);
  });

  it('ends at a place that is taken, and keeps nothing of that batch', async () => {
    const own = await createNamespace(engine);
    await importOf(own, textOf([line({ gpos: 5 })]));
    const taken = [line({ stream: 'new-1', gpos: 6 }), line({ stream: 'new-2', gpos: 5 })];
    const [event] = await importOf(own, textOf(taken));
    expect(event).toMatchObject({ error: 'POSITION_EXISTS', line: 2 });
    expect(await own.client.category('new')).toEqual([]);
    // A batch that is stored stays.
    const lines = many(1_500).map((one, index) => ({ ...one, stream: 'big-1', gpos: index + 100 }));
    (lines[1_200] as Line).gpos = 100;
    const events = await importOf(own, textOf(lines));
    expect(events).toEqual([
      { imported: 1_000, gpos: 1_099 },
      expect.objectContaining({ error: 'POSITION_EXISTS' }),
    ]);
    expect(await own.client.version('big-1')).toBe(999);
  });

  it('tells which line is wrong', async () => {
    const own = await createNamespace(engine);
    const good = JSON.stringify(line());
    for (const [bad, code] of [
      ['{', 'INVALID_JSON'],
      ['[]', 'INVALID_RECORD'],
      [JSON.stringify({ ...line(), id: 'x' }), 'INVALID_RECORD'],
      [JSON.stringify({ ...line(), stream: '' }), 'INVALID_RECORD'],
      [JSON.stringify({ ...line(), stream: undefined }), 'INVALID_RECORD'],
      [JSON.stringify({ ...line(), pos: -1 }), 'INVALID_RECORD'],
      [JSON.stringify({ ...line(), gpos: 1.5 }), 'INVALID_RECORD'],
      [JSON.stringify({ ...line(), gpos: 0 }), 'INVALID_RECORD'],
      [JSON.stringify({ ...line(), time: '2025-02-30' }), 'INVALID_RECORD'],
      [JSON.stringify({ ...line(), time: 5 }), 'INVALID_RECORD'],
    ]) {
      const [event] = await importOf(own, `${good}\n\n${bad}\n`);
      expect(event, bad).toMatchObject({ error: code, line: 3 });
    }
    expect(await exportOf(own)).toEqual([]);
    expect(await importOf(own, '')).toEqual([{ done: true, imported: 0, elapsed: expect.any(String) }]);
    // The control; its last line needs no end.
    expect(await importOf(own, `\n${good}`)).toEqual([expect.objectContaining({ done: true, imported: 1 })]);
  });

  it('at the highest places there are: a subscription goes on behind them', async () => {
    const own = await createNamespace(engine);
    const gpos = 4_503_599_627_370_496;
    await importOf(own, textOf([line({ gpos })]));
    const first = await subscribe(own, 'all=true&position=1');
    expect(await first.came(1)).toEqual([{ stream: 'order-1', position: 0, globalPosition: gpos }]);
    const [, id = ''] = /^id: (.*)$/m.exec(first.text) ?? [];
    const again = await subscribe(own, 'all=true&position=1', { 'last-event-id': id });
    await own.client.write('order-1', { type: 'T', data: {} });
    expect((await again.came(1)).map(({ position }) => position)).toEqual([1]);
    for (const subscription of [first, again]) await subscription.close();
  });

  it('pokes subscribers for what is imported', async () => {
    const own = await createNamespace(engine);
    const subscription = await subscribe(own, 'all=true');
    await importOf(own, textOf(many(450)));
    expect((await subscription.came(450)).map(({ globalPosition }) => globalPosition)).toEqual(
      many(450).map(({ gpos }) => gpos),
    );
    await subscription.close();
  });
});

it('asks for a token', async () => {
  const own = await createNamespace('sqlite');
  const wrong = { ...own, fetch: own.fetch };
  expect((await wrong.fetch('/export')).status).toBe(200);
  const { exports } = await import('cloudflare:workers');
  expect((await exports.default.fetch('http://sluice/export')).status).toBe(401);
  expect(
    (
      await exports.default.fetch('http://sluice/import', {
        method: 'POST',
        body: '',
        headers: { 'content-type': 'application/x-ndjson' },
      })
    ).status,
  ).toBe(401);
});
