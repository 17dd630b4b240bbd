/** A Worker made by `createSluice`, with the bindings of this repository's own. */

import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { pgTable, text } from 'drizzle-orm/pg-core';
import { Hono } from 'hono';
import { describe, expect, it, vi } from 'vitest';
import type { LabEnv } from '../../lab/workers/env.ts';
import { lab } from '../../lab/workers/lab.ts';
import { createSluice } from '../../workers/create-sluice.ts';
import worker from '../../workers/index.ts';
import { formerDirectory } from '../../workers/shard-directory.ts';
import { stores } from '../../workers/stores.ts';
import { Client, upgradeRequest } from './support.ts';

const readings = pgTable('readings', { device: text().notNull() });
const context = {} as ExecutionContext;

const ask = (
  sluice: { fetch(request: Request, env: unknown, context: ExecutionContext): Response | Promise<Response> },
  path: string,
  overrides: Partial<LabEnv> = {},
): Promise<Response> =>
  Promise.resolve(sluice.fetch(new Request(`http://sluice${path}`), { ...env, ...overrides }, context));

describe('createSluice', () => {
  it('refuses what is wrong about a sink as soon as the Worker starts, and names it', () => {
    expect(() => createSluice({ sinks: { 'two words': { table: readings } } })).toThrow(/"two words"/);
    expect(() =>
      createSluice({ sinks: { readings: { table: readings, options: { batchRows: 0 } } } }),
    ).toThrow(/readings\.batchRows/);
    expect(() => createSluice({ sinks: { accounts: { namespace: '' } } })).toThrow(/namespace/);
    expect(() => createSluice({ sinks: { readings: { table: readings } } })).not.toThrow();
  });

  it('lets the variable SINKS override the options of the code', async () => {
    const sluice = createSluice({
      sinks: { readings: { table: readings, options: { lingerMs: 70, batchRows: 7 } } },
    });
    const optionsWith = async (SINKS: string): Promise<unknown> => {
      const response = await ask(sluice, '/stats', { SINKS });
      const { sinks } = (await response.json()) as { sinks: Record<string, { options: object }> };
      return sinks.readings?.options;
    };
    expect(await optionsWith('')).toMatchObject({ lingerMs: 70, batchRows: 7 });
    expect(await optionsWith('{"readings":{"lingerMs":5}}')).toMatchObject({ lingerMs: 5, batchRows: 7 });
    expect(await optionsWith('')).toMatchObject({ lingerMs: 70 });
  });

  it('has the routes of a part only where it is given', async () => {
    const small = createSluice({ sinks: { readings: { table: readings } } });
    const large = createSluice({ sinks: { readings: { table: readings } }, stores });
    expect((await ask(small, '/read')).status).toBe(404);
    expect((await ask(large, '/read')).status).toBe(401);
    expect('Namespace' in small).toBe(false);
    expect('Namespace' in large).toBe(true);
    expect(await (await ask(small, '/')).text()).not.toContain('/rpc');
    expect(await (await ask(large, '/')).text()).toContain('/rpc');
  });

  it('says which binding is missing', async () => {
    const sluice = createSluice({ sinks: { readings: { table: readings } } });
    const response = await Promise.resolve(
      sluice.fetch(
        new Request('http://sluice/stats'),
        { DATABASE_URL: env.DATABASE_URL, OPERATORS: 'open' },
        context,
      ),
    );
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({
      code: 'invalid_configuration',
      detail: expect.stringContaining('no binding SHARD'),
    });
  });

  it('says in the log which binding of the stores is missing, and answers what does not need it', async () => {
    const sluice = createSluice({ sinks: { readings: { table: readings } }, stores });
    const { NAMESPACE: _, REGISTRY: __, ...rest } = { ...env, OPEN_NAMESPACE: 'unbound', OPERATORS: 'open' };
    const answer = (path: string, init?: RequestInit): Promise<Response> =>
      Promise.resolve(sluice.fetch(new Request(`http://sluice${path}`, init), rest, context));
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    expect(await (await answer('/read?query=all')).json()).toMatchObject({ code: 'invalid_configuration' });
    expect(String(log.mock.lastCall)).toContain('no binding NAMESPACE');
    const headers = { 'content-type': 'application/json' };
    await answer('/rpc', { method: 'POST', headers, body: '["ns.list"]' });
    expect(String(log.mock.lastCall)).toContain('no binding REGISTRY');
    log.mockRestore();
    expect((await answer('/health')).status).toBe(200);
  });

  it('says which binding of the bench is missing', async () => {
    const sluice = createSluice({ sinks: { readings: { table: readings } }, lab });
    const { BENCH_OBJECT: _, BENCH_SHARD: __, ...rest } = env;
    const answer = (path: string, init?: RequestInit): Promise<Response> =>
      Promise.resolve(sluice.fetch(new Request(`http://sluice${path}`, init), rest, context));
    expect(await (await answer('/bench/suites')).json()).toMatchObject({
      code: 'invalid_configuration',
      detail: expect.stringContaining('no binding BENCH_OBJECT: bind the Durable Object class BenchObject'),
    });
    const target = { run: 'unbound', shards: 1, spec: null, driver: 'auto' };
    const socket = `/bench/ws?producer=a&target=${encodeURIComponent(JSON.stringify(target))}`;
    expect(await (await answer(socket)).text()).toContain('no binding BENCH_SHARD');
  });

  describe('mounted below a path of another application', () => {
    const app = new Hono().route('/ingest/sluice', worker.router);
    const request = (path: string, init?: RequestInit): Promise<Response> =>
      Promise.resolve(app.fetch(new Request(`http://app${path}`, init), env, context));

    it('answers there, and nowhere else', async () => {
      expect((await request('/ingest/sluice/health')).status).toBe(200);
      expect((await request('/health')).status).toBe(404);
    });

    it('leaves the paths of an application at whose root it is mounted alone, below /admin too', async () => {
      const own = new Hono().route('/', worker.router);
      const paths = [
        '/admin/users',
        '/admin/users/7',
        '/admin/a/b/c',
        '/admin/messages/0/dead-letters/7/print',
      ];
      for (const path of paths) own.all(path, (context) => context.text('own'));
      own.post('/admin/messages/0/dead-letters', (context) => context.text('own'));
      const answer = (path: string, method = 'GET', overrides: Partial<LabEnv> = {}): Promise<Response> =>
        Promise.resolve(
          own.fetch(
            new Request(`http://app${path}`, { method }),
            { ...env, OPERATORS: 'closed', ...overrides },
            context,
          ),
        );
      for (const path of paths) {
        expect(await (await answer(path)).text()).toBe('own');
        expect((await answer(path)).headers.get('cache-control')).toBeNull();
      }
      expect(await (await answer('/admin/messages/0/dead-letters', 'POST')).text()).toBe('own');
      // Nor do they need what only Sluice needs.
      const { SHARD: _, ...rest } = { ...env, OPERATORS: 'closed' };
      const unbound = await own.fetch(new Request('http://app/admin/users'), rest, context);
      expect(await unbound.text()).toBe('own');
      // The control: Sluice's own are closed.
      expect((await answer('/admin/messages/dead-letters')).status).toBe(403);
      expect((await answer('/admin/messages/0/dead-letters')).status).toBe(403);
      expect((await answer('/admin/messages/0/drain', 'POST')).status).toBe(403);
    });

    it('takes sockets', async () => {
      const upgrade = upgradeRequest('/ingest/sluice/ws/messages?producer=mounted');
      const response = await app.fetch(upgrade, env, context);
      expect(response.status).toBe(101);
      await new Client(response).close();
    });

    it('passes requests on to the objects of the stores and of the bench, by their own paths', async () => {
      const open = { ...env, OPEN_NAMESPACE: 'mounted' };
      const answer = await app.fetch(new Request('http://app/ingest/sluice/read?query=all'), open, context);
      expect(answer.status).toBe(200);
      expect((await request('/ingest/sluice/bench/suites')).status).toBe(200);
      expect((await request('/ingest/sluice/bench/nothing')).status).toBe(404);
    });

    it('answers errors of each store in its own form, whatever the path above', async () => {
      for (const [app, base] of [
        [worker, ''],
        [new Hono().route('/ingest/sluice', worker.router), '/ingest/sluice'],
      ] as const) {
        const events = await app.fetch(new Request(`http://app${base}/read?query=all`), env, context);
        expect(events.headers.get('content-type')).toBe('application/problem+json');
        const messages = await app.fetch(new Request(`http://app${base}/export`), env, context);
        expect(messages.headers.get('content-type')).toBe('application/json');
        const large = new Request(`http://app${base}/append`, {
          method: 'POST',
          headers: { 'content-length': '999999999', 'content-type': 'application/json' },
          body: '{}',
        });
        const refused = await app.fetch(large, env, context);
        expect(refused.headers.get('content-type')).toBe('application/problem+json');
      }
    });

    it('answers errors as problems', async () => {
      const response = await request('/ingest/sluice/ws/nothing');
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(response.status).toBe(404);
    });
  });
});

describe('the directory of shards', () => {
  it('takes over, once, what the registry kept until version 0.3', async () => {
    const former = env.REGISTRY.getByName('shards');
    await runInDurableObject(former, (_, { storage }) => {
      storage.sql.exec(
        'create table if not exists shards (sink text not null, shard integer not null, primary key (sink, shard)) strict, without rowid',
      );
      storage.sql.exec(
        'create table if not exists shard_counts (sink text not null, shards integer not null, noted_at_ms integer not null, primary key (sink, shards)) strict, without rowid',
      );
      storage.sql.exec("insert into shards values ('left', 5)");
      storage.sql.exec("insert into shard_counts values ('left', 8, 100), ('left', 3, 200)");
    });
    expect(await formerDirectory(env)?.exportShards()).toMatchObject({
      places: [{ sink: 'left', shard: 5 }],
    });
    const directory = env.SHARD.getByName('directory');
    await runInDurableObject(directory, (_, { storage }) => storage.kv.delete('former-directory'));
    await runInDurableObject(directory, (_, state) => state.abort('read again')).catch(() => {});
    const again = env.SHARD.getByName('directory');
    expect(await again.listShards('left')).toEqual([{ sink: 'left', shard: 5 }]);
    expect(await again.noteShards('left', 4)).toEqual([4, 3, 8]);
    await again.removeShard({ sink: 'left', shard: 5 });
    expect(await again.listShards('left')).toEqual([]);
  });

  it('takes the former list over once, though two ask at the same time', async () => {
    const directory = env.SHARD.getByName('directory');
    await directory.listShards();
    await runInDurableObject(env.REGISTRY.getByName('shards'), (_, { storage }) => {
      storage.sql.exec("insert into shards values ('gone', 6)");
    });
    await runInDurableObject(directory, (_, { storage }) => storage.kv.delete('former-directory'));
    await runInDurableObject(directory, (_, state) => state.abort('read again')).catch(() => {});
    const again = env.SHARD.getByName('directory');
    const [, ...lists] = await Promise.all([
      again.removeShard({ sink: 'gone', shard: 6 }),
      again.listShards('nothing'),
      again.listShards('nothing'),
    ]);
    expect(lists).toEqual([[], []]);
    expect(await again.listShards('gone')).toEqual([]);
  });

  it('is no shard: a socket to it is refused', async () => {
    const response = await exports.default.fetch(upgradeRequest('/ws/directory?producer=nobody'));
    expect((await new Client(response).closed).code).toBe(1008);
  });
});

describe('an object of this class that is no shard', () => {
  it('does nothing, not even where an alarm of an older version wakes it', async () => {
    const left = env.SHARD.getByName('{"bench":"old","spec":null,"driver":null,"shard":3}');
    await runInDurableObject(left, (_, { storage }) => storage.setAlarm(Date.now() + 60_000));
    expect(await runDurableObjectAlarm(left)).toBe(true);
    expect(await runInDurableObject(left, (_, { storage }) => storage.getAlarm())).toBeNull();
    expect(await left.stats()).toMatchObject({ buffered: 0, deadLetters: 0 });
  });
});
