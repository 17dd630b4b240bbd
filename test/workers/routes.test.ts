import { env, exports } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { shardOf } from '../../src/protocol/producer.ts';
import {
  abortShard,
  askWith,
  Client,
  drain,
  messagesOf,
  moveDatabase,
  openSocket,
  until,
  upgradeRequest,
  useDatabase,
} from './support.ts';

const query = useDatabase();

/** An answer that is a problem (RFC 9457), or a failed test. */
async function problemOf(response: Response): Promise<Record<string, unknown> & { detail: string }> {
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  const problem = (await response.json()) as Record<string, unknown> & { detail: string };
  expect(problem).toMatchObject({ type: 'about:blank', status: response.status });
  expect(problem.title).toEqual(expect.any(String));
  return problem;
}

/** How a socket ends that is closed at once. */
async function endOf(response: Response): Promise<{ protocol: string; code: number; reason: string }> {
  expect(response.status).toBe(101);
  const { code, reason } = await new Client(response).closed;
  return { protocol: response.headers.get('sec-websocket-protocol') ?? '', code, reason };
}

const ask = (path: string): Promise<Response> => exports.default.fetch(`http://sluice${path}`);

describe('GET /ws/:sink', () => {
  it('opens a socket where all is well: the control of the refusals below', async () => {
    const response = await exports.default.fetch(upgradeRequest('/ws/messages?producer=route-control'));
    expect(response.status).toBe(101);
    await new Client(response).close();
  });

  it('answers an unknown sink without an upgrade with 404 and the sinks there are', async () => {
    const response = await exports.default.fetch('http://sluice/ws/mesages');
    expect(response.status).toBe(404);
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ code: 'unknown_sink', sinks: ['messages'] });
    expect(problem.detail).toContain('messages');
  });

  // A browser shows neither status nor body of an upgrade that is refused.
  it.each([
    ['sluice.v1', '/ws/mesages', 4404],
    ['sluice.raw', '/ws/mesages', 1008],
    [undefined, '/ws/mesages', 1008],
    ['sluice.v1', '/ws/constructor', 4404],
  ])('says over a socket of %s that %s is no sink: %i', async (protocol, path, code) => {
    const end = await endOf(await exports.default.fetch(upgradeRequest(path, protocol)));
    expect(end).toEqual({
      protocol: protocol ?? '',
      code,
      reason: expect.stringMatching(/^unknown_sink: There is no sink/),
    });
    expect(end.reason).toContain('there are messages');
  });

  it.each([
    ['no Upgrade header', {}],
    ['an upgrade to something else', { Upgrade: 'h2c' }],
  ])('answers 426 and names the upgrade that it takes: %s', async (_, headers) => {
    const response = await exports.default.fetch('http://sluice/ws/messages?producer=route-426', { headers });
    expect(response.status).toBe(426);
    expect(response.headers.get('upgrade')).toBe('websocket');
    const problem = await problemOf(response);
    expect(problem.code).toBe('upgrade_required');
    expect(problem.detail).toContain('Upgrade: websocket');
  });

  it('takes no notice of parameters that libraries and campaigns add', async () => {
    const client = await openSocket('/ws/messages?_pk=7&utm_source=x&producer=route-foreign&__proto__=x');
    expect(client.producer).toBe('route-foreign');
    await client.close();
  });

  it.each([
    ['a space', 'a%20b'],
    ['nothing', ''],
    ['a newline', 'a%0Ab'],
    ['a letter outside ASCII', '%C3%A9'],
    ['129 characters', 'a'.repeat(129)],
    ['two names', 'a&producer=a'],
  ])('says over the socket what is wrong with a producer of %s', async (_, producer) => {
    for (const [protocol, code] of [
      ['sluice.v1', 4400],
      [undefined, 1008],
    ] as const) {
      const request = upgradeRequest(`/ws/messages?producer=${producer}`, protocol);
      const end = await endOf(await exports.default.fetch(request));
      expect(end).toMatchObject({ code, reason: expect.stringMatching(/^invalid_options: /) });
    }
    const response = await exports.default.fetch(`http://sluice/ws/messages?producer=${producer}`);
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ code: 'invalid_options', option: 'producer' });
  });

  it.each([
    ['sluice.v1', 'sluice.v1'],
    ['sluice.raw', 'sluice.raw'],
    ['sluice.token.c2VjcmV0, sluice.v1', 'sluice.v1'],
    ['sluice.raw, chat, sluice.token.c2VjcmV0', 'sluice.raw'],
    ['sluice.raw, sluice.v1', 'sluice.v1'],
  ])('agrees to one of the subprotocols %s: %s', async (offered, agreed) => {
    const response = await exports.default.fetch(upgradeRequest('/ws/messages', offered));
    expect(response.status).toBe(101);
    expect(response.headers.get('sec-websocket-protocol')).toBe(agreed);
    await new Client(response).close();
  });

  it.each(['sluice.v2', 'sluice.token.c2VjcmV0', 'chat'])(
    'refuses an upgrade that offers %s alone, and names no token',
    async (offered) => {
      const response = await exports.default.fetch(upgradeRequest('/ws/messages', offered));
      expect(response.status).toBe(400);
      const problem = await problemOf(response);
      expect(problem.code).toBe('unsupported_subprotocol');
      expect(JSON.stringify(problem)).not.toContain('c2VjcmV0');
    },
  );

  it.each([['a'.repeat(128)], ['AZaz09._:@-']])('takes the producer %s', async (producer) => {
    const client = await openSocket(`/ws/messages?producer=${producer}`);
    expect(client.producer).toBe(producer);
    await client.close();
  });

  it('answers 500 and says what is wrong where the variable SINKS is', async () => {
    const wrong: [Partial<typeof env>, string][] = [
      [{ SINKS: 'lingerMs=5' }, 'JSON object'],
      [{ SINKS: { mesages: {} } }, 'mesages'],
      [{ SINKS: { messages: { lingerMs: -1 } } }, 'from 0 to 60000'],
      [{ SINKS: { messages: { linger: 1 } } }, 'Unknown option messages.linger'],
      [{ SINKS: { messages: { namespace: 'bank' } } }, 'Unknown option messages.namespace'],
      [{ SINKS: { messages: 5 as never } }, 'table of options'],
      [{ SINKS: { 'a/b': { namespace: 'bank' } } }, '"a/b"'],
    ];
    for (const [overrides, text] of wrong) {
      const response = await askWith(overrides, '/ws/messages?producer=route-sinks');
      expect(response.status).toBe(500);
      const problem = await problemOf(response);
      expect(problem.code).toBe('invalid_configuration');
      expect(problem.detail).toContain(text);
    }
    const right = await askWith(
      { SINKS: '{"messages":{"lingerMs":1}}' },
      upgradeRequest('/ws/messages?producer=route-sinks'),
    );
    expect(right.status).toBe(101);
    await new Client(right).close();
  });

  it('finds the sinks of streams that SINKS defines, and answers 500 where that is wrong', async () => {
    const SINKS = { accounts: { namespace: 'bank', batchRows: 10 } };
    // Let through to a shard, which has the variables of the deployment: there is no such sink there.
    const right = new Client(await askWith({ SINKS }, upgradeRequest('/ws/accounts')));
    expect(await right.closed).toMatchObject({
      code: 1013,
      reason: expect.stringContaining('is not defined'),
    });
    const unknown = await askWith({ SINKS }, '/ws/account');
    expect((await problemOf(unknown)).detail).toContain('there are messages, accounts');
    const wrong: [Record<string, unknown>, string][] = [
      [{ namespace: 'a b' }, 'Not the name of a namespace'],
      [{ namespace: 5 }, 'Not the name of a namespace'],
      [{ namespace: 'bank', writer: 'copy' }, 'accounts.writer'],
      [{ namespace: 'bank', durability: 'memory' }, 'accounts.durability'],
    ];
    for (const [accounts, text] of wrong) {
      const end = await endOf(await askWith({ SINKS: { accounts } }, upgradeRequest('/ws/accounts')));
      expect(end).toMatchObject({ code: 1011, reason: expect.stringMatching(/^invalid_configuration: /) });
      const response = await askWith({ SINKS: { accounts } }, '/ws/accounts');
      expect(response.status).toBe(500);
      const problem = await problemOf(response);
      expect(problem.code).toBe('invalid_configuration');
      expect(problem.detail).toContain(text);
    }
  });
});

describe('an unknown path', () => {
  it.each([['/nothing'], ['/ws'], ['/ws/messages/more'], ['/health/more']])(
    'is answered with 404 and the path: %s',
    async (path) => {
      const response = await ask(path);
      expect(response.status).toBe(404);
      const problem = await problemOf(response);
      expect(problem.code).toBe('not_found');
      expect(problem.detail).toContain(path);
    },
  );

  it('differs from /, which lists what there is', async () => {
    const response = await ask('/');
    expect(response.status).toBe(200);
    const text = await response.text();
    for (const path of ['/ws/:sink', '/health', '/stats', '/bench']) expect(text).toContain(path);
  });
});

describe('GET /health', () => {
  const SECRET = 'top/secret-4711';
  const address = new URL(env.DATABASE_URL ?? '');

  /** The test's database for a role whose password is found nowhere else. */
  function addressOf(role: string, password: string): string {
    const other = new URL(address);
    other.username = role;
    other.password = encodeURIComponent(password);
    return other.href;
  }

  it('answers 200 with the address of the database, and without its password', async () => {
    await query(sql`create role sluice_health login password ${sql.raw(`'${SECRET}'`)}`);
    const response = await askWith({ DATABASE_URL: addressOf('sluice_health', SECRET) }, '/health?deep=1');
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({
      status: 'ok',
      database: {
        address: `sluice_health@${address.hostname}:${address.port}${address.pathname} (tcp)`,
        driver: 'tcp',
        latencyMs: expect.any(Number),
      },
    });
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain(encodeURIComponent(SECRET));
  });

  it('answers 503 with the reason where the database refuses the password, and repeats neither', async () => {
    const response = await askWith({ DATABASE_URL: addressOf('sluice_nobody', SECRET) }, '/health?deep=1');
    expect(response.status).toBe(503);
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ code: 'database_unreachable', sqlState: '28P01' });
    expect(problem.detail).toContain('password authentication failed');
    expect(JSON.stringify(problem)).not.toContain('secret-4711');
  });

  it('answers 503 with host, port and reason where nobody listens, and without the password', async () => {
    const response = await askWith(
      { DATABASE_URL: 'postgres://user:topsecret@127.0.0.1:1/db' },
      '/health?deep=1',
    );
    expect(response.status).toBe(503);
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ code: 'database_unreachable', title: 'Database unreachable' });
    const prefix = 'Cannot reach the database user@127.0.0.1:1/db (tcp): ';
    expect(problem.detail.slice(0, prefix.length)).toBe(prefix);
    expect(problem.detail.slice(prefix.length)).toMatch(/connect|refused/i);
    expect(JSON.stringify(problem)).not.toContain('topsecret');
  });

  it.each([
    ['no address', ''],
    ['an address of something else', 'mysql://user:topsecret@127.0.0.1/db'],
    ['a text that is no address', 'topsecret'],
  ])('says what a database address looks like where there is %s, and does not repeat it', async (_, url) => {
    const problem = await problemOf(await askWith({ DATABASE_URL: url }, '/health'));
    expect(problem.detail).toContain('postgres://user:password@host:port/database');
    expect(JSON.stringify(problem)).not.toContain('topsecret');
  });
});

describe('GET /stats', () => {
  interface Stats {
    sinks: Record<string, { options: Record<string, unknown>; shards: Record<string, number>[] }>;
  }

  async function shardsOf(shards: number): Promise<Record<string, number>[]> {
    const response = await askWith({ SINKS: { messages: { shards } } }, '/stats');
    expect(response.status).toBe(200);
    return ((await response.json()) as Stats).sinks.messages?.shards ?? [];
  }

  const sum = (shards: Record<string, number>[], figure: string): number =>
    shards.reduce((total, shard) => total + (shard[figure] as number), 0);

  it('shows the options of a sink and the figures of each of its shards', async () => {
    const response = await ask('/stats');
    expect(response.status).toBe(200);
    const { sinks } = (await response.json()) as Stats;
    expect(Object.keys(sinks)).toEqual(['messages']);
    expect(sinks.messages?.options).toMatchObject({ writer: 'copy', shards: 1, lingerMs: 100 });
    expect(sinks.messages?.shards).toEqual([
      {
        shard: 0,
        sockets: expect.any(Number),
        refusedConnections: 0,
        state: 'running',
        received: expect.any(Number),
        recovered: 0,
        duplicate: 0,
        buffered: expect.any(Number),
        bufferedBytes: expect.any(Number),
        outboxBytes: expect.any(Number),
        keptBytes: 0,
        rewritten: 0,
        spilled: 0,
        storageRowsWritten: expect.any(Number),
        totals: { received: 0, stored: 0, committed: 0, dead: 0, duplicate: 0, refused: 0 },
        troubleSince: null,
        refused: expect.any(Object),
        restrained: 0,
        memoryRefused: 0,
        isolateBufferedBytes: expect.any(Number),
        isolateLimitBytes: 64 * 1024 * 1024,
        isMemoryTight: false,
        committed: expect.any(Number),
        dead: 0,
        deadLetters: 0,
        deadLettersFull: false,
        mappingChange: null,
        maxBatchRows: null,
        flushes: expect.any(Number),
        failures: 0,
        failuresInARow: 0,
        lastError: null,
        lastErrorCode: null,
        lastErrorAt: null,
        lastErrorDetails: null,
        deadLetterTable: null,
        flushLatencyMs: expect.objectContaining({}),
        since: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      },
    ]);
  });

  it('counts every message and every socket once, over the shards of a sink', async () => {
    const producers = Array.from({ length: 6 }, (_, index) => `stats-${index}`);
    const byShard = Map.groupBy(producers, (producer) => shardOf(producer, 2));
    expect([...byShard.keys()].sort(), 'the producers reach both shards').toEqual([0, 1]);

    const before = await shardsOf(2);
    expect(before).toHaveLength(2);
    const clients = await Promise.all(
      producers.map(
        async (producer) =>
          new Client(
            await askWith(
              { SINKS: { messages: { shards: 2 } } },
              upgradeRequest(`/ws/messages?producer=${producer}`),
            ),
          ),
      ),
    );
    for (const client of clients) client.send('{"n": 1}\n{"n": 2}\nno json\n{"n": 3}');
    const after = await until(async () => {
      const shards = await shardsOf(2);
      expect(sum(shards, 'committed') - sum(before, 'committed')).toBe(18);
      return shards;
    });

    // Of each frame's four messages one is refused.
    expect(sum(after, 'received') - sum(before, 'received')).toBe(24);
    expect(sum(after, 'sockets') - sum(before, 'sockets')).toBe(6);
    after.forEach((shard, index) => {
      const here = byShard.get(index)?.length ?? 0;
      const earlier = before[index] as Record<string, number>;
      expect((shard.received as number) - (earlier.received as number)).toBe(4 * here);
      expect((shard.sockets as number) - (earlier.sockets as number)).toBe(here);
      const refused = (figures: unknown): number => (figures as { invalid_json?: number }).invalid_json ?? 0;
      expect(refused(shard.refused) - refused(earlier.refused)).toBe(here);
      expect(shard.received).toBe(
        (shard.committed as number) + (shard.buffered as number) + refused(shard.refused),
      );
      expect(shard.flushes).toBeGreaterThan(0);
      expect(shard.flushLatencyMs).toEqual({ p50: expect.any(Number), p99: expect.any(Number) });
    });
    for (const client of clients) await client.close();
    await until(async () => expect(sum(await shardsOf(2), 'sockets')).toBe(sum(before, 'sockets')));
  });

  it('shows one sink by name, and answers 404 for one that does not exist and 400 for an unknown option', async () => {
    const one = await ask('/stats?sink=messages');
    expect(one.status).toBe(200);
    expect(Object.keys(((await one.json()) as Stats).sinks)).toEqual(['messages']);

    const unknown = await ask('/stats?sink=mesages');
    expect(unknown.status).toBe(404);
    expect((await problemOf(unknown)).detail).toContain('there are messages');

    const wrong = await ask('/stats?sinks=messages');
    expect(wrong.status).toBe(400);
    expect(await problemOf(wrong)).toMatchObject({ option: 'sinks', allowed: ['sink'] });
  });

  it('names the last error with host and reason but no password, and keeps it after recovery', async () => {
    // A shard that has a connection would go on using it.
    await abortShard(env.SHARD.getByName('messages/0'));
    const stub = env.SHARD.getByName('messages/0');
    await moveDatabase(stub, 'postgres://user:topsecret@127.0.0.1:1/db');
    const client = await openSocket('/ws/messages?producer=stats-outage');
    client.send('{"n": 1}');
    const broken = await until(async () => {
      const text = await (await ask('/stats')).text();
      expect(text).toContain('Cannot reach the database');
      return text;
    });
    expect(broken).toContain('user@127.0.0.1:1/db');
    expect(broken).not.toContain('topsecret');
    const [down] = (JSON.parse(broken) as Stats).sinks.messages?.shards ?? [];
    expect(down?.failures).toBeGreaterThan(0);
    expect(down?.failuresInARow).toBeGreaterThan(0);
    expect(down?.lastErrorAt).toMatch(/^\d{4}-\d\d-\d\dT/);
    expect(down?.buffered).toBe(1);
    expect(await messagesOf(query, 'stats-outage')).toEqual([]);

    await moveDatabase(stub, env.DATABASE_URL);
    await drain(stub);
    const [up] = ((await (await ask('/stats')).json()) as Stats).sinks.messages?.shards ?? [];
    expect(up).toMatchObject({ buffered: 0, failuresInARow: 0, failures: expect.any(Number) });
    expect(up?.lastError).toContain('Cannot reach the database');
    expect((await messagesOf(query, 'stats-outage')).map(({ payload }) => payload)).toEqual(['{"n": 1}']);
    await client.close();
  });
});
