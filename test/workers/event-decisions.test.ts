/** Decisions and handlers on the SQLite storage of a real Durable Object. */

import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { expect, test } from 'vitest';
import { courseDefined, subscribeStudent } from '../../examples/decisions/courses.ts';
import { encodeBenchShardName } from '../../lab/workers/bench-shard-name.ts';
import { SqliteEventEngine } from '../../src/events/engines/sqlite-engine.ts';
import { SqliteHandlerDatabase } from '../../src/events/engines/sqlite-handler-database.ts';
import { EventStore } from '../../src/events/event-store.ts';
import { runHandler } from '../../src/events/handler.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import './environment.ts';

/** Runs a step inside of a Durable Object with an empty storage. */
function inObject(step: (sqlite: DurableObjectSqlite) => Promise<void>): Promise<void> {
  const bench = `decisions-${crypto.randomUUID().slice(0, 8)}`;
  const stub = env.BENCH_SHARD.getByName(encodeBenchShardName({ bench, spec: null, driver: null, shard: 0 }));
  return runInDurableObject(stub, (_, state) => step(new DurableObjectSqlite(state.storage)));
}

test('many deciders on one course never overfill it', () =>
  inObject(async (sqlite) => {
    const store = new EventStore(new SqliteEventEngine(sqlite));
    await store.append(courseDefined('c1', 3));
    const ends = await Promise.allSettled(
      Array.from({ length: 12 }, (_, index) => subscribeStudent(store, `s${index}`, 'c1', { retries: 100 })),
    );
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
    expect(await store.read([{ types: ['StudentSubscribedToCourse'] }])).toHaveLength(3);
  }));

test('a handler that throws leaves neither effect nor bookmark, and goes on from there', () =>
  inObject(async (sqlite) => {
    const store = new EventStore(new SqliteEventEngine(sqlite));
    await store.append([{ type: 'A' }, { type: 'A' }, { type: 'A' }]);
    sqlite.run('create table effects (position integer not null)');
    const effects = () => sqlite.rows('select position from effects order by position').flat();
    const database = new SqliteHandlerDatabase(sqlite);
    let isFailing = true;
    const handling = () =>
      runHandler({
        store,
        database,
        name: 'effects',
        query: 'all',
        handle({ position }, transaction) {
          transaction.run('insert into effects values (?)', Number(position));
          if (isFailing && position === 2n) throw new Error('not now');
        },
        stopsAtEnd: true,
        maxFailures: 1,
      });
    await expect(handling()).rejects.toThrow('not now');
    expect(effects()).toEqual([]);
    expect(await database.bookmark('effects')).toBe(0n);
    isFailing = false;
    expect(await handling()).toEqual({ position: 3n, events: 3 });
    expect(effects()).toEqual([1, 2, 3]);
  }));
