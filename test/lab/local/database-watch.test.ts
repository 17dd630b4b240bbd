import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DatabaseWatch } from '../../../lab/local/database-watch.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../local/postgres/embedded.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import { killServer, SETTINGS, temporaryData } from '../../local/postgres/support.ts';
import { rowsOf } from '../../support/connect.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { eventually } from '../../support/patience.ts';

const database = ownDatabase();
const ASK_EVERY_MS = 2_000;
const NEVER = new AbortController().signal;
const GONE = { url: 'postgres://someone:topsecret@127.0.0.1:1/x', driver: 'tcp' } as const;

/** The watch's connections to the database, whatever they do. */
async function backends(): Promise<number[]> {
  const rows = await rowsOf<{ pid: number }>(
    database.connection,
    'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  );
  return rows.map(({ pid }) => pid);
}

beforeEach(() => {
  // Sockets do without timers of JavaScript, so the database answers although time stands still.
  freezeTime();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function freezeTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  vi.spyOn(globalThis, 'setTimeout');
}

/** Resolves when the watch has planned its question number `count` (from 1): all before it are answered then. */
function planned(count: number): Promise<void> {
  return eventually(() =>
    expect(vi.mocked(setTimeout).mock.calls.filter(([, delayMs]) => delayMs === ASK_EVERY_MS)).toHaveLength(
      count,
    ),
  );
}

/** Work that ends when the test says so. */
function openWork(): {
  work: Promise<string>;
  resolve: (value: string) => void;
  reject: (error: Error) => void;
} {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return { work: promise, resolve, reject };
}

describe('while the database is there', () => {
  test('the work is waited for, over many questions, and gives its value', async () => {
    const { work, resolve } = openWork();
    const watched = new DatabaseWatch(database.target).orLost(work, NEVER);
    for (let question = 1; question <= 3; question += 1) {
      await planned(question);
      await vi.advanceTimersByTimeAsync(ASK_EVERY_MS);
    }
    await planned(4);
    expect(await backends()).toHaveLength(1);
    resolve('done');
    expect(await watched).toBe('done');
    expect(vi.getTimerCount()).toBe(0);
    await eventually(async () => expect(await backends()).toEqual([]));
  });

  test('the failure of the work is passed on as it is', async () => {
    const failure = new SluiceError('internal', 'something else');
    await expect(new DatabaseWatch(database.target).orLost(Promise.reject(failure), NEVER)).rejects.toBe(
      failure,
    );
  });

  test('a connection that is cut is opened again, and no loss', async () => {
    const { work, resolve } = openWork();
    const watched = new DatabaseWatch(database.target).orLost(work, NEVER);
    await vi.advanceTimersByTimeAsync(ASK_EVERY_MS);
    await planned(2);
    const [before] = await backends();
    await rowsOf(database.connection, `select pg_terminate_backend(${before}, 10000)`);
    await vi.advanceTimersByTimeAsync(ASK_EVERY_MS);
    await planned(3);
    expect(await backends()).toEqual([expect.any(Number)]);
    expect(await backends()).not.toEqual([before]);
    resolve('done');
    expect(await watched).toBe('done');
  });
});

describe('a database that is gone', () => {
  let data: Awaited<ReturnType<typeof temporaryData>>;
  let postgres: EmbeddedPostgres;

  beforeEach(async () => {
    vi.restoreAllMocks();
    vi.useRealTimers();
    data = await temporaryData();
    postgres = await startEmbeddedPostgres({
      dataDirectory: data.dataDirectory,
      port: 0,
      settings: SETTINGS,
    });
    freezeTime();
  });

  afterEach(async () => {
    vi.useRealTimers();
    await postgres.stop();
    await data.remove();
  });

  test('ends the wait, although the work never ends, and is named', async () => {
    const watched = new DatabaseWatch({ url: postgres.url, driver: 'tcp' }).orLost(
      new Promise(() => {}),
      NEVER,
    );
    const failure = expect(watched).rejects.toMatchObject({
      code: 'database_unreachable',
      message: expect.stringContaining(`127.0.0.1:${postgres.port}/`),
    });
    await vi.advanceTimersByTimeAsync(ASK_EVERY_MS);
    await planned(2);
    killServer(postgres.processId);
    await vi.advanceTimersByTimeAsync(ASK_EVERY_MS);
    await failure;
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('work that failed because the database is gone says so, and not what broke first', async () => {
  const watched = new DatabaseWatch(GONE).orLost(Promise.reject(new Error('socket closed')), NEVER);
  await expect(watched).rejects.toMatchObject({
    code: 'database_unreachable',
    message: expect.stringMatching(/^(?!.*topsecret).*someone@127\.0\.0\.1:1\/x/),
  });
});

test('work that says itself that the database is gone is believed', async () => {
  const failure = new SluiceError('database_unreachable', 'it said so');
  await expect(new DatabaseWatch(database.target).orLost(Promise.reject(failure), NEVER)).rejects.toBe(
    failure,
  );
});

describe('a signal', () => {
  test.each(['meanwhile', 'before'])(
    'that comes %s ends the wait for work that does not end',
    async (when) => {
      const controller = new AbortController();
      if (when === 'before') controller.abort();
      const watched = new DatabaseWatch(GONE).orLost(new Promise(() => {}), controller.signal);
      controller.abort();
      await vi.advanceTimersByTimeAsync(1_500);
      expect(await watched).toBeUndefined();
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  test('leaves the work a moment to give what is complete', async () => {
    const controller = new AbortController();
    const { work, resolve } = openWork();
    const watched = new DatabaseWatch(GONE).orLost(work, controller.signal);
    controller.abort();
    await vi.advanceTimersByTimeAsync(100);
    resolve('half of it');
    expect(await watched).toBe('half of it');
  });
});
