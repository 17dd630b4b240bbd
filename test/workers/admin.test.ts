import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, it, vi } from 'vitest';
import { encodeBenchShardName } from '../../lab/workers/bench-shard-name.ts';
import type { LabEnv } from '../../lab/workers/env.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { DRAIN_TIME_LIMIT_MS, MAX_ADMIN_BODY_BYTES, MAX_TAKEN_DEAD_LETTERS } from '../../src/core/limits.ts';
import type { DeadLetterTotals } from '../../src/outbox/dead-letter.ts';
import type { ShardAdmin, ShardState, ShardSummary } from '../../src/outbox/shard-admin.ts';
import { DIRECTORY_NAME } from '../../workers/shard-directory.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import { DEAD_LETTER_CASES, letter } from '../support/dead-letters-contract.ts';
import { eventually } from '../support/patience.ts';
import { askWith } from './support.ts';

describe('dead letters in the storage of a Durable Object', () => {
  it.each(DEAD_LETTER_CASES)('$name', async ({ name, run }) => {
    // A shard that only counts frames has no tables of its own.
    const stub = env.BENCH_SHARD.getByName(
      encodeBenchShardName({ bench: name, spec: null, driver: null, shard: 0 }),
    );
    await runInDurableObject(stub, (_, state) => run(new DurableObjectSqlite(state.storage)));
  });
});

const TOTALS: DeadLetterTotals = {
  count: 2,
  bytes: 2_100,
  maxRows: 10_000,
  maxBytes: 1_000_000,
  isFull: false,
};

const SUMMARY: ShardSummary = { ...TOTALS, state: 'running', code: null, buffered: 0 };

const STATE: ShardState = {
  isPaused: true,
  code: 'dead_letters_full',
  message: 'There is no room for another dead letter',
  missing: null,
  buffered: 3,
  sockets: 1,
  deadLetters: { ...TOTALS, isFull: true },
};

/** Shards that remember what they were asked, and answer what a test has told them to. */
class FakeShards {
  readonly calls: unknown[][] = [];
  readonly #answers: Partial<ShardAdmin>;

  constructor(answers: Partial<ShardAdmin> = {}) {
    this.#answers = answers;
  }

  getByName(shard: string): ShardAdmin {
    // The list of shards is kept by an object of the same class; there are no shards but those that options make.
    if (shard === DIRECTORY_NAME) return { listShards: async () => [] } as unknown as ShardAdmin;
    const answers: ShardAdmin = {
      summary: async () => SUMMARY,
      listDeadLetters: async () => ({ letters: [], next: null, totals: TOTALS }),
      groupDeadLetters: async () => [],
      readDeadLetter: async () => null,
      retryDeadLetters: async () => ({ retried: 1, refused: 0, missing: [], remaining: 0, isFull: false }),
      dropDeadLetters: async () => ({ dropped: 1, missing: [] }),
      resume: async () => STATE,
      pauseShard: async () => STATE,
      flushShard: async () => STATE,
      drainShard: async () => STATE,
      ...this.#answers,
    };
    return new Proxy(answers, {
      get: (target, method: keyof ShardAdmin) => (argument: never) => {
        this.calls.push(argument === undefined ? [shard, method] : [shard, method, argument]);
        return target[method](argument);
      },
    });
  }

  ask(path: string, init?: RequestInit, overrides: Partial<LabEnv> = {}): Promise<Response> {
    return askWith(
      { OPERATORS: 'open', SHARD: this as unknown as LabEnv['SHARD'], ...overrides },
      new Request(`http://sluice${path}`, init),
    );
  }

  post(path: string, body?: unknown): Promise<Response> {
    return this.ask(path, {
      method: 'POST',
      ...(body === undefined
        ? {}
        : {
            headers: { 'content-type': 'application/json' },
            body: typeof body === 'string' ? body : JSON.stringify(body),
          }),
    });
  }
}

async function problemOf(response: Response): Promise<Record<string, unknown> & { detail: string }> {
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  return (await response.json()) as Record<string, unknown> & { detail: string };
}

/** Every route, as it is asked when all is well. */
const ROUTES: [method: 'GET' | 'POST', path: string, body?: unknown][] = [
  ['GET', '/admin/messages/dead-letters'],
  ['GET', '/admin/messages/0/dead-letters'],
  ['GET', '/admin/messages/0/dead-letters/1'],
  ['POST', '/admin/messages/0/dead-letters/retry', { ids: [1] }],
  ['POST', '/admin/messages/0/dead-letters/drop', { ids: [1] }],
  ['POST', '/admin/messages/0/resume'],
  ['POST', '/admin/messages/0/drain', { closeSockets: true }],
  ['POST', '/admin/messages/0/pause', {}],
  ['POST', '/admin/messages/0/flush', {}],
  ['GET', '/admin/messages/0/dead-letters/groups'],
];

describe('who may ask', () => {
  const shards = () => new FakeShards({ readDeadLetter: async (id) => ({ id, ...letter() }) });

  function ask(
    fake: FakeShards,
    [method, path, body]: (typeof ROUTES)[number],
    overrides: Partial<LabEnv>,
    authorization?: string,
  ): Promise<Response> {
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (authorization !== undefined) headers.authorization = authorization;
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    return fake.ask(path, init, overrides);
  }

  const TOKENS = { OPERATORS: '', READ_TOKENS: 'look looks', OPERATE_TOKENS: 'right, rightly' };
  /** The route that shows figures only. */
  const isForReaders = ([method, path]: (typeof ROUTES)[number]): boolean =>
    method === 'GET' && path === '/admin/messages/dead-letters';

  it.each(ROUTES)(
    '%s %s answers everybody where OPERATORS is open, and may not be kept by a cache',
    async (...route) => {
      const fake = shards();
      const response = await ask(fake, route, {});
      expect(response.status).toBe(200);
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(fake.calls).toHaveLength(1);
    },
  );

  it.each(ROUTES)('%s %s is closed where there are no tokens, and no shard is asked', async (...route) => {
    for (const OPERATORS of ['', 'closed']) {
      for (const tokens of [{}, { READ_TOKENS: ' ', OPERATE_TOKENS: ',' }]) {
        const fake = shards();
        const response = await ask(fake, route, { OPERATORS, ...tokens }, 'Bearer right');
        expect(response.status).toBe(403);
        const problem = await problemOf(response);
        expect(problem.code).toBe('operators_closed');
        expect(problem.detail).toContain('set the secret');
        expect(fake.calls).toEqual([]);
      }
    }
  });

  it.each(ROUTES)(
    '%s %s lets nobody in where a variable is wrong, and no shard is asked',
    async (...route) => {
      for (const wrong of [
        { OPERATORS: 'Open' },
        { OPERATORS: 'on' },
        { OPERATORS: 'true' },
        { OPERATE_TOKENS: 'right sha256:abc' },
        { READ_TOKENS: 'sha256:abc' },
      ]) {
        const fake = shards();
        const response = await ask(fake, route, { ...TOKENS, ...wrong }, 'Bearer right');
        expect((await problemOf(response)).code).toBe('invalid_configuration');
        expect(fake.calls).toEqual([]);
      }
    },
  );

  it.each(ROUTES)('%s %s asks for a token, and no shard before', async (...route) => {
    for (const given of [
      undefined,
      '',
      'Bearer',
      'Bearer wrong',
      'Bearer right2',
      'Bearer righ',
      'Bearer right, rightly',
      'right',
      'Basic right',
    ]) {
      const fake = shards();
      const response = await ask(fake, route, TOKENS, given);
      expect({ given, status: response.status }).toEqual({ given, status: 401 });
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      const problem = await problemOf(response);
      expect(problem.code).toBe('unauthorized');
      expect(JSON.stringify(problem)).not.toContain('right');
      expect(fake.calls).toEqual([]);
    }
    for (const given of ['Bearer right', 'bearer right', 'Bearer rightly']) {
      const fake = shards();
      expect((await ask(fake, route, TOKENS, given)).status).toBe(200);
      expect(fake.calls).toHaveLength(1);
    }
  });

  it.each(ROUTES)(
    '%s %s: one who may only read sees figures, no message, and changes nothing',
    async (...route) => {
      const fake = shards();
      const response = await ask(fake, route, TOKENS, 'Bearer looks');
      if (isForReaders(route)) return expect(response.status).toBe(200);
      expect(response.status).toBe(403);
      expect((await problemOf(response)).code).toBe('forbidden');
      expect(fake.calls).toEqual([]);
    },
  );

  it('is another matter than who may bench', async () => {
    const bench = '/bench/stats?target=x';
    const asBench = await askWith({ BENCH: 'off', OPERATORS: 'open' }, bench);
    expect((await problemOf(asBench)).code).toBe('bench_disabled');
    const request = (token: string) =>
      new Request(`http://sluice${bench}`, { headers: { authorization: `Bearer ${token}` } });
    const overrides = { BENCH: 'on', BENCH_TOKEN: 'right newer', OPERATE_TOKENS: 'other' };
    expect((await askWith(overrides, bench)).status).toBe(401);
    expect((await askWith(overrides, request('other'))).status).toBe(401);
    for (const token of ['right', 'newer'])
      expect((await problemOf(await askWith(overrides, request(token)))).code).toBe('invalid_options');
  });
});

describe('which shard is asked', () => {
  it.each(ROUTES.slice(1))(
    '%s %s asks the shard of the path, and one that the sink has',
    async (method, path, body) => {
      const overrides = { SINKS: { messages: { shards: 3 } } };
      const ask = async (shard: string): Promise<[FakeShards, Response]> => {
        const fake = new FakeShards({ readDeadLetter: async (id) => ({ id, ...letter() }) });
        const init = {
          method,
          ...(body === undefined
            ? {}
            : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        };
        return [fake, await fake.ask(path.replace('/0/', `/${shard}/`), init, overrides)];
      };
      for (const shard of ['0', '2']) {
        const [fake, response] = await ask(shard);
        expect(response.status).toBe(200);
        expect(fake.calls.map(([name]) => name)).toEqual([`messages/${shard}`]);
      }
      for (const shard of ['3', '-1', '00', '0x1', '1.0', 'one', '1e0', '%20', '99999999999999999999']) {
        const [fake, response] = await ask(shard);
        expect({ shard, status: response.status }).toEqual({ shard, status: 404 });
        expect(await problemOf(response)).toMatchObject({ code: 'unknown_shard', shards: 3 });
        expect(fake.calls).toEqual([]);
      }
    },
  );

  it.each(ROUTES)('%s %s answers 404 for a sink that does not exist', async (method, path, body) => {
    for (const sink of ['mesages', 'constructor']) {
      const fake = new FakeShards();
      const target = path.replace('/messages/', `/${sink}/`);
      const response = await (method === 'GET' ? fake.ask(target) : fake.post(target, body));
      expect(response.status).toBe(404);
      expect(await problemOf(response)).toMatchObject({ code: 'unknown_sink', sinks: ['messages'] });
      expect(fake.calls).toEqual([]);
    }
  });

  it.each([
    ['GET', '/admin'],
    ['GET', '/admin/messages'],
    ['GET', '/admin/messages/0'],
    ['GET', '/admin/messages/0/dead-letters/retry'],
    ['GET', '/admin/messages/0/dead-letters/one'],
    ['GET', '/admin/messages/0/resume'],
    ['GET', '/admin/messages/0/drain'],
    ['POST', '/admin/messages/0/dead-letters'],
    ['DELETE', '/admin/messages/0/dead-letters/1'],
  ])('there is no %s %s', async (method, path) => {
    const fake = new FakeShards();
    const response = await fake.ask(path, { method });
    expect(response.status).toBe(404);
    expect((await problemOf(response)).code).toBe('not_found');
    expect(fake.calls).toEqual([]);
  });
});

describe('GET /admin/:sink/dead-letters', () => {
  it('shows how many letters each shard has, and which is full', async () => {
    const fake = new FakeShards();
    const full: ShardSummary = {
      ...SUMMARY,
      count: 5,
      isFull: true,
      state: 'paused',
      code: 'dead_letters_full',
      buffered: 3,
    };
    const answers = [SUMMARY, full];
    const shards = {
      getByName: (name: string) => ({
        ...fake.getByName(name),
        summary: async () => answers[Number(name.split('/')[1])],
      }),
    };
    const overrides = { SINKS: { messages: { shards: 2 } }, SHARD: shards as unknown as LabEnv['SHARD'] };
    const response = await fake.ask('/admin/messages/dead-letters', {}, overrides);
    expect(await response.json()).toEqual({
      sink: 'messages',
      count: 7,
      isFull: true,
      shards: [
        { shard: 0, ...SUMMARY },
        { shard: 1, ...full },
      ],
    });
    const one = await fake.ask('/admin/messages/dead-letters');
    expect(await one.json()).toMatchObject({ count: 2, isFull: false, shards: [{ shard: 0 }] });
  });

  it('knows no option', async () => {
    const response = await new FakeShards().ask('/admin/messages/dead-letters?limit=1');
    expect(await problemOf(response)).toMatchObject({ status: 400, option: 'limit', allowed: [] });
  });
});

describe('GET dead-letters', () => {
  const path = '/admin/messages/0/dead-letters';

  it('shows a page, with times as ISO text', async () => {
    const { payload: excerpt, ...rest } = letter({ sequence: Number.MAX_SAFE_INTEGER });
    const { receivedAtMs, failedAtMs, ...shown } = rest;
    const fake = new FakeShards({
      listDeadLetters: async () => ({
        letters: [{ id: 7, ...rest, excerpt, payloadBytes: 15 }],
        next: 7,
        totals: TOTALS,
      }),
    });
    const response = await fake.ask(path);
    expect(await response.json()).toEqual({
      letters: [
        {
          id: 7,
          ...shown,
          sequence: 9007199254740991,
          excerpt,
          payloadBytes: 15,
          receivedAt: '2026-11-21T13:10:07.001Z',
          failedAt: '2026-11-21T13:10:07.042Z',
        },
      ],
      next: 7,
      totals: TOTALS,
    });
    expect([receivedAtMs, failedAtMs]).toEqual([1_795_266_607_001, 1_795_266_607_042]);
    expect(fake.calls).toEqual([['messages/0', 'listDeadLetters', { after: 0, limit: 50 }]]);
  });

  it('passes on where the page begins and how long it is', async () => {
    const fake = new FakeShards();
    await fake.ask(`${path}?after=9007199254740991&limit=100`);
    expect(fake.calls).toEqual([
      ['messages/0', 'listDeadLetters', { after: Number.MAX_SAFE_INTEGER, limit: 100 }],
    ]);
  });

  it('passes on which letters are meant', async () => {
    const fake = new FakeShards();
    await fake.ask(
      `${path}?reason=22P02&column=n&since=2026-11-21&until=2026-11-21T13:10:07.042%2B01:00&limit=5`,
    );
    const where = {
      reason: '22P02',
      column: 'n',
      sinceMs: Date.UTC(2026, 10, 21),
      untilMs: Date.UTC(2026, 10, 21, 12, 10, 7, 42),
    };
    expect(fake.calls).toEqual([['messages/0', 'listDeadLetters', { after: 0, limit: 5, where }]]);
  });

  it.each([
    ['reason=', 'reason'],
    ['since=yesterday', 'since'],
    ['until=2026-13-01', 'until'],
    ['after=-1', 'after'],
    ['after=x', 'after'],
    ['after=9007199254740992', 'after'],
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=', 'limit'],
    ['page=2', 'page'],
  ])('refuses ?%s and names %s', async (query, option) => {
    const fake = new FakeShards();
    const response = await fake.ask(`${path}?${query}`);
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ code: 'invalid_options', option });
    expect(fake.calls).toEqual([]);
  });
});

describe('GET dead-letters/:id', () => {
  it('shows the payload as the text that it is, with all digits', async () => {
    const payload = '{"n":9007199254740993,"big":1e400}';
    const fake = new FakeShards({ readDeadLetter: async (id) => ({ id, ...letter({ payload }) }) });
    const response = await fake.ask('/admin/messages/0/dead-letters/7');
    expect(await response.json()).toMatchObject({ id: 7, payload, sqlState: '22P02' });
    expect(fake.calls).toEqual([['messages/0', 'readDeadLetter', 7]]);
  });

  it.each(['8', '0', '9007199254740993', '99999999999999999999999'])(
    'answers 404 where there is no letter %s',
    async (id) => {
      const response = await new FakeShards().ask(`/admin/messages/0/dead-letters/${id}`);
      expect(response.status).toBe(404);
      const problem = await problemOf(response);
      expect(problem.code).toBe('unknown_dead_letter');
      expect(problem.detail).toContain(id);
    },
  );
});

describe('POST dead-letters/retry', () => {
  const path = '/admin/messages/0/dead-letters/retry';

  it.each([
    [{ ids: 'all' }, { ids: 'all' }],
    [{ ids: [3, 1, 3] }, { ids: [3, 1] }],
    [
      { ids: [7], payload: ' {"n":9007199254740993}\n' },
      { ids: [7], payload: '{"n":9007199254740993}' },
    ],
    [
      { ids: [7, 7], payload: '1' },
      { ids: [7], payload: '1' },
    ],
  ])('asks the shard for what %j says, and shows its answer', async (body, request) => {
    const answer = { retried: 1, refused: 0, missing: [3], remaining: 4, isFull: true };
    const fake = new FakeShards({ retryDeadLetters: async () => answer });
    const response = await fake.post(path, body);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual(answer);
    expect(fake.calls).toEqual([['messages/0', 'retryDeadLetters', request]]);
  });

  it.each([
    ['{"a"', 'invalid_json', 400],
    ['1\n2', 'invalid_json', 400],
    ['', 'invalid_json', 400],
    ['"\\u0000"', 'nul_character', 400],
    ['"\\ud800"', 'lone_surrogate', 400],
    ['1e400000', 'number_out_of_range', 400],
    ['['.repeat(513), 'nesting_too_deep', 400],
    [`"${'x'.repeat(64 * 1024)}"`, 'message_too_large', 413],
  ])('refuses a payload that the wire would refuse', async (payload, code, status) => {
    const fake = new FakeShards();
    const response = await fake.post(path, { ids: [7], payload });
    expect(response.status).toBe(status);
    expect(await problemOf(response)).toMatchObject({ code, option: 'payload' });
    expect(fake.calls).toEqual([]);
  });

  it.each([
    [{ ids: [1, 2], payload: '1' }],
    [{ ids: 'all', payload: '1' }],
    [{ ids: [1], payload: { a: 1 } }],
    [{ ids: [1], payload: null }],
  ])('refuses a payload that is not a text for one letter: %j', async (body) => {
    const fake = new FakeShards();
    const response = await fake.post(path, body);
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ code: 'invalid_options', option: 'payload' });
    expect(fake.calls).toEqual([]);
  });
});

describe('POST dead-letters/retry and drop by a filter', () => {
  it.each(['retry', 'drop'])('%s asks the shard for the letters that are meant', async (what) => {
    const fake = new FakeShards();
    const body = { where: { reason: 'mapping', since: '2026-11-21T13:10:00Z' } };
    expect((await fake.post(`/admin/messages/0/dead-letters/${what}`, body)).status).toBe(200);
    const ids = { reason: 'mapping', sinceMs: Date.UTC(2026, 10, 21, 13, 10) };
    expect(fake.calls).toMatchObject([['messages/0', `${what}DeadLetters`, { ids }]]);
  });

  it.each([
    [{ where: {} }, 'where'],
    [{ where: 'all' }, 'where'],
    [{ where: { reason: 'x' }, ids: 'all' }, 'where'],
    [{ where: { reson: 'x' } }, 'reson'],
    [{ where: { column: 7 } }, 'column'],
    [{ where: { reason: 'x' }, payload: '1' }, 'payload'],
  ])('%j is refused', async (body, option) => {
    const fake = new FakeShards();
    const response = await fake.post('/admin/messages/0/dead-letters/retry', body);
    expect(await problemOf(response)).toMatchObject({ code: 'invalid_options', option });
    expect(fake.calls).toEqual([]);
  });
});

describe('POST dead-letters/drop', () => {
  it('asks the shard to drop what it is told, and shows its answer', async () => {
    const fake = new FakeShards({ dropDeadLetters: async () => ({ dropped: 2, missing: [9] }) });
    const response = await fake.post('/admin/messages/0/dead-letters/drop', { ids: [1, 2, 9] });
    expect(await response.json()).toEqual({ dropped: 2, missing: [9] });
    expect(fake.calls).toEqual([['messages/0', 'dropDeadLetters', { ids: [1, 2, 9] }]]);
  });

  it('takes no payload', async () => {
    const fake = new FakeShards();
    const response = await fake.post('/admin/messages/0/dead-letters/drop', { ids: [1], payload: '1' });
    expect(await problemOf(response)).toMatchObject({
      status: 400,
      option: 'payload',
      allowed: ['ids', 'where'],
    });
    expect(fake.calls).toEqual([]);
  });
});

describe.each(['retry', 'drop'])('a bad body of %s', (act) => {
  const path = `/admin/messages/0/dead-letters/${act}`;

  it.each([
    [undefined, 'ids'],
    [{}, 'ids'],
    [{ ids: [] }, 'ids'],
    [{ ids: 'ALL' }, 'ids'],
    [{ ids: 7 }, 'ids'],
    [{ ids: ['7'] }, 'ids'],
    [{ ids: [0] }, 'ids'],
    [{ ids: [-1] }, 'ids'],
    [{ ids: [1.5] }, 'ids'],
    ['{"ids":[9007199254740993]}', 'ids'],
    [{ ids: [null] }, 'ids'],
    [{ ids: [[1]] }, 'ids'],
    [{ ids: Array.from({ length: MAX_TAKEN_DEAD_LETTERS + 1 }, (_, index) => index + 1) }, 'ids'],
    [{ id: [7] }, 'Unknown option id'],
    ['{"ids":[1],"__proto__":{}}', '__proto__'],
    ['{"ids":[1]', 'not valid JSON'],
    ['[1]', 'not a JSON object'],
    ['null', 'not a JSON object'],
  ])('is refused by its name: %#', async (body, named) => {
    const fake = new FakeShards();
    const response = await fake.post(path, body);
    expect(response.status).toBe(400);
    const problem = await problemOf(response);
    expect(problem.code).toBe('invalid_options');
    expect(problem.detail).toContain(named);
    expect(fake.calls).toEqual([]);
  });

  it('is refused where it does not say that it is JSON: a form of another site could send it', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      const fake = new FakeShards();
      const init = { method: 'POST', body: '{"ids":"all"}', headers: { 'content-type': type } };
      expect(await problemOf(await fake.ask(path, init))).toMatchObject({
        status: 400,
        option: 'content-type',
      });
      expect(fake.calls).toEqual([]);
    }
    const fake = new FakeShards();
    const undeclared = await fake.ask(path, { method: 'POST', body: new Blob(['{"ids":"all"}']).stream() });
    expect(await problemOf(undeclared)).toMatchObject({ status: 400, option: 'content-type' });
    expect(fake.calls).toEqual([]);
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    expect((await fake.ask(path, { method: 'POST', body: '{"ids":"all"}', headers })).status).toBe(200);
  });

  it('is refused above its bound, with and without a declared length', async () => {
    const headers = { 'content-type': 'application/json' };
    const padded = (bytes: number): string => `${'{"ids":[7]'.padEnd(bytes - 1)}}`;
    const streamed = (text: string): ReadableStream => new Blob([text]).stream();
    for (const body of [padded, (bytes: number) => streamed(padded(bytes))]) {
      const fake = new FakeShards();
      const large = await fake.ask(path, { method: 'POST', headers, body: body(MAX_ADMIN_BODY_BYTES + 1) });
      expect(large.status).toBe(400);
      expect(await problemOf(large)).toMatchObject({
        code: 'invalid_options',
        maxBytes: MAX_ADMIN_BODY_BYTES,
      });
      expect(fake.calls).toEqual([]);
      const good = await fake.ask(path, { method: 'POST', headers, body: body(MAX_ADMIN_BODY_BYTES) });
      expect(good.status).toBe(200);
      expect(fake.calls).toHaveLength(1);
    }
  });
});

describe('dead letters by their reason', () => {
  const group = { by: 'postgres', sqlState: '22P02', column: 'celsius', constraint: null };

  it('are listed, and chosen by the key of a group', async () => {
    const groups = [{ key: group, count: 3, reason: 'no', firstFailedAtMs: 1, lastFailedAtMs: 2 } as const];
    const fake = new FakeShards({ groupDeadLetters: async () => groups as never });
    expect(await (await fake.ask('/admin/messages/0/dead-letters/groups')).json()).toEqual({ groups });
    await fake.ask(`/admin/messages/0/dead-letters?group=${encodeURIComponent(JSON.stringify(group))}`);
    await fake.post('/admin/messages/0/dead-letters/drop', { where: { group } });
    expect(fake.calls.slice(1)).toEqual([
      ['messages/0', 'listDeadLetters', { after: 0, limit: 50, where: { group } }],
      ['messages/0', 'dropDeadLetters', { ids: { group } }],
    ]);
  });

  it.each(['x', '{}', JSON.stringify({ ...group, more: 1 }), JSON.stringify({ ...group, by: 7 })])(
    'are not chosen by %s',
    async (text) => {
      const fake = new FakeShards();
      const response = await fake.ask(`/admin/messages/0/dead-letters?group=${encodeURIComponent(text)}`);
      expect(await problemOf(response)).toMatchObject({ status: 400, option: 'group' });
      expect(fake.calls).toEqual([]);
    },
  );
});

describe('POST resume and drain', () => {
  it('resume answers with the state after it, with and without a body', async () => {
    for (const body of [undefined, {}]) {
      const fake = new FakeShards();
      const response = await fake.post('/admin/messages/0/resume', body);
      expect(await response.json()).toEqual(STATE);
      expect(fake.calls).toEqual([['messages/0', 'resume']]);
    }
    for (const missing of ['write-again', 'give-up']) {
      const fake = new FakeShards();
      const response = await fake.post('/admin/messages/0/resume', { missing });
      expect(await response.json()).toEqual(STATE);
      expect(fake.calls).toEqual([['messages/0', 'resume', { missing }]]);
    }
    for (const missing of ['all', '', null, true]) {
      const fake = new FakeShards();
      const response = await fake.post('/admin/messages/0/resume', { missing });
      expect(await problemOf(response)).toMatchObject({ status: 400, option: 'missing' });
      expect(fake.calls).toEqual([]);
    }
    const response = await new FakeShards().post('/admin/messages/0/resume', { ids: [1] });
    expect(await problemOf(response)).toMatchObject({ status: 400, option: 'ids' });
  });

  it.each([
    ['pause', 'pauseShard'],
    ['flush', 'flushShard'],
  ])('%s answers with the state after it, and takes nothing', async (route, method) => {
    const fake = new FakeShards();
    expect(await (await fake.post(`/admin/messages/0/${route}`)).json()).toEqual(STATE);
    expect(fake.calls).toEqual([['messages/0', method]]);
    const refused = await fake.post(`/admin/messages/0/${route}`, { ids: [1] });
    expect(await problemOf(refused)).toMatchObject({ status: 400, option: 'ids' });
    expect(fake.calls).toHaveLength(1);
  });

  it.each([
    [undefined, false],
    [{}, false],
    [{ closeSockets: false }, false],
    [{ closeSockets: true }, true],
  ])('drain with %j closes sockets: %s', async (body, closeSockets) => {
    const fake = new FakeShards();
    const response = await fake.post('/admin/messages/0/drain', body);
    expect(await response.json()).toEqual(STATE);
    expect(fake.calls).toEqual([['messages/0', 'drainShard', { closeSockets }]]);
  });

  it('drain refuses what is no yes or no', async () => {
    for (const closeSockets of ['yes', 1, null]) {
      const fake = new FakeShards();
      const response = await fake.post('/admin/messages/0/drain', { closeSockets });
      expect(await problemOf(response)).toMatchObject({ status: 400, option: 'closeSockets' });
      expect(fake.calls).toEqual([]);
    }
  });

  it('drain tells after a minute that it is not done', async () => {
    vi.useFakeTimers();
    try {
      const fake = new FakeShards({ drainShard: () => new Promise(() => {}) });
      const answer = fake.post('/admin/messages/0/drain');
      await eventually(() => expect(fake.calls).toHaveLength(1));
      await vi.advanceTimersByTimeAsync(DRAIN_TIME_LIMIT_MS);
      const response = await answer;
      expect(response.status).toBe(504);
      expect((await problemOf(response)).detail).toContain('waiting for the shard to drain');
    } finally {
      vi.useRealTimers();
    }
  });

  it('an error of the shard keeps its code', async () => {
    const fake = new FakeShards({
      resume: async () => {
        throw new SluiceError('checkpoint_missing', 'The checkpoint is gone');
      },
    });
    const response = await fake.post('/admin/messages/0/resume');
    expect(response.status).toBe(503);
    expect((await problemOf(response)).code).toBe('checkpoint_missing');
  });
});

it('GET / tells of the routes', async () => {
  const text = await (await askWith({}, '/')).text();
  expect(text).toContain('/admin/:sink/dead-letters');
});
