/** What the facade does whatever the engine: limits, groups, codecs, and what a subscription asks of the database. */

import { afterEach, describe, expect, expectTypeOf, test, vi } from 'vitest';
import { SluiceError } from '../../../src/core/errors.ts';
import { textCodec } from '../../../src/events/codec.ts';
import type { AppendVerdict, EventEngine } from '../../../src/events/engine.ts';
import { SqliteEventEngine } from '../../../src/events/engines/sqlite-engine.ts';
import type { NewEvent, StoredEvent } from '../../../src/events/event.ts';
import { EventStore, type EventStoreOptions } from '../../../src/events/event-store.ts';
import { Semaphore } from '../../../src/events/semaphore.ts';
import { CountedEventEngine } from '../../support/counted-event-engine.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { eventually } from '../../support/patience.ts';

const opened: NodeSqlite[] = [];
afterEach(() => {
  for (const sqlite of opened.splice(0)) sqlite.close();
});

/** An engine with some of its calls replaced; `real` is what they stand before. */
function engineWith(replace: (real: EventEngine) => Partial<EventEngine> = () => ({})): EventEngine {
  const sqlite = new NodeSqlite();
  opened.push(sqlite);
  const real = new SqliteEventEngine(sqlite);
  return {
    append: (commands) => real.append(commands),
    read: (read) => real.read(read),
    head: () => real.head(),
    clear: () => real.clear(),
    ...replace(real),
  };
}

/** A promise that a test settles. */
function gate(): { open: () => void; passed: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: () => resolve(), passed: promise };
}

const event = (type = 'A', ...tags: string[]): NewEvent => ({ type, tags });
const events = (count: number): NewEvent[] => Array.from({ length: count }, () => event());

describe('limits', () => {
  test.each<[keyof EventStoreOptions<unknown>]>([
    ['maxEventBytes'],
    ['maxAppendEvents'],
    ['maxAppendBytes'],
    ['maxGroupEvents'],
    ['maxGroupBytes'],
    ['maxWaitingEvents'],
    ['maxWaitingBytes'],
    ['maxPageBytes'],
  ])('%s is a whole number from 1', (name) => {
    const engine = engineWith();
    for (const wrong of [0, -1, 1.5, Number.NaN, '10', null])
      expect(() => new EventStore(engine, { [name]: wrong } as never), String(wrong)).toThrow(
        expect.objectContaining({ code: 'invalid_options', details: { option: name } }),
      );
    new EventStore(engine, { [name]: 1 });
  });

  test('of an event: data and metadata as UTF-8', async () => {
    const store = new EventStore(engineWith(), { codec: textCodec, maxEventBytes: 30 });
    await store.append({ type: 'A', data: '世'.repeat(10) });
    await store.append({ type: 'A', data: 'x'.repeat(22), metadata: { a: 12 } });
    for (const tooLarge of [
      { type: 'A', data: `${'世'.repeat(10)}x` },
      { type: 'A', data: 'x'.repeat(23), metadata: { a: 12 } },
    ])
      await expect(store.append(tooLarge)).rejects.toMatchObject({
        code: 'message_too_large',
        details: { maxBytes: 30 },
      });
  });

  test('of an append: its events, and its text with types, tags and condition', async () => {
    const store = new EventStore(engineWith(), { codec: textCodec, maxAppendEvents: 3, maxAppendBytes: 20 });
    const text = (type: string, data: string, ...tags: string[]) => ({ type, data, tags });
    await store.append([text('A', ''), text('A', ''), text('A', '')]);
    await expect(store.append([1, 2, 3, 4].map(() => text('A', '')))).rejects.toMatchObject({
      code: 'invalid_options',
      details: { option: 'events' },
    });
    const twenty = text('AAAA', 'dddddd', 'ttttt', 'uuuuu');
    await store.append(twenty);
    await expect(store.append({ ...twenty, data: 'ddddddd' })).rejects.toMatchObject({
      code: 'message_too_large',
      details: { maxBytes: 20 },
    });
    const ten = text('AAAA', 'dddddd');
    await store.append(ten, { failIfEventsMatch: [{ types: ['BBBBB'], tags: ['ccccc'] }] });
    await expect(
      store.append(ten, { failIfEventsMatch: [{ types: ['BBBBB'], tags: ['cccccc'] }] }),
    ).rejects.toMatchObject({ code: 'message_too_large' });
  });

  test('of what waits: more is refused, and what was accepted is stored', async () => {
    const { open, passed } = gate();
    const store = new EventStore(
      engineWith((real) => ({
        async append(commands) {
          await passed;
          return real.append(commands);
        },
      })),
      { maxWaitingEvents: 10 },
    );
    const running = store.append(event());
    await settled();
    const waiting = store.append(events(10));
    await expect(store.append(event())).rejects.toMatchObject({ code: 'buffer_full' });
    open();
    expect(await running).toMatchObject({ position: 1n });
    expect(await waiting).toMatchObject({ position: 11n });
    expect(await store.append(event())).toMatchObject({ position: 12n });
  });

  test('of a group', async () => {
    const sizes: number[] = [];
    const watched = (real: EventEngine): Partial<EventEngine> => ({
      append(commands) {
        sizes.push(commands.length);
        return real.append(commands);
      },
    });
    const store = new EventStore(engineWith(watched), { maxGroupEvents: 4 });
    await Promise.all(Array.from({ length: 9 }, () => store.append(event())));
    expect(sizes).toEqual([4, 4, 1]);
    sizes.length = 0;
    const unbounded = new EventStore(engineWith(watched));
    await Promise.all(Array.from({ length: 9 }, () => unbounded.append(event())));
    expect(sizes, 'the control').toEqual([9]);
  });
});

describe('codecs', () => {
  test('the type of data follows the codec', async () => {
    const texts = new EventStore(engineWith(), { codec: textCodec });
    expectTypeOf(texts).toEqualTypeOf<EventStore<string>>();
    expectTypeOf(await texts.read('all')).toEqualTypeOf<StoredEvent<string, string>[]>();
    expectTypeOf(new EventStore(engineWith())).toEqualTypeOf<EventStore<unknown>>();
  });

  test('a codec of one’s own', async () => {
    const store = new EventStore(engineWith(), {
      codec: { write: (date: Date) => date.toISOString(), read: (text) => new Date(text) },
    });
    await store.append({ type: 'A', data: new Date(86_400_000) });
    expect((await store.readRecords('all'))[0]?.data).toBe('1970-01-02T00:00:00.000Z');
    expect((await store.read('all'))[0]?.data).toEqual(new Date(86_400_000));
    // What it throws is the caller's mistake, and names the cause.
    await expect(store.append({ type: 'A', data: new Date(Number.NaN) })).rejects.toMatchObject({
      code: 'invalid_event',
      message: expect.stringContaining('Invalid time value'),
      cause: expect.any(RangeError),
    });
  });

  test('what a codec writes must be a text that the engines can keep', async () => {
    let written: unknown;
    const store = new EventStore(engineWith(), {
      codec: { write: () => written as string, read: (text) => text },
    });
    for (written of [undefined, null, 7, 'a\0', '\ud800'])
      await expect(store.append({ type: 'A', data: '' })).rejects.toMatchObject({ code: 'invalid_event' });
    written = '';
    await store.append({ type: 'A', data: '' });
  });
});

describe('a failure of the engine', () => {
  test('rejects the appends of its group as it is, and the next go on', async () => {
    let isFailing = true;
    const store = new EventStore(
      engineWith((real) => ({
        async append(commands) {
          if (isFailing) throw new Error('the disk is full');
          return real.append(commands);
        },
      })),
    );
    const outcomes = await Promise.allSettled([store.append(event()), store.append(event())]);
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'the disk is full' } });
    isFailing = false;
    expect(await store.append(event())).toMatchObject({ position: 1n });
  });

  test.each<[what: string, failure: Error]>([
    ['that is nobody’s', new Error('the connection is gone')],
    // As `storeError` has it for Postgres.
    ['that is told as unreachable', new SluiceError('database_unreachable', 'the connection is gone')],
    ['that is told as late', new SluiceError('time_limit', 'no answer in time, the connection is gone')],
  ])('%s and hides a commit is found by subscribers, also by those that do not poll', async (_, failure) => {
    let isLost = false;
    const store = new EventStore(
      engineWith((real) => ({
        async append(commands) {
          const verdicts = await real.append(commands);
          if (isLost) throw failure;
          return verdicts;
        },
      })),
    );
    const subscription = store.subscribe('all');
    const first = subscription.next();
    await store.append(event());
    await first;
    const next = subscription.next();
    isLost = true;
    await expect(store.append(event())).rejects.toThrow('the connection is gone');
    expect(await next).toMatchObject({ value: { position: 2n } });
  });

  test('that refuses what waits asks nothing of the database', async () => {
    const { open, passed } = gate();
    let heads = 0;
    const store = new EventStore(
      engineWith((real) => ({
        async append(commands) {
          await passed;
          return real.append(commands);
        },
        head() {
          heads += 1;
          return real.head();
        },
      })),
      { maxWaitingEvents: 1 },
    );
    const next = store.subscribe('all').next();
    const running = store.append(event());
    await settled();
    const waiting = store.append(event());
    await expect(store.append(event())).rejects.toMatchObject({ code: 'buffer_full' });
    await settled();
    expect(heads).toBe(1);
    open();
    await Promise.all([running, waiting, next]);
  });
});

describe('what a subscription asks of the database', () => {
  /** A store that counts calls; their results come with the next turn. */
  function counted(): { store: EventStore; timers: FakeTimers; calls: { head: number; read: number } } {
    const timers = new FakeTimers();
    const calls = { head: 0, read: 0 };
    const engine = engineWith((real) => ({
      async head() {
        calls.head += 1;
        await settled();
        return real.head();
      },
      async read(read) {
        calls.read += 1;
        await settled();
        return real.read(read);
      },
    }));
    return { store: new EventStore(engine, { timers }), timers, calls };
  }

  test('nothing while nothing happens', async () => {
    const { store, calls } = counted();
    const ended = new AbortController();
    const next = store.subscribe('all', { signal: ended.signal }).next();
    await settled();
    await settled();
    await settled();
    expect(calls).toEqual({ head: 1, read: 0 });
    ended.abort();
    await next;
  });

  test('one read for many appends that came during the read before', async () => {
    const { store, calls } = counted();
    const subscription = store.subscribe('all');
    const first = subscription.next();
    await store.append(event());
    await first;
    calls.read = 0;
    await Promise.all(Array.from({ length: 50 }, () => store.append(event())));
    for (let position = 2n; position <= 51n; position += 1n)
      expect(await subscription.next()).toMatchObject({ value: { position } });
    // Pages begin small: 16 events, and then eight times as many.
    expect(calls.read).toBeLessThanOrEqual(4);
  });

  test('one read, or two, for many subscribers who ask for the same', async () => {
    const { store, calls } = counted();
    const subscriptions = Array.from({ length: 20 }, () => store.subscribe([{ types: ['A'] }]));
    const first = subscriptions.map((subscription) => subscription.next());
    await store.append(event());
    await Promise.all(first);
    calls.read = 0;
    const next = subscriptions.map((subscription) => subscription.next());
    await settled();
    await store.append(event());
    for (const one of next) expect(await one).toMatchObject({ value: { position: 2n } });
    expect(calls.read).toBeLessThanOrEqual(2);
  });

  test('one question for the head when many poll at the same time', async () => {
    const { store, timers, calls } = counted();
    const ended = new AbortController();
    const waiting = Array.from({ length: 20 }, () =>
      store.subscribe('all', { pollMs: 100, signal: ended.signal }).next(),
    );
    await eventually(() => expect(timers.pending).toBe(20));
    calls.head = 0;
    timers.advance(100);
    await eventually(() => expect(timers.pending).toBe(20));
    expect(calls.head).toBe(1);
    ended.abort();
    await Promise.all(waiting);
    expect(timers.pending).toBe(0);
  });

  test('its signal keeps nothing of it, however often it has waited', async () => {
    const { store } = counted();
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, 'addEventListener');
    const remove = vi.spyOn(signal, 'removeEventListener');
    const subscription = store.subscribe('all', { signal });
    for (let position = 1n; position <= 5n; position += 1n) {
      const next = subscription.next();
      await settled();
      await settled();
      await store.append(event());
      expect(await next).toMatchObject({ value: { position } });
    }
    expect(add.mock.calls.length).toBeGreaterThanOrEqual(4);
    expect(remove.mock.calls.length).toBe(add.mock.calls.length);
    expect(new Set(remove.mock.calls.map(([, listener]) => listener))).toEqual(
      new Set(add.mock.calls.map(([, listener]) => listener)),
    );
  });

  test('events that do not match are passed over once, not with every page', async () => {
    const ranges: [after: bigint, before: bigint | null][] = [];
    const store = new EventStore(
      engineWith((real) => ({
        read(read) {
          ranges.push([read.after, read.before]);
          return real.read(read);
        },
      })),
    );
    await store.append([...events(10), event('Wanted'), ...events(10)]);
    const subscription = store.subscribe([{ types: ['Wanted'] }]);
    expect(await subscription.next()).toMatchObject({ value: { position: 11n } });
    const next = subscription.next();
    await settled();
    await store.append(events(5));
    await settled();
    await store.append(event('Wanted'));
    expect(await next).toMatchObject({ value: { position: 27n } });
    expect(ranges).toEqual([
      [0n, 22n],
      [21n, 27n],
      [26n, 28n],
    ]);
  });
});

describe('subscriptions that share a semaphore for large pages', () => {
  const LARGE = 'x'.repeat(5_000);

  /** Twenty subscribers, of which each has asked for one event; `held` have it. */
  async function asking(data: string, largePages: Semaphore | undefined) {
    const store = new EventStore(engineWith(), { maxPageBytes: 1_000 });
    await store.append({ type: 'A', data });
    let held = 0;
    const subscriptions = Array.from({ length: 20 }, () => store.subscribe('all', { largePages }));
    const first = subscriptions.map((subscription) =>
      subscription.next().then((result) => {
        held += 1;
        return result;
      }),
    );
    await settled();
    return { store, subscriptions, first, held: () => held };
  }

  test('hold only so many large events, each until it was taken', async () => {
    const { store, subscriptions, first, held } = await asking(LARGE, new Semaphore(3));
    expect(held()).toBe(3);
    // One goes on, and one is left: both make room.
    const further = subscriptions[0]?.next();
    await subscriptions[1]?.return();
    await settled();
    expect(held()).toBe(5);
    for (const [n, subscription] of subscriptions.entries()) {
      expect(await first[n]).toMatchObject({ value: { position: 1n } });
      if (n > 0) await subscription.return();
    }
    expect(held()).toBe(20);
    await Promise.all([store.append(event()), further]);
  });

  test('the control: without it, all of them hold theirs', async () => {
    const { held } = await asking(LARGE, undefined);
    expect(held()).toBe(20);
  });

  test('do not wait for what is small, also while others hold what is large', async () => {
    const largePages = new Semaphore(1);
    const { store } = await asking(LARGE, largePages);
    await store.append(event('Small'));
    expect(await store.subscribe([{ types: ['Small'] }], { largePages }).next()).toMatchObject({
      value: { position: 2n },
    });
    // Nor for pages that are full of it.
    await store.append(Array.from({ length: 50 }, () => ({ type: 'Many', data: 'x'.repeat(90) })));
    for (let n = 0; n < 3; n += 1)
      expect(await store.subscribe([{ types: ['Many'] }], { largePages }).next()).toMatchObject({
        value: { position: 3n },
      });
  });

  test('pass on a turn that they have no use for any more', async () => {
    const store = new EventStore(engineWith(), { maxPageBytes: 1_000 });
    await store.append({ type: 'A', data: LARGE });
    const largePages = new Semaphore(1);
    const ended = new AbortController();
    const holder = store.subscribe('all', { largePages });
    await holder.next();
    const aborted = store.subscribe('all', { largePages, signal: ended.signal }).next();
    const last = store.subscribe('all', { largePages }).next();
    await settled();
    ended.abort();
    await holder.return();
    expect(await aborted).toEqual({ done: true, value: undefined });
    expect(await last).toMatchObject({ value: { position: 1n } });
  });

  test('and that end with the store give back what they have', async () => {
    const store = new EventStore(engineWith(), { maxPageBytes: 1_000 });
    await store.append({ type: 'A', data: LARGE });
    const largePages = new Semaphore(1);
    const holder = store.subscribe('all', { largePages });
    await holder.next();
    const waiting = store.subscribe('all', { largePages }).next();
    await settled();
    await store.close();
    await expect(holder.next()).rejects.toMatchObject({ code: 'store_closed' });
    await expect(waiting).rejects.toMatchObject({ code: 'store_closed' });
  });
});

describe('clearing beside appends', () => {
  test('an append whose answer comes behind a deletion does not move subscribers beyond the new events', async () => {
    const { open, passed } = gate();
    let isHeld = false;
    const store = new EventStore(
      engineWith((real) => ({
        async append(commands): Promise<readonly AppendVerdict[]> {
          const verdicts = await real.append(commands);
          if (isHeld) await passed;
          return verdicts;
        },
      })),
    );
    await store.append(events(9));
    isHeld = true;
    const late = store.append(event());
    await settled();
    await store.clear();
    isHeld = false;
    const subscription = store.subscribe('all');
    const next = subscription.next();
    await settled();
    open();
    expect(await late).toMatchObject({ position: 10n });
    await settled();
    await store.append(event('New'));
    expect(await next).toMatchObject({ value: { position: 1n, type: 'New' } });
  });

  test('closing waits for a deletion', async () => {
    const { open, passed } = gate();
    const store = new EventStore(
      engineWith((real) => ({
        async clear() {
          await passed;
          return real.clear();
        },
      })),
    );
    await store.append(event());
    const cleared = store.clear();
    let isClosed = false;
    const closed = store.close().then(() => {
      isClosed = true;
    });
    await settled();
    expect(isClosed).toBe(false);
    open();
    await closed;
    expect(await cleared).toBe(1n);
  });
});

test('an iteration over what most decisions read takes one look; small pages are only for what is large', async () => {
  const engine = new CountedEventEngine(new SqliteEventEngine(new NodeSqlite(':memory:')));
  const store = new EventStore(engine);
  await store.append(Array.from({ length: 200 }, (_, n) => ({ type: 'A', data: n })));
  const found: unknown[] = [];
  for await (const { data } of store.iterate('all')) found.push(data);
  expect(found).toEqual(Array.from({ length: 200 }, (_, n) => n));
  expect(engine.reads).toHaveLength(1);
  expect(engine.reads[0]?.maxBytes, 'its bytes are bounded all the same').toBeGreaterThan(0);
});
