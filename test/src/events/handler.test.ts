import { beforeEach, describe, expect, test } from 'vitest';
import type { Sqlite } from '../../../src/database/sqlite.ts';
import { SqliteEventEngine } from '../../../src/events/engines/sqlite-engine.ts';
import {
  type SqliteEffect,
  SqliteHandlerDatabase,
} from '../../../src/events/engines/sqlite-handler-database.ts';
import { EventStore } from '../../../src/events/event-store.ts';
import { type HandlerFailure, type HandlerOptions, runHandler } from '../../../src/events/handler.ts';
import type { EventShape } from '../../../src/events/projection.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

type Options = HandlerOptions<EventShape, Sqlite, SqliteEffect>;

let engine: SqliteEventEngine;
let timers: FakeTimers;
let store: EventStore;
let sqlite: NodeSqlite;
let database: SqliteHandlerDatabase;
let failures: (HandlerFailure & { error: unknown })[];
let stop: AbortController;

beforeEach(() => {
  engine = new SqliteEventEngine(new NodeSqlite());
  timers = new FakeTimers();
  store = new EventStore(engine, { timers });
  sqlite = new NodeSqlite();
  sqlite.run('create table effects (position integer not null)');
  database = new SqliteHandlerDatabase(sqlite);
  failures = [];
  stop = new AbortController();
});

const effects = (): number[] =>
  sqlite.rows<[number]>('select position from effects order by rowid').map(([position]) => position);

async function append(count: number, type = 'A'): Promise<void> {
  await store.append(Array.from({ length: count }, () => ({ type })));
}

const note: Options['handle'] = ({ position }, transaction) => {
  transaction.run('insert into effects values (?)', Number(position));
};

function options(changes: Partial<Options> = {}): Options {
  return {
    store,
    database,
    name: 'notes',
    query: [{ types: ['A'] }],
    handle: note,
    signal: stop.signal,
    timers,
    onFailure: (error, failure) => failures.push({ error, ...failure }),
    ...changes,
  };
}

async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000 && !isSo(); turn += 1) await settled();
  expect(isSo()).toBe(true);
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

describe('a handler', () => {
  test('handles the events of its query in their order, up to the end', async () => {
    await append(2);
    await append(1, 'B');
    await append(2);
    expect(await runHandler(options({ stopsAtEnd: true }))).toEqual({ position: 5n, events: 4 });
    expect(effects()).toEqual([1, 2, 4, 5]);
    expect(await database.bookmark('notes')).toBe(5n);
  });

  test('goes on from its bookmark, each name from its own', async () => {
    await append(2);
    await runHandler(options({ stopsAtEnd: true }));
    expect(await runHandler(options({ stopsAtEnd: true }))).toEqual({ position: 2n, events: 0 });
    await append(2);
    expect(await runHandler(options({ stopsAtEnd: true }))).toEqual({ position: 4n, events: 2 });
    expect(effects()).toEqual([1, 2, 3, 4]);
    expect(await runHandler(options({ name: 'others', stopsAtEnd: true }))).toEqual({
      position: 4n,
      events: 4,
    });
  });

  test('waits for what comes, with no timer but that of the poll, and ends when it is told to', async () => {
    await append(2);
    const running = runHandler(options());
    await until(() => effects().length === 2);
    await append(1);
    await append(1, 'B');
    await append(40);
    await until(() => effects().length === 43);
    expect(timers.pending).toBe(1);
    stop.abort();
    expect(await running).toEqual({ position: 44n, events: 43 });
    expect(effects()).toEqual([1, 2, 3, ...upTo(44).slice(4)]);
    expect(timers.pending).toBe(0);
  });

  test('finds what others have appended by looking for it', async () => {
    const running = runHandler(options({ pollMs: 500 }));
    await until(() => timers.pending === 1);
    await new EventStore(engine).append({ type: 'A' });
    timers.advance(499);
    for (let turn = 0; turn < 20; turn += 1) await settled();
    expect(effects()).toEqual([]);
    timers.advance(1);
    await until(() => effects().length === 1);
    stop.abort();
    await running;
  });

  test('works in batches, each of them one transaction', async () => {
    await append(250);
    let transactions = 0;
    const counting = Object.create(sqlite, {
      transaction: {
        value: <Result>(step: () => Result): Result => {
          transactions += 1;
          return sqlite.transaction(step);
        },
      },
    }) as NodeSqlite;
    await runHandler(
      options({ database: new SqliteHandlerDatabase(bound(counting)), stopsAtEnd: true, batchEvents: 100 }),
    );
    expect(effects()).toEqual(upTo(250));
    expect(transactions).toBe(3);
  });

  test('that was told to end before it began does nothing', async () => {
    await append(1);
    stop.abort();
    expect(await runHandler(options())).toEqual({ position: 0n, events: 0 });
    expect(effects()).toEqual([]);
  });

  test('that is told to end while it handles an event commits what it has begun', async () => {
    await append(3);
    const end = await runHandler(
      options({
        batchEvents: 1,
        handle: (event, transaction) => {
          note(event, transaction);
          if (event.position === 2n) stop.abort();
        },
      }),
    );
    expect(end).toEqual({ position: 2n, events: 2 });
    expect(effects()).toEqual([1, 2]);
    expect(await database.bookmark('notes')).toBe(2n);
  });

  test('goes on from where somebody has set its bookmark', async () => {
    await append(3);
    await runHandler(options({ stopsAtEnd: true }));
    const running = runHandler(options());
    await until(() => timers.pending === 1);
    sqlite.run("update sluice_bookmarks set position = 1 where handler = 'notes'");
    await append(1);
    await until(() => effects().length === 6);
    expect(effects()).toEqual([1, 2, 3, 2, 3, 4]);
    stop.abort();
    await running;
  });
});

describe('a crash', () => {
  test('between an effect and the bookmark leaves neither', async () => {
    await append(3);
    let isCrashing = true;
    const crashing = Object.create(sqlite, {
      run: {
        value: (statement: string, ...bindings: never[]) => {
          if (isCrashing && statement.startsWith('insert into "sluice_bookmarks"'))
            throw new Error('the process is gone');
          return sqlite.run(statement, ...bindings);
        },
      },
    }) as NodeSqlite;
    const crash = options({
      database: new SqliteHandlerDatabase(bound(crashing)),
      stopsAtEnd: true,
      maxFailures: 1,
    });
    await expect(runHandler(crash)).rejects.toThrow('the process is gone');
    expect({ effects: effects(), bookmark: await database.bookmark('notes') }).toEqual({
      effects: [],
      bookmark: 0n,
    });
    // The control: without a transaction around both, the effects would be there.
    isCrashing = false;
    await runHandler(crash);
    expect({ effects: effects(), bookmark: await database.bookmark('notes') }).toEqual({
      effects: [1, 2, 3],
      bookmark: 3n,
    });
  });

  test('after the commit, before anybody knew, makes nothing happen twice', async () => {
    await append(3);
    let losses = 1;
    const losing = {
      bookmark: (name: string) => database.bookmark(name),
      async move(...call: Parameters<SqliteHandlerDatabase['move']>) {
        const move = await database.move(...call);
        losses -= 1;
        if (losses >= 0) throw new Error('the answer got lost');
        return move;
      },
    } as SqliteHandlerDatabase;
    const running = runHandler(options({ database: losing, stopsAtEnd: true, batchEvents: 2 }));
    await until(() => failures.length === 1);
    timers.advance(100);
    await running;
    expect(effects()).toEqual([1, 2, 3]);
  });
});

describe('two runners of one handler', () => {
  test('handle each event once between them', async () => {
    await append(100);
    const runners = [1, 2, 3].map(() => runHandler(options({ batchEvents: 7 })));
    await until(() => effects().length === 100);
    for (let round = 0; round < 50; round += 1) {
      await append(3);
      await settled();
    }
    await until(() => effects().length === 250);
    stop.abort();
    const ends = await Promise.all(runners);
    expect(effects()).toEqual(upTo(250));
    expect(ends.reduce((sum, { events }) => sum + events, 0)).toBe(250);
    expect(failures).toEqual([]);
  });

  test('would handle them twice without the look at the bookmark', async () => {
    await append(10);
    const careless = {
      bookmark: (name: string) => database.bookmark(name),
      async move(name: string, _from: bigint, ...rest: [never, never]) {
        const [row] = sqlite.rows<[number]>('select position from sluice_bookmarks');
        return database.move(name, BigInt(row?.[0] ?? 0), ...rest);
      },
    } as SqliteHandlerDatabase;
    await Promise.all([1, 2].map(() => runHandler(options({ database: careless, stopsAtEnd: true }))));
    expect(effects().length).toBeGreaterThan(10);
  });
});

describe('an event whose handler throws', () => {
  const failingAt =
    (position: bigint, times: number): Options['handle'] =>
    (event, transaction) => {
      note(event, transaction);
      if (event.position !== position || times <= 0) return;
      times -= 1;
      throw new Error('not now');
    };

  test('is tried again after pauses that double up to a bound; what is before it is committed, what is behind it waits', async () => {
    await append(5);
    const running = runHandler(
      options({ handle: failingAt(3n, 6), retryMs: 100, maxRetryMs: 1_000, stopsAtEnd: true }),
    );
    for (let failed = 1; failed <= 6; failed += 1) {
      await until(() => failures.length === failed);
      expect(effects()).toEqual(failed === 1 ? [] : [1, 2]);
      const { delayMs } = failures.at(-1) as HandlerFailure;
      timers.advance(delayMs - 1);
      for (let turn = 0; turn < 10; turn += 1) await settled();
      expect(failures).toHaveLength(failed);
      timers.advance(1);
    }
    expect(await running).toEqual({ position: 5n, events: 5 });
    expect(failures.map(({ delayMs }) => delayMs)).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    expect(failures.map(({ position, failures: count }) => [position, count])).toEqual(
      upTo(6).map((count) => [3n, count]),
    );
    expect(effects()).toEqual([1, 2, 3, 4, 5]);
  });

  test('is given up after as many failures as are allowed, and is the first when the handler begins again', async () => {
    await append(5);
    const giving = options({ handle: failingAt(4n, 3), maxFailures: 3, stopsAtEnd: true });
    const running = runHandler(giving);
    running.catch(() => {});
    for (let failed = 1; failed <= 2; failed += 1) {
      await until(() => failures.length === failed);
      timers.advance(failures.at(-1)?.delayMs ?? 0);
    }
    await expect(running).rejects.toThrow('not now');
    expect(effects()).toEqual([1, 2, 3]);
    expect(timers.pending).toBe(0);
    expect(await runHandler(giving)).toEqual({ position: 5n, events: 2 });
    expect(effects()).toEqual([1, 2, 3, 4, 5]);
  });

  test('does not keep the handler from ending', async () => {
    await append(1);
    const running = runHandler(options({ handle: failingAt(1n, 100) }));
    await until(() => failures.length === 1);
    expect(timers.pending).toBe(1);
    stop.abort();
    expect(await running).toEqual({ position: 0n, events: 0 });
    expect(timers.pending).toBe(0);
  });

  test('counts again once it is handled', async () => {
    await append(3);
    let times = 1;
    const running = runHandler(
      options({
        stopsAtEnd: true,
        handle(event, transaction) {
          times -= 1;
          if (times === 0 || times === -2) throw new Error('not now');
          note(event, transaction);
        },
      }),
    );
    for (let failed = 1; failed <= 2; failed += 1) {
      await until(() => failures.length === failed);
      timers.advance(failures.at(-1)?.delayMs ?? 0);
    }
    await running;
    expect(failures.map(({ failures: count }) => count)).toEqual([1, 1]);
    expect(effects()).toEqual([1, 2, 3]);
  });

  test('may throw what the store throws, and is tried again all the same', async () => {
    await append(1);
    const closed = new EventStore(engine);
    await closed.close();
    const failure: unknown = await closed.head().catch((error: unknown) => error);
    let times = 2;
    const running = runHandler(
      options({
        stopsAtEnd: true,
        handle(event, transaction) {
          times -= 1;
          if (times > 0) throw failure;
          note(event, transaction);
        },
      }),
    );
    await until(() => failures.length === 1);
    timers.advance(100);
    await running;
    expect(effects()).toEqual([1]);
  });

  test('that is asynchronous on SQLite is refused, and what it did first is undone', async () => {
    await append(1);
    const asynchronous = (async (event: never, transaction: never) => {
      note(event, transaction);
      await settled();
      throw new Error('nobody waits for this');
    }) as never;
    await expect(runHandler(options({ handle: asynchronous, maxFailures: 1 }))).rejects.toMatchObject({
      code: 'invalid_options',
      details: { option: 'handle' },
    });
    expect(effects()).toEqual([]);
    for (let turn = 0; turn < 5; turn += 1) await settled();
  });
});

describe('a failure of the database or the store', () => {
  test('is tried again, and told without an event', async () => {
    await append(2);
    let losses = 2;
    const failing = {
      async bookmark(name: string) {
        losses -= 1;
        if (losses >= 0) throw new Error('no connection');
        return database.bookmark(name);
      },
      move: database.move.bind(database),
    } as SqliteHandlerDatabase;
    const running = runHandler(options({ database: failing, stopsAtEnd: true }));
    await until(() => failures.length === 1);
    timers.advance(100);
    await until(() => failures.length === 2);
    timers.advance(200);
    await running;
    expect(failures.map(({ position, failures: count }) => [position, count])).toEqual([
      [undefined, 1],
      [undefined, 2],
    ]);
    expect(effects()).toEqual([1, 2]);
  });

  test('ends the handler where the store is closed', async () => {
    const running = runHandler(options());
    await until(() => timers.pending === 1);
    await store.close();
    await expect(running).rejects.toMatchObject({ code: 'store_closed' });
  });

  test('ends the handler where the store is cleared, and keeps it from beginning with a bookmark behind the end', async () => {
    await append(3);
    const running = runHandler(options());
    await until(() => effects().length === 3);
    await store.clear();
    await expect(running).rejects.toMatchObject({ code: 'store_closed' });
    await append(2);
    await expect(runHandler(options())).rejects.toMatchObject({
      code: 'checkpoint_ahead',
      details: { position: '3', head: '2' },
    });
    sqlite.run('delete from sluice_bookmarks');
    expect(await runHandler(options({ stopsAtEnd: true }))).toEqual({ position: 2n, events: 2 });
  });
});

describe('options of a handler', () => {
  test.each([
    ['name', ''],
    ['name', 'a\0b'],
    ['batchEvents', 0],
    ['batchEvents', 10_001],
    ['batchEvents', 1.5],
    ['retryMs', 0],
    ['maxRetryMs', 99],
    ['maxRetryMs', 2 ** 31],
    ['maxFailures', 0],
    ['pollMs', 0],
  ])('%s cannot be %s', async (option, value) => {
    await expect(runHandler(options({ retryMs: 100, [option]: value }))).rejects.toMatchObject({
      code: 'invalid_options',
      details: { option },
    });
  });

  test('a query that is none ends it at once', async () => {
    await expect(runHandler(options({ query: [] }))).rejects.toMatchObject({ code: 'invalid_query' });
  });
});

/** Methods of a class with private fields work on the object itself, not on what inherits from it. */
function bound(changed: NodeSqlite): Sqlite {
  const own = Object.getOwnPropertyDescriptors(changed);
  return new Proxy(sqlite, {
    get(target, name) {
      if (name in own) return (own[name as string] as PropertyDescriptor).value;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
