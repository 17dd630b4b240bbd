import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MessageEngine, MessageRecord, ReadCategory } from '../../../../src/messages/engine.ts';
import { SqliteMessageEngine } from '../../../../src/messages/engines/sqlite-engine.ts';
import { WatchedEngine } from '../../../../src/messages/engines/watched-engine.ts';
import { PokeFeed, type PokeFeedOptions } from '../../../../src/messages/http/poke-feed.ts';
import type {
  ImportedBelow,
  Poke,
  PokeSink,
  Subscription,
} from '../../../../src/messages/http/poke-subscriber.ts';
import { MessageStore } from '../../../../src/messages/message-store.ts';
import { consumerGroupMember, messageCategory } from '../../../../src/messages/names.ts';
import { FakeTimers, settled } from '../../../support/fake-timers.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';

/** An engine whose reads of a category can be held up, or fail. */
class SlowEngine extends WatchedEngine {
  failing: Error | undefined;
  reads = 0;
  #gate: Promise<void> | undefined;
  #open: (() => void) | undefined;

  hold(): void {
    this.#gate ??= new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#gate = undefined;
    this.#open?.();
  }

  override async info(): Promise<{ messages: bigint; head: bigint }> {
    await this.#gate;
    // The snapshot is taken late.
    return super.info();
  }

  override async readCategory(read: ReadCategory): Promise<MessageRecord[]> {
    this.reads += 1;
    if (this.failing !== undefined) throw this.failing;
    const found = await super.readCategory(read);
    // The snapshot is taken; its answer is on the way.
    await this.#gate;
    return found;
  }
}

class Sink implements PokeSink {
  hasRoom = true;
  readonly pokes: Poke[] = [];
  keptAlive = 0;
  isClosed = false;
  isReady = false;
  readonly imports: ImportedBelow[] = [];
  /** Room for so many sends; undefined: any number. */
  sendsLeft: number | undefined;

  ready(): void {
    if (this.isReady || this.pokes.length > 0) throw new Error('it had begun');
    this.isReady = true;
  }

  imported(range: ImportedBelow): void {
    this.imports.push({ ...range });
  }

  send(pokes: readonly Poke[]): void {
    if (!this.isReady) throw new Error('sent before it has begun');
    if (this.isClosed) throw new Error('sent behind the end');
    this.pokes.push(...pokes);
    if (this.sendsLeft !== undefined) {
      this.sendsLeft -= 1;
      if (this.sendsLeft <= 0) this.hasRoom = false;
    }
  }

  keepAlive(): void {
    this.keptAlive += 1;
  }

  close(): void {
    this.isClosed = true;
  }

  get positions(): number[] {
    return this.pokes.map(({ globalPosition }) => Number(globalPosition));
  }
}

interface World {
  store: MessageStore;
  /** Writes that the feed hears nothing of. */
  elsewhere: MessageStore;
  engine: SlowEngine;
  feed: PokeFeed;
  timers: FakeTimers;
  failures: unknown[];
  subscribe(subscription?: Partial<Subscription>): { sink: Sink; handle: ReturnType<PokeFeed['subscribe']> };
}

function world(options: Partial<PokeFeedOptions> = {}): World {
  const timers = new FakeTimers();
  const failures: unknown[] = [];
  const inner: MessageEngine = new SqliteMessageEngine(new NodeSqlite());
  const engine = new SlowEngine(inner, {
    wrote: (stream, last, count) => feed.wrote(stream, last, count),
    imported: (rows) => feed.imported(rows),
    moved: () => feed.moved(),
    cleared: () => feed.close(),
  });
  const store = new MessageStore(engine);
  const feed = new PokeFeed({ store, timers, onFailure: (error) => failures.push(error), ...options });
  return {
    store,
    elsewhere: new MessageStore(inner),
    engine,
    feed,
    timers,
    failures,
    subscribe(subscription = {}) {
      const sink = new Sink();
      const handle = feed.subscribe({ of: 'all', position: 0n, consumer: undefined, ...subscription }, sink);
      return { sink, handle };
    },
  };
}

const EVENT = { type: 'T' };
const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

describe('what is written here', () => {
  it('comes at once, without a read of the store', async () => {
    const { store, subscribe, engine } = world();
    const { sink } = subscribe();
    await settled();
    const { reads } = engine;
    await store.write('a-1', [EVENT, EVENT, EVENT]);
    await settled();
    expect(sink.pokes).toEqual(
      [0n, 1n, 2n].map((n) => ({ stream: 'a-1', position: n, globalPosition: n + 1n })),
    );
    expect(engine.reads).toBe(reads);
  });

  it('while history is read comes once, whether the read saw it or not', async () => {
    const { store, subscribe, engine } = world();
    await store.write('a-1', [EVENT, EVENT]);
    engine.hold();
    const { sink } = subscribe();
    await settled();
    await store.write('a-1', EVENT);
    engine.release();
    await settled();
    expect(sink.positions).toEqual(upTo(3));
  });

  it('before the head is known comes as well', async () => {
    const { store, subscribe } = world();
    const { sink } = subscribe({ position: undefined });
    const late = store.write('a-1', EVENT);
    await settled();
    await late;
    await store.write('a-1', EVENT);
    await settled();
    // Whether the first one was there before the subscription began is open; what follows is not.
    expect(sink.positions.at(-1)).toBe(2);
    expect(sink.positions).toEqual([...new Set(sink.positions)]);
  });

  it('costs nothing where nobody listens', async () => {
    const { store, feed, engine, timers } = world({ pollMs: 1_000 });
    await store.write('a-1', EVENT);
    timers.advance(10_000);
    await settled();
    expect([feed.subscribers, engine.reads, timers.pending]).toEqual([0, 0, 0]);
  });
});

describe('a subscription that begins', () => {
  it('is ready when nothing is missed any more: once the head is known', async () => {
    const { store, engine, subscribe } = world();
    engine.hold();
    const { sink, handle } = subscribe({ position: undefined });
    await settled();
    // What is written now is before its beginning: the head that it will be told of comes after it.
    await store.write('a-1', EVENT);
    expect(sink.isReady).toBe(false);
    engine.release();
    await handle.started;
    expect(sink.isReady).toBe(true);
    await store.write('a-1', EVENT);
    await settled();
    expect(sink.positions.at(-1)).toBe(2);
  });

  it('that was told to be ready gets all that is written from then on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 3 }), { maxLength: 8 }), async (delays) => {
        const { store, subscribe } = world();
        let written = 0n;
        for (const delay of delays) {
          const { sink, handle } = subscribe({ position: undefined });
          const racing = Array.from({ length: delay }, () => store.write('a-1', EVENT));
          await handle.started;
          const { globalPosition } = await store.write('a-1', EVENT);
          written = globalPosition;
          for (const one of await Promise.all(racing))
            if (one.globalPosition > written) written = one.globalPosition;
          await settled();
          expect(sink.positions).toContain(Number(globalPosition));
          expect(sink.positions.at(-1)).toBe(Number(written));
        }
      }),
      { numRuns: 50 },
    );
  });

  it.each<[string, Partial<Subscription>, { position: number; head: number }]>([
    ['of all', { position: 5n }, { position: 5, head: 3 }],
    ['of a category', { of: { category: 'a' }, position: 5n }, { position: 5, head: 3 }],
    ['of a stream', { of: { stream: 'a-1' }, position: 3n }, { position: 3, head: 1 }],
    ['of a stream that is not there', { of: { stream: 'a-9' }, position: 1n }, { position: 1, head: -1 }],
  ])('%s that would begin beyond the end is refused', async (_, subscription, details) => {
    const { store, subscribe, feed, failures } = world();
    await store.write('a-1', [EVENT, EVENT]);
    await store.write('b-1', EVENT);
    const { sink, handle } = subscribe(subscription);
    await expect(handle.started).rejects.toMatchObject({ code: 'checkpoint_ahead', details });
    expect([sink.isReady, sink.isClosed, feed.subscribers]).toEqual([false, true, 0]);
    expect(failures).toEqual([]);
    // The control: where the next message will be.
    const next = subscribe({ ...subscription, position: (subscription.position ?? 0n) - 1n });
    await next.handle.started;
    expect(next.sink.isReady).toBe(true);
  });

  it('whose head cannot be asked for ends, and says why', async () => {
    const { subscribe, engine, failures } = world();
    engine.info = async () => {
      throw new Error('the database is away');
    };
    const { sink, handle } = subscribe();
    await expect(handle.started).rejects.toThrow('the database is away');
    expect([sink.isReady, sink.isClosed, failures.length]).toEqual([false, true, 1]);
  });
});

describe('an import below the head', () => {
  const message = (stream: string, globalPosition: number) => ({
    id: crypto.randomUUID(),
    streamName: stream,
    type: 'T',
    position: BigInt(globalPosition),
    globalPosition: BigInt(globalPosition),
    timeUs: 0,
  });

  it('is told to those that ask for it, as far as they want to know', async () => {
    const { store, subscribe } = world();
    await store.import([message('a-1', 100)]);
    const of = (subscription: Partial<Subscription>) => subscribe({ imports: true, ...subscription }).sink;
    const all = of({ position: 101n });
    const category = of({ of: { category: 'a' } });
    const stream = of({ of: { stream: 'b-2' } });
    const other = of({ of: { category: 'c' } });
    const { sink: unasked } = subscribe();
    await settled();
    await store.import([message('a-1', 7), message('b-2', 9), message('a-2', 12), message('a-2', 200)]);
    await settled();
    expect(all.imports).toEqual([{ from: 7n, to: 12n, messages: 3 }]);
    expect(category.imports).toEqual([{ from: 7n, to: 12n, messages: 2 }]);
    expect(stream.imports).toEqual([{ from: 9n, to: 9n, messages: 1 }]);
    expect([other.imports, unasked.imports]).toEqual([[], []]);
    // What is beyond the head is poked, as anything that is written.
    expect([all.positions, category.positions]).toEqual([[200], [100, 200]]);
  });

  it('is one range for a reader that takes nothing meanwhile', async () => {
    const { store, subscribe } = world();
    await store.import([message('a-1', 100)]);
    const { sink, handle } = subscribe({ imports: true, position: 101n });
    await handle.started;
    sink.hasRoom = false;
    for (const at of [50, 20, 70]) await store.import([message('a-1', at)]);
    await settled();
    expect(sink.imports).toEqual([]);
    sink.hasRoom = true;
    handle.roomAgain();
    await settled();
    expect(sink.imports).toEqual([{ from: 20n, to: 70n, messages: 3 }]);
  });

  it('is not lost where it comes between a read of the store and its answer', async () => {
    const { store, elsewhere, subscribe, engine, timers } = world({ pollMs: 1_000 });
    const { sink, handle } = subscribe({ imports: true });
    await handle.started;
    await settled();
    await elsewhere.import([message('a-1', 5)]);
    engine.hold();
    timers.advance(1_000);
    await settled();
    // The page with 5 is on its way, and the head will be 5.
    await store.import([message('a-1', 3)]);
    engine.release();
    await settled();
    expect(sink.positions).toEqual([5]);
    expect(sink.imports).toEqual([{ from: 3n, to: 3n, messages: 1 }]);
  });
});

describe('what others write', () => {
  it('comes with the next look', async () => {
    const { elsewhere, subscribe, timers } = world({ pollMs: 1_000 });
    const { sink } = subscribe();
    await settled();
    await elsewhere.write('a-1', [EVENT, EVENT]);
    timers.advance(999);
    await settled();
    expect(sink.positions).toEqual([]);
    timers.advance(1);
    await settled();
    expect(sink.positions).toEqual([1, 2]);
  });

  it('comes before what is written here behind it', async () => {
    const { store, elsewhere, subscribe } = world({ pageMessages: 2 });
    const { sink } = subscribe();
    await settled();
    await elsewhere.write('a-1', [EVENT, EVENT, EVENT, EVENT, EVENT]);
    await store.write('b-1', EVENT);
    await settled();
    expect(sink.positions).toEqual(upTo(6));
  });

  it('comes once, where one is written here while it is looked for', async () => {
    const { store, elsewhere, subscribe, engine, timers } = world({ pollMs: 1_000 });
    const { sink } = subscribe();
    await settled();
    await elsewhere.write('a-1', EVENT);
    engine.hold();
    timers.advance(1_000);
    await settled();
    await store.write('a-1', EVENT);
    await elsewhere.write('a-1', EVENT);
    await store.write('a-1', EVENT);
    engine.release();
    await settled();
    expect(sink.positions).toEqual(upTo(4));
  });

  it('is looked for again where the database failed', async () => {
    const { store, elsewhere, subscribe, engine, timers, failures } = world();
    const { sink } = subscribe();
    await settled();
    engine.failing = new Error('the network is down');
    await elsewhere.write('a-1', EVENT);
    await store.write('a-1', EVENT);
    await settled();
    expect(failures).toEqual([engine.failing]);
    expect(sink.positions).toEqual([]);
    engine.failing = undefined;
    timers.advance(1_000);
    await settled();
    expect(sink.positions).toEqual([1, 2]);
    expect(sink.isClosed).toBe(false);
  });
});

describe('a reader that is slow', () => {
  it('gets what it missed from the store, and nothing twice', async () => {
    const { store, subscribe } = world({ maxQueued: 3, pageMessages: 4 });
    const { sink, handle } = subscribe();
    await settled();
    sink.sendsLeft = 1;
    for (let n = 0; n < 20; n += 1) await store.write('a-1', EVENT);
    await settled();
    expect(sink.positions.length).toBeLessThan(20);
    sink.sendsLeft = undefined;
    sink.hasRoom = true;
    handle.roomAgain();
    await settled();
    await store.write('a-1', EVENT);
    await settled();
    expect(sink.positions).toEqual(upTo(21));
  });

  it('is sent away when it has taken nothing for too long, and not before', async () => {
    const { store, subscribe, timers, feed } = world({ slowReaderMs: 5_000 });
    const { sink, handle } = subscribe();
    await settled();
    sink.hasRoom = false;
    await store.write('a-1', EVENT);
    await settled();
    timers.advance(4_999);
    await settled();
    expect(sink.isClosed).toBe(false);
    sink.hasRoom = true;
    handle.roomAgain();
    await settled();
    expect(sink.positions).toEqual([1]);
    sink.hasRoom = false;
    await store.write('a-1', EVENT);
    await settled();
    timers.advance(5_000);
    await settled();
    expect([sink.isClosed, feed.subscribers, sink.positions]).toEqual([true, 0, [1]]);
  });

  it('without anything to read is not slow', async () => {
    const { subscribe, timers } = world({ slowReaderMs: 5_000 });
    const { sink } = subscribe();
    await settled();
    sink.hasRoom = false;
    timers.advance(100_000);
    await settled();
    expect(sink.isClosed).toBe(false);
  });
});

describe('a subscription', () => {
  it('is kept alive while nothing comes, and its reader takes it', async () => {
    const { subscribe, timers } = world({ keepAliveMs: 15_000 });
    const { sink } = subscribe();
    await settled();
    timers.advance(45_000);
    expect(sink.keptAlive).toBe(3);
    sink.hasRoom = false;
    timers.advance(15_000);
    expect(sink.keptAlive).toBe(3);
  });

  it('leaves nothing behind when it ends', async () => {
    const { store, subscribe, timers, feed, engine } = world({ pollMs: 1_000 });
    const { handle, sink } = subscribe();
    const { handle: other } = subscribe();
    await settled();
    handle.end();
    handle.end();
    expect(feed.subscribers).toBe(1);
    other.end();
    expect([feed.subscribers, timers.pending, sink.isClosed]).toEqual([0, 0, true]);
    const { reads } = engine;
    await store.write('a-1', EVENT);
    expect([engine.reads, sink.pokes]).toEqual([reads, []]);
    // One that comes later begins again.
    const { sink: late } = subscribe({ of: { stream: 'a-1' } });
    await settled();
    expect(late.positions).toEqual([1]);
  });

  it('that ends while history is read gets nothing more', async () => {
    const { store, subscribe, engine } = world();
    await store.write('a-1', EVENT);
    engine.hold();
    const { handle, sink } = subscribe();
    await settled();
    handle.end();
    engine.release();
    await settled();
    expect([sink.pokes, sink.isClosed]).toEqual([[], true]);
  });

  it('ends where its history cannot be read', async () => {
    const { subscribe, engine, failures } = world();
    engine.failing = new Error('the network is down');
    const { sink } = subscribe();
    await settled();
    expect([sink.isClosed, failures]).toEqual([true, [engine.failing]]);
  });

  it('ends when all messages are deleted', async () => {
    const { store, subscribe, feed } = world();
    const { sink } = subscribe();
    await settled();
    await store.clear();
    expect([sink.isClosed, feed.subscribers]).toEqual([true, 0]);
  });

  it('is one of so many', async () => {
    const { subscribe } = world({ maxSubscribers: 2 });
    subscribe();
    const { handle } = subscribe();
    expect(() => subscribe()).toThrow('as many as a namespace may have');
    handle.end();
    subscribe();
  });
});

const step = fc.oneof(
  fc.record({
    kind: fc.constantFrom('here', 'elsewhere'),
    stream: fc.constantFrom('a-1', 'a-2', 'b-1', 'a'),
    count: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    kind: fc.constantFrom('subscribe'),
    of: fc.constantFrom<Subscription['of']>('all', { category: 'a' }, { stream: 'a-1' }),
    position: fc.integer({ min: 0, max: 6 }),
    group: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom('hold', 'release', 'poll', 'settle', 'stall', 'read') }),
);

describe('whatever happens', () => {
  it('each subscriber gets all that it asked for, in order, once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { store, elsewhere, subscribe, engine, timers, failures } = world({
          pollMs: 1_000,
          maxQueued: 2,
          pageMessages: 2,
          slowReaderMs: Number.MAX_SAFE_INTEGER,
        });
        const all: {
          sink: Sink;
          handle: ReturnType<PokeFeed['subscribe']>;
          subscription: Subscription;
          /** It begins beyond the end that the store had then. */
          isAhead: boolean;
        }[] = [];
        for (const one of steps) {
          if ('stream' in one) {
            const target = one.kind === 'here' ? store : elsewhere;
            await target.write(
              one.stream,
              Array.from({ length: one.count }, () => EVENT),
            );
          } else if ('of' in one) {
            const subscription: Subscription = {
              of: one.of,
              position: BigInt(one.position),
              consumer:
                one.group && one.of !== 'all' && 'category' in one.of ? { member: 0, size: 2 } : undefined,
            };
            const last =
              one.of !== 'all' && 'stream' in one.of
                ? ((await elsewhere.version(one.of.stream)) ?? -1n)
                : (await elsewhere.info()).head;
            all.push({
              ...subscribe(subscription),
              subscription,
              isAhead: BigInt(one.position) > last + 1n,
            });
          } else if (one.kind === 'hold') engine.hold();
          else if (one.kind === 'release') engine.release();
          else if (one.kind === 'poll') timers.advance(1_000);
          else if (one.kind === 'settle') await settled();
          else {
            for (const { sink, handle } of all) {
              sink.hasRoom = one.kind === 'read';
              if (sink.hasRoom) handle.roomAgain();
            }
          }
        }
        engine.release();
        for (const { sink, handle } of all) {
          sink.hasRoom = true;
          handle.roomAgain();
        }
        await settled();
        timers.advance(1_000);
        await settled();
        const written = await elsewhere.readCategory('', { batchSize: 'unlimited' });
        for (const { sink, handle, subscription, isAhead } of all) {
          const refusal = await handle.started.catch((error: unknown) => error);
          if (refusal !== undefined) {
            expect(refusal).toMatchObject({ code: 'checkpoint_ahead' });
            expect([isAhead, sink.isReady, sink.positions]).toEqual([true, false, []]);
            continue;
          }
          const { of, position = 0n, consumer } = subscription;
          const expected = written.filter((message) => {
            if (of !== 'all' && 'stream' in of)
              return message.streamName === of.stream && message.position >= position;
            if (message.globalPosition < position) return false;
            if (of !== 'all' && messageCategory(message.streamName) !== of.category) return false;
            return (
              consumer === undefined ||
              consumerGroupMember(message.streamName, consumer.size) === consumer.member
            );
          });
          expect(sink.positions).toEqual(expected.map(({ globalPosition }) => Number(globalPosition)));
        }
        expect(failures).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
