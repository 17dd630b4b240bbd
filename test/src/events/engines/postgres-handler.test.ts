/** Handlers on a real Postgres: bookmark and effect in one transaction, whatever happens to the connection, and no lock while waiting. */

import { sql } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { courseDefined, subscribeStudent } from '../../../../examples/decisions/courses.ts';
import type { Connection } from '../../../../src/database/connection.ts';
import type { ConnectionLender } from '../../../../src/database/connection-pool.ts';
import { PostgresEventEngine } from '../../../../src/events/engines/postgres-engine.ts';
import {
  type HandlerTransaction,
  PostgresHandlerDatabase,
} from '../../../../src/events/engines/postgres-handler-database.ts';
import { SqliteEventEngine } from '../../../../src/events/engines/sqlite-engine.ts';
import { EventStore } from '../../../../src/events/event-store.ts';
import { type HandlerFailure, type HandlerOptions, runHandler } from '../../../../src/events/handler.ts';
import type { EventShape } from '../../../../src/events/projection.ts';
import { freshName, rowsOf } from '../../../support/connect.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';
import { eventually } from '../../../support/patience.ts';
import { storeDatabase } from '../../store/postgres-support.ts';

type Options = HandlerOptions<EventShape, HandlerTransaction, unknown>;

const postgres = storeDatabase();
const pool = (size?: number): ConnectionLender => postgres.pool(size);

let store: EventStore;
let bookmarks: string;
let effects: string;
let database: PostgresHandlerDatabase;
let stop: AbortController;
let failures: (HandlerFailure & { error: unknown })[];

beforeEach(async () => {
  store = new EventStore(new SqliteEventEngine(new NodeSqlite()));
  bookmarks = freshName('Book "marks');
  effects = freshName('effects');
  await rowsOf(
    postgres.connection,
    `create table ${effects} (n int generated always as identity, position bigint not null)`,
  );
  database = new PostgresHandlerDatabase({ connections: pool(), table: bookmarks });
  stop = new AbortController();
  failures = [];
});

afterEach(async () => {
  stop.abort();
  await rowsOf(postgres.connection, sql`drop table if exists ${sql.identifier(bookmarks)}`);
  await rowsOf(postgres.connection, `drop table ${effects}`);
});

const effectsSoFar = async (): Promise<number[]> =>
  (await rowsOf<{ position: string }>(postgres.connection, `select position from ${effects} order by n`)).map(
    ({ position }) => Number(position),
  );

const bookmarkRow = () =>
  rowsOf<{ handler: string; position: string }>(
    postgres.connection,
    sql`select handler, position::text as position from ${sql.identifier(bookmarks)}`,
  );

const append = (count: number): Promise<unknown> =>
  store.append(Array.from({ length: count }, () => ({ type: 'A' })));

const note: Options['handle'] = ({ position }, transaction) =>
  transaction.execute(
    sql`insert into ${sql.identifier(effects)} (position) values (${String(position)}::bigint)`,
  );

function options(changes: Partial<Options> = {}): Options {
  return {
    store,
    database,
    name: "the handler's name",
    query: 'all',
    handle: note,
    signal: stop.signal,
    retryMs: 1,
    maxRetryMs: 20,
    onFailure: (error, failure) => failures.push({ error, ...failure }),
    ...changes,
  };
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

const whenEffects = (count: number): Promise<void> =>
  eventually(async () => expect(await effectsSoFar()).toHaveLength(count));

/** A lender whose connections fail as `failing` says. */
function lender(
  failing: (connection: Connection, work: () => Promise<unknown>) => Promise<unknown>,
): ConnectionLender {
  const connections = pool();
  return {
    use: <Result>(work: (connection: Connection) => PromiseLike<Result>) =>
      connections.use(
        (connection) => failing(connection, () => Promise.resolve(work(connection))) as Promise<Result>,
      ),
  };
}

describe('a handler on Postgres', () => {
  test('makes its table, handles the events, and keeps its place', async () => {
    await append(3);
    expect(await runHandler(options({ stopsAtEnd: true }))).toEqual({ position: 3n, events: 3 });
    await append(2);
    expect(await runHandler(options({ stopsAtEnd: true }))).toEqual({ position: 5n, events: 2 });
    expect(await effectsSoFar()).toEqual(upTo(5));
    expect(await bookmarkRow()).toEqual([{ handler: "the handler's name", position: '5' }]);
  });

  test('waits for events without a lock and without a transaction', async () => {
    await append(1);
    const running = runHandler(options());
    await whenEffects(1);
    const lock = () =>
      rowsOf(postgres.connection, sql`select 1 from ${sql.identifier(bookmarks)} for update nowait`);
    expect(await lock()).toHaveLength(1);
    const transactions = await rowsOf(
      postgres.connection,
      sql`select 1 from pg_stat_activity where state like 'idle in transaction%' and query like ${`%${bookmarks.slice(6)}%`}`,
    );
    expect(transactions).toEqual([]);
    stop.abort();
    await running;
    // The control: while an event is handled, nobody else has the lock.
    await append(1);
    let held: unknown;
    await runHandler(
      options({
        signal: new AbortController().signal,
        stopsAtEnd: true,
        async handle() {
          held = await lock().catch((error: unknown) => error);
        },
      }),
    );
    expect(held).toMatchObject({ cause: { code: '55P03' } });
  });

  test('that fails leaves neither effect nor bookmark, and no transaction behind', async () => {
    await append(2);
    let isFailing = true;
    const running = runHandler(
      options({
        stopsAtEnd: true,
        async handle(event, transaction) {
          await note(event, transaction);
          if (!isFailing) return;
          isFailing = false;
          expect(await effectsSoFar()).toEqual([]);
          throw new Error('not now');
        },
      }),
    );
    await running;
    expect(failures).toMatchObject([{ position: 1n, failures: 1, error: new Error('not now') }]);
    expect(await effectsSoFar()).toEqual([1, 2]);
  });

  test('that hides an error of the server does not lose the event', async () => {
    await append(2);
    let times = 1;
    await runHandler(
      options({
        stopsAtEnd: true,
        batchEvents: 1,
        async handle(event, transaction) {
          times -= 1;
          if (times === 0) await transaction.execute(sql`select 1 / 0`).catch(() => {});
          else await note(event, transaction);
        },
      }),
    );
    // The transaction could not be committed, so the bookmark has not moved over the event.
    expect(failures).toHaveLength(1);
    expect(await effectsSoFar()).toEqual([1, 2]);
  });
});

test('a table of bookmarks may be made by several at once', async () => {
  const pools = Array.from({ length: 6 }, () => pool(1));
  await Promise.all(pools.map((one) => one.use((connection) => connection.db.execute('select 1'))));
  for (let round = 0; round < 30; round += 1) {
    const table = freshName('several');
    const positions = await Promise.all(
      pools.map((connections) => new PostgresHandlerDatabase({ connections, table }).bookmark('one')),
    );
    expect(positions).toEqual(pools.map(() => 0n));
    await rowsOf(postgres.connection, sql`drop table ${sql.identifier(table)}`);
  }
});

test('a limit for locks that is none is refused', () => {
  for (const lockTimeLimitMs of [0, -1, 0.5, Number.NaN])
    expect(() => new PostgresHandlerDatabase({ connections: pool(), lockTimeLimitMs })).toThrow(
      expect.objectContaining({ code: 'invalid_options', details: { option: 'lockTimeLimitMs' } }),
    );
});

describe('a crash', () => {
  test('of the connection between an effect and the bookmark leaves neither', async () => {
    await append(2);
    let isCrashing = true;
    await runHandler(
      options({
        stopsAtEnd: true,
        async handle(event, transaction) {
          await note(event, transaction);
          if (!isCrashing || event.position !== 2n) return;
          isCrashing = false;
          const answer = await transaction.execute(sql`select pg_backend_pid() as pid`);
          const [own] = (answer as unknown as { rows: [{ pid: number }] }).rows;
          await rowsOf(postgres.connection, `select pg_terminate_backend(${own.pid}, 10000)`);
          expect(await effectsSoFar()).toEqual([]);
          expect(await bookmarkRow()).toEqual([]);
        },
      }),
    );
    expect(failures).toHaveLength(1);
    expect(await effectsSoFar()).toEqual([1, 2]);
  });

  test('after the commit, before anybody knew, makes nothing happen twice', async () => {
    await append(3);
    let uses = 0;
    const losing = lender(async (connection, work) => {
      const result = await work();
      uses += 1;
      // The first use asks for the bookmark, the second one is the transaction.
      if (uses !== 2) return result;
      connection.close();
      throw new Error('the answer got lost');
    });
    await runHandler(
      options({
        database: new PostgresHandlerDatabase({ connections: losing, table: bookmarks }),
        stopsAtEnd: true,
      }),
    );
    expect(failures).toMatchObject([{ error: new Error('the answer got lost') }]);
    expect(await effectsSoFar()).toEqual([1, 2, 3]);
  });
});

describe('several runners of one handler', () => {
  test('handle each event once between them, in order, while events are appended', async () => {
    await append(60);
    const runners = [1, 2, 3].map(() =>
      runHandler(
        options({
          database: new PostgresHandlerDatabase({ connections: pool(1), table: bookmarks }),
          batchEvents: 5,
        }),
      ),
    );
    for (let round = 0; round < 20; round += 1) {
      await append(3);
      await effectsSoFar();
    }
    await whenEffects(120);
    stop.abort();
    const ends = await Promise.all(runners);
    expect(await effectsSoFar()).toEqual(upTo(120));
    expect(ends.reduce((sum, { events }) => sum + events, 0)).toBe(120);
    // Also the table, which none of them found, was made once.
    expect(failures).toEqual([]);
    expect(await bookmarkRow()).toHaveLength(1);
  });

  test('wait for one that is at work for long, which is no failure', async () => {
    await append(1);
    await runHandler(options({ stopsAtEnd: true }));
    await append(1);
    let release: (() => void) | undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const handled: string[] = [];
    const slow = runHandler(
      options({
        stopsAtEnd: true,
        async handle(event, transaction) {
          handled.push('slow');
          await released;
          await note(event, transaction);
        },
      }),
    );
    await eventually(() => expect(handled).toEqual(['slow']));
    let moves = 0;
    const patient = new PostgresHandlerDatabase({
      connections: pool(),
      table: bookmarks,
      lockTimeLimitMs: 20,
    });
    const waiting = runHandler(
      options({
        stopsAtEnd: true,
        database: {
          bookmark: (name) => patient.bookmark(name),
          async move(...call) {
            const move = await patient.move(...call);
            moves += 1;
            if (moves === 2) release?.();
            return move;
          },
        } as PostgresHandlerDatabase,
      }),
    );
    expect((await slow).events + (await waiting).events).toBe(1);
    expect(moves).toBeGreaterThanOrEqual(2);
    expect(failures).toEqual([]);
    expect(await effectsSoFar()).toEqual([1, 2]);
  });

  test('take over from one that is gone', async () => {
    await append(1);
    const first = new AbortController();
    let isFirst = true;
    let begin: (() => void) | undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    let die: (() => void) | undefined;
    const death = new Promise<void>((resolve) => {
      die = resolve;
    });
    const dying = runHandler(
      options({
        signal: first.signal,
        maxFailures: 1,
        async handle(event, transaction) {
          await note(event, transaction);
          begin?.();
          await death;
          throw new Error('gone');
        },
      }),
    );
    await begun;
    const taking = runHandler(
      options({
        handle(event, transaction) {
          expect(isFirst).toBe(false);
          return note(event, transaction);
        },
      }),
    );
    // It waits for the lock that the first one holds.
    await eventually(async () => {
      const waiting = await rowsOf(
        postgres.connection,
        sql`select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like ${`%${bookmarks.slice(6)}%`} and pid <> pg_backend_pid()`,
      );
      expect(waiting).toHaveLength(1);
    });
    isFirst = false;
    die?.();
    await expect(dying).rejects.toThrow('gone');
    await whenEffects(1);
    stop.abort();
    expect(await taking).toEqual({ position: 1n, events: 1 });
    expect(failures).toEqual([]);
  });
});

describe('many deciders on one course, in a Postgres that they share', () => {
  test('never overfill it', async () => {
    const schema = await postgres.namespace();
    const stores = Array.from(
      { length: 4 },
      () => new EventStore(new PostgresEventEngine({ connections: pool(1), schema })),
    );
    const [one] = stores as [EventStore];
    await one.append(courseDefined('c1', 5));
    const ends = await Promise.allSettled(
      Array.from({ length: 24 }, (_, index) =>
        subscribeStudent(stores[index % 4] as EventStore, `s${index}`, 'c1', { retries: 100 }),
      ),
    );
    const refused = ends.filter((end) => end.status === 'rejected');
    for (const { reason } of refused)
      expect(reason).toEqual(new Error('Course "c1" is already fully booked'));
    expect(refused).toHaveLength(19);
    expect(await one.read([{ types: ['StudentSubscribedToCourse'] }])).toHaveLength(5);
  });

  test('overfill it where they append without a condition', async () => {
    const schema = await postgres.namespace();
    const stores = Array.from(
      { length: 4 },
      () => new EventStore(new PostgresEventEngine({ connections: pool(1), schema })),
    );
    const [one] = stores as [EventStore];
    await one.append(courseDefined('c1', 5));
    await Promise.allSettled(
      Array.from({ length: 24 }, (_, index) => {
        const each = stores[index % 4] as EventStore;
        const careless = {
          iterate: each.iterate.bind(each),
          append: (events: Parameters<EventStore['append']>[0]) => each.append(events),
        };
        return subscribeStudent(careless, `s${index}`, 'c1');
      }),
    );
    expect((await one.read([{ types: ['StudentSubscribedToCourse'] }])).length).toBeGreaterThan(5);
  });
});
