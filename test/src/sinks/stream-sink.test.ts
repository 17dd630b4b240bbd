import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Failpoint, Failpoints } from '../../../src/core/failpoints.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { DerivedIds } from '../../../src/messages/derived-id.ts';
import { cardinalHash } from '../../../src/messages/names.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import { type Producer, startProducer } from '../../../src/outbox/producer.ts';
import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { defineStreamSink } from '../../../src/sinks/stream-sink.ts';
import { schemaOfNamespace } from '../../../src/store/namespaces.ts';
import { createNamespaceSchema } from '../../../src/store/postgres-namespaces.ts';
import { POSTGRES_COMMIT, startFaultProxy } from '../../faults/fault-proxy.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { openConnection } from '../../support/open-connection.ts';
import { STORES } from '../store/postgres-support.ts';

const database = testDatabase('tcp');
let onlooker: Connection;
beforeAll(async () => {
  onlooker = await database.open();
});

async function freshNamespace(): Promise<string> {
  const namespace = freshName('sink');
  await createNamespaceSchema(onlooker, namespace, STORES);
  return namespace;
}

/** All messages of a namespace, in global order; JSON as Postgres writes it. */
function messagesOf(namespace: string): Promise<Stored[]> {
  return rowsOf(
    onlooker,
    `select stream_name as stream, position::int, global_position::int as global, type, data::text, metadata::text,
            id::text, category, correlation, cardinal_hash::text as hash
       from "${schemaOfNamespace(namespace)}".messages order by global_position`,
  );
}

interface Stored {
  stream: string;
  position: number;
  global: number;
  type: string;
  data: string;
  metadata: string | null;
  id: string;
  category: string;
  correlation: string | null;
  hash: string | null;
}

/** Goes wrong at the places that it is told of, once each. */
class Faults implements Failpoints {
  readonly planned: { point: Failpoint; act: () => void }[] = [];

  plan(point: Failpoint, act: () => void): void {
    this.planned.push({ point, act });
  }

  hit(): void {}

  async pass(point: Failpoint): Promise<void> {
    if (this.planned[0]?.point === point) this.planned.shift()?.act();
  }
}

/** A shard whose sink appends to a namespace. */
class TestShard {
  readonly name = freshName('shard');
  readonly timers = new FakeTimers(1_700_000_000_000);
  readonly faults = new Faults();
  readonly deadLetters: DeadLetters;
  readonly pipeline: Pipeline;
  readonly #producers = new Map<string, Producer>();
  readonly #connections: Connection[] = [];
  opened = 0;

  constructor(
    namespace: string,
    options: Partial<Omit<SinkOptions, 'writer' | 'durability'>> = {},
    url = database.target.url,
  ) {
    const sqlite = new NodeSqlite();
    this.deadLetters = new DeadLetters({ sqlite, maxRows: 1_000, maxBytes: 1e9 });
    this.pipeline = new Pipeline({
      sink: defineStreamSink('events', { namespace, options }),
      shard: this.name,
      openConnection: async () => {
        const connection = await openConnection({ ...database.target, url });
        this.opened += 1;
        this.#connections.push(connection);
        return connection;
      },
      timers: this.timers,
      random: () => 0.5,
      sqlite,
      deadLetters: this.deadLetters,
      failpoints: this.faults,
    });
  }

  /** Sends messages as one frame of a raw socket. */
  send(producer: string, ...messages: unknown[]): void {
    const known = this.#producers.get(producer) ?? startProducer(producer, this.timers.now());
    this.#producers.set(producer, known);
    const lines = messages.map((message) =>
      typeof message === 'string' ? message : JSON.stringify(message),
    );
    const { errorFrame } = this.pipeline.admission.takeRawFrame(known, lines.join('\n'), this.timers.now());
    expect(errorFrame).toBeUndefined();
  }

  /** Flushes until nothing is left, or nothing moves any more. */
  async settle(): Promise<void> {
    for (let tries = 0; tries < 100 && this.pipeline.isBusy; tries += 1) {
      this.pipeline.flush();
      await this.pipeline.nextAttempt();
      if (this.pipeline.state === 'paused' || this.pipeline.state === 'stopped') return;
    }
  }

  dead(): { payload: string; reason: string; sqlState: string | null }[] {
    const { letters } = this.deadLetters.take('all');
    return letters.map(({ payload, reason, sqlState }) => ({ payload, reason, sqlState }));
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

describe('messages that name their stream', () => {
  test('are appended to it, exactly as they came', async () => {
    const namespace = await freshNamespace();
    using shard = new TestShard(namespace);
    const id = '0189C7B0-0000-7000-8000-00000000000A';
    shard.send(
      'till',
      '{"stream":"account-123+4","type":"Opened","data":{"n":9007199254740993,"tiny":1e-400}}',
      { stream: 'account-123+4', type: 'Noted', data: null, metadata: { correlationStreamName: 'order-7' } },
      { stream: 'counter', type: 'Ticked', id, data: 'a\nb\t\\"ä😀' },
      '{"stream":"account-9","type":"Odd","data":[],"metadata":{"\\u0063orrelationStreamName":"sale-1"}}',
      { stream: 'account-9', type: 'Odd', metadata: { correlationStreamName: 5 } },
      { stream: 'account-9', type: 'Odd', metadata: 'text\\n' },
    );
    await shard.settle();
    const ids = new DerivedIds('events');
    const firstSequence = 1_700_000_000_000_000;
    const idOf = (n: number): string => ids.idOf('till', 0, firstSequence + n);
    const none = { metadata: null, correlation: null };
    expect(await messagesOf(namespace)).toEqual([
      {
        stream: 'account-123+4',
        position: 0,
        global: 1,
        type: 'Opened',
        data: `{"n": 9007199254740993, "tiny": 0.${'0'.repeat(399)}1}`,
        ...none,
        id: idOf(0),
        category: 'account',
        hash: String(cardinalHash('account-123')),
      },
      {
        stream: 'account-123+4',
        position: 1,
        global: 2,
        type: 'Noted',
        data: 'null',
        metadata: '{"correlationStreamName": "order-7"}',
        correlation: 'order',
        id: idOf(1),
        category: 'account',
        hash: String(cardinalHash('account-123')),
      },
      {
        stream: 'counter',
        position: 0,
        global: 3,
        type: 'Ticked',
        data: '"a\\nb\\t\\\\\\"ä😀"',
        ...none,
        id: id.toLowerCase(),
        category: 'counter',
        hash: null,
      },
      expect.objectContaining({ stream: 'account-9', position: 0, correlation: 'sale', id: idOf(3) }),
      expect.objectContaining({ stream: 'account-9', position: 1, correlation: null, data: '{}' }),
      expect.objectContaining({ stream: 'account-9', position: 2, metadata: '"text\\\\n"' }),
    ]);
    expect(shard.pipeline.stats()).toMatchObject({ received: 6, committed: 6, dead: 0 });
    expect(shard.pipeline.delivery).toBe('exactly-once');
  });

  test('keep the order of their producer, over batches and among streams', async () => {
    const namespace = await freshNamespace();
    using shard = new TestShard(namespace, { batchRows: 7 });
    const sent: Record<string, string[]> = { p0: [], p1: [] };
    for (let n = 0; n < 100; n += 1) {
      const [producer, stream] = [`p${n % 2}`, `s-${n % 3}`];
      sent[producer]?.push(`${stream}/${n}`);
      shard.send(producer, { stream, type: producer, data: n });
      if (n % 10 === 9) await shard.settle();
    }
    await shard.settle();
    const stored = await messagesOf(namespace);
    for (const producer of ['p0', 'p1']) {
      const own = stored.filter(({ type }) => type === producer);
      expect(own.map(({ stream, data }) => `${stream}/${data}`)).toEqual(sent[producer]);
    }
    expect(stored.map(({ global }) => global)).toEqual(stored.map((_, n) => n + 1));
    expect(shard.pipeline.stats().flushes).toBeGreaterThan(10);
  });

  test('of two shards share a stream without gaps', async () => {
    const namespace = await freshNamespace();
    using left = new TestShard(namespace, { batchRows: 5 });
    using right = new TestShard(namespace, { batchRows: 5 });
    for (let n = 0; n < 50; n += 1) {
      left.send('left', { stream: 's-1', type: 'L', data: n });
      right.send('right', { stream: 's-1', type: 'R', data: n });
    }
    await Promise.all([left.settle(), right.settle()]);
    const stored = await messagesOf(namespace);
    expect(stored.map(({ position }) => position)).toEqual(stored.map((_, n) => n));
    for (const type of ['L', 'R']) {
      expect(stored.filter((message) => message.type === type).map(({ data }) => Number(data))).toEqual(
        Array.from({ length: 50 }, (_, n) => n),
      );
    }
  });
});

test('a client of sluice.v1 hears what was committed, and which message cannot be appended', async () => {
  const namespace = await freshNamespace();
  using shard = new TestShard(namespace);
  const said: string[] = [];
  const session = shard.pipeline.openSession(
    { send: (frame) => void said.push(frame), close: (code) => void said.push(`closed with ${code}`) },
    { producer: 'till', protocol: 'sluice.v1', nowMs: shard.timers.now() },
  );
  session.receive('{"t":"hello","ack":"committed"}', shard.timers.now());
  const { epoch } = JSON.parse(said.shift() ?? '{}') as { epoch: number };
  const lines = ['{"stream":"s-1","type":"T"}', '{"type":"T"}', '{"stream":"s-1","type":"U"}'];
  session.receive(`{"t":"batch","seq":1,"n":3}\n${lines.join('\n')}`, shard.timers.now());
  await shard.settle();
  const frames = said.map((frame) => JSON.parse(frame) as Record<string, unknown>);
  expect(frames).toContainEqual(
    expect.objectContaining({
      t: 'nack',
      code: 'dead_letter',
      from: 2,
      to: 2,
      message: expect.stringContaining('names no stream'),
    }),
  );
  expect(frames.at(-1)).toMatchObject({ t: 'ack', stored: 3, committed: 3 });
  const ids = new DerivedIds('events');
  expect((await messagesOf(namespace)).map(({ type, id }) => [type, id])).toEqual([
    ['T', ids.idOf('till', epoch, 1)],
    ['U', ids.idOf('till', epoch, 3)],
  ]);
});

describe('a batch whose outcome is not known', () => {
  test.each<[Failpoint, boolean]>([
    ['after_begin', false],
    ['after_rows', false],
    ['after_commit', true],
  ])('is written once, where the connection was lost %s', async (point, isInBefore) => {
    const namespace = await freshNamespace();
    using shard = new TestShard(namespace);
    let failed = 0;
    shard.faults.plan(point, () => {
      failed += 1;
      shard.close();
      throw new Error('the connection was lost');
    });
    shard.send('p', { stream: 's-1', type: 'T', data: 1 }, { stream: 's-2', type: 'T', data: 2 });
    shard.pipeline.flush();
    await shard.pipeline.nextAttempt();
    expect([failed, shard.pipeline.state]).toEqual([1, 'retrying']);
    // What the shard does not know by now, the database does.
    expect(await messagesOf(namespace)).toHaveLength(isInBefore ? 2 : 0);
    await shard.settle();
    shard.send('p', { stream: 's-1', type: 'T', data: 3 });
    await shard.settle();
    expect(
      (await messagesOf(namespace)).map(({ stream, position, data }) => [stream, position, data]),
    ).toEqual([
      ['s-1', 0, '1'],
      ['s-2', 0, '2'],
      ['s-1', 1, '3'],
    ]);
    expect(shard.pipeline.stats()).toMatchObject({ committed: 3, dead: 0, buffered: 0 });
    expect(shard.opened).toBe(2);
  });
});

test('batches are in once where the network is cut around their COMMIT', async () => {
  const namespace = await freshNamespace();
  const { hostname, port } = new URL(database.target.url);
  const proxy = await startFaultProxy({ target: { host: hostname, port: Number(port) } });
  try {
    using shard = new TestShard(namespace, { batchRows: 4 }, proxy.url(database.target.url));
    const committed: number[] = [];
    let n = 0;
    for (let round = 0; round < 12; round += 1) {
      const messages = Array.from({ length: 4 }, () => ({ stream: `s-${n % 2}`, type: 'T', data: n++ }));
      shard.send('p', ...messages);
      const cut = proxy.next('cut');
      const when = round % 3 === 2 ? 'before' : 'after';
      proxy.set({ cutAfter: { ...POSTGRES_COMMIT, direction: 'upstream', when, times: 1 } });
      shard.pipeline.flush();
      await cut;
      await shard.pipeline.nextAttempt();
      committed.push((await messagesOf(namespace)).length);
      await shard.settle();
    }
    // Both happened: commits that nobody heard of, and batches that never were.
    expect(committed.filter((rows, round) => rows === 4 * (round + 1))).toHaveLength(8);
    expect(shard.pipeline.stats()).toMatchObject({ committed: n, dead: 0, buffered: 0 });
    const stored = await messagesOf(namespace);
    expect(stored.map(({ data }) => Number(data))).toEqual(Array.from({ length: n }, (_, index) => index));
    expect(proxy.stats.cuts).toBe(12);
  } finally {
    await proxy.close();
  }
});

test('a message that comes to another shard too, as after a change of `shards`, is not in its stream twice', async () => {
  const namespace = await freshNamespace();
  using before = new TestShard(namespace);
  using after = new TestShard(namespace);
  for (const shard of [before, after]) {
    shard.send('p', { stream: 's-1', type: 'T', data: 1 });
    if (shard === after) shard.send('p', { stream: 's-1', type: 'T', data: 2 });
    await shard.settle();
  }
  expect((await messagesOf(namespace)).map(({ data }) => data)).toEqual(['1', '2']);
  expect(after.dead()).toMatchObject([
    { sqlState: '23505', reason: expect.stringContaining('is in the store') },
  ]);
});

describe('a message that cannot be appended', () => {
  test('becomes a dead letter that says why, and its neighbours land in their order', async () => {
    const namespace = await freshNamespace();
    using shard = new TestShard(namespace);
    const bad: [unknown, RegExp][] = [
      [{ type: 'T' }, /names no stream/],
      ['5', /not a JSON object/],
      [{ stream: '', type: 'T' }, /Cannot use "" as a stream name: it is empty/],
      [{ stream: '-1', type: 'T' }, /Cannot use "-1" as a stream name/],
      [{ stream: `s-${'x'.repeat(300)}`, type: 'T' }, /longer than 255 characters/],
      [{ stream: 's-1' }, /no type/],
      [{ stream: 's-1', type: 'x'.repeat(300) }, /type is longer than 255 characters/],
      [{ stream: 's-1', type: 'T', id: 'one' }, /id is not a UUID: "one"/],
      [{ stream: 's-1', type: 'T', expectedVersion: 0 }, /nobody waits for the answer/],
      [{ stream: 's-1', type: 'T', meta: {} }, /has the member "meta"/],
    ];
    const messages = bad.flatMap(([message], n) => [message, { stream: 's-1', type: 'Good', data: n }]);
    shard.send('p', { stream: 's-1', type: 'Good', data: -1 }, ...messages);
    await shard.settle();
    const stored = await messagesOf(namespace);
    expect(stored.map(({ type, position, data }) => [type, position, Number(data)])).toEqual(
      [-1, ...bad.keys()].map((n, position) => ['Good', position, n]),
    );
    expect(shard.pipeline.stats()).toMatchObject({
      committed: bad.length + 1,
      dead: bad.length,
      buffered: 0,
    });
    expect(shard.opened).toBe(1);
    const dead = shard.dead();
    expect(dead).toHaveLength(bad.length);
    dead.forEach(({ payload, reason, sqlState }, n) => {
      const [message, text] = bad[n] as [unknown, RegExp];
      expect(payload).toBe(typeof message === 'string' ? message : JSON.stringify(message));
      expect(reason).toMatch(text);
      expect(reason).not.toContain("sink's own code");
      expect(sqlState).toBeNull();
    });
  });

  test('for its id, which the store has, is one too, and the connection is kept', async () => {
    const namespace = await freshNamespace();
    using shard = new TestShard(namespace);
    const id = '0189c7b0-0000-7000-8000-00000000000a';
    shard.send('p', { stream: 's-1', type: 'First', id });
    await shard.settle();
    shard.send(
      'p',
      { stream: 's-1', type: 'Good', data: 1 },
      { stream: 's-2', type: 'Again', id },
      { stream: 's-1', type: 'Good', data: 2 },
      { stream: 's-1', type: 'Twice', id: id.replace('a', 'b') },
      { stream: 's-1', type: 'Twice', id: id.replace('a', 'b') },
      { stream: 's-1', type: 'Good', data: 3 },
    );
    await shard.settle();
    expect((await messagesOf(namespace)).map(({ type, data }) => `${type} ${data}`)).toEqual([
      'First {}',
      'Good 1',
      'Good 2',
      'Twice {}',
      'Good 3',
    ]);
    expect(shard.dead().map(({ reason, sqlState }) => [reason, sqlState])).toEqual([
      [`A message with the id ${id} is in the store already: unique_violation`, '23505'],
      [`A message with the id ${id.replace('a', 'b')} is in the store already: unique_violation`, '23505'],
    ]);
    expect(shard.opened).toBe(1);
  });

  test('can be corrected and retried', async () => {
    const namespace = await freshNamespace();
    using shard = new TestShard(namespace);
    shard.send('p', { stream: 's-1', type: 'Good' }, { strem: 's-1', type: 'Late' });
    await shard.settle();
    const { letters } = shard.deadLetters.take('all');
    expect(letters).toHaveLength(1);
    const corrected = letters.map((letter) => ({ ...letter, payload: '{"stream":"s-1","type":"Late"}' }));
    shard.pipeline.retry(corrected, shard.timers.now());
    await shard.settle();
    expect((await messagesOf(namespace)).map(({ type, position }) => [type, position])).toEqual([
      ['Good', 0],
      ['Late', 1],
    ]);
  });
});

test('messages of a namespace that does not exist wait until somebody creates it', async () => {
  const namespace = freshName('later');
  using shard = new TestShard(namespace);
  shard.send('p', { stream: 's-1', type: 'T', data: 1 }, { stream: 's-1', type: 'T', data: 2 });
  await shard.settle();
  expect(shard.pipeline.state).toBe('paused');
  expect(shard.pipeline.stats()).toMatchObject({ buffered: 2, dead: 0 });
  await createNamespaceSchema(onlooker, namespace, STORES);
  shard.pipeline.flush();
  await shard.pipeline.drained();
  expect((await messagesOf(namespace)).map(({ data }) => data)).toEqual(['1', '2']);
});

test('whatever is sent and whatever fails, each good message is in its stream once and in order', async () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        producer: fc.constantFrom('a', 'b'),
        messages: fc.array(
          fc.record({ stream: fc.constantFrom('s-1', 's-2', 't-1'), isGood: fc.boolean() }),
          { minLength: 1, maxLength: 12 },
        ),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        fault: fc.constantFrom<Failpoint>('after_begin', 'after_rows', 'after_commit'),
      }),
    },
    { weight: 3, arbitrary: fc.constant({ flush: true }) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 14 }),
      fc.integer({ min: 1, max: 9 }),
      async (steps, batchRows) => {
        const namespace = await freshNamespace();
        using shard = new TestShard(namespace, { batchRows });
        const good: Record<string, number[]> = {};
        const bad: Record<string, number[]> = {};
        let n = 0;
        for (const what of steps) {
          if ('fault' in what) {
            shard.faults.plan(what.fault, () => {
              shard.close();
              throw new Error('the connection was lost');
            });
          } else if ('flush' in what) {
            shard.pipeline.flush();
            await shard.pipeline.nextAttempt();
          } else {
            const messages = what.messages.map(({ stream, isGood }) => {
              n += 1;
              const type = what.producer;
              if (!isGood) {
                bad[type] = [...(bad[type] ?? []), n];
                return { type, data: n };
              }
              const place = `${type} in ${stream}`;
              good[place] = [...(good[place] ?? []), n];
              return { stream, type, data: n };
            });
            shard.send(what.producer, ...messages);
          }
        }
        await shard.settle();
        const stored: Record<string, number[]> = {};
        const versions: Record<string, number> = {};
        for (const { stream, position, type, data } of await messagesOf(namespace)) {
          versions[stream] = (versions[stream] ?? -1) + 1;
          expect(position).toBe(versions[stream]);
          const place = `${type} in ${stream}`;
          stored[place] = [...(stored[place] ?? []), Number(data)];
        }
        expect(stored).toEqual(good);
        const dead: Record<string, number[]> = {};
        for (const { payload } of shard.dead()) {
          const { type, data } = JSON.parse(payload) as { type: string; data: number };
          dead[type] = [...(dead[type] ?? []), data];
        }
        expect(dead).toEqual(bad);
        await rowsOf(onlooker, `drop schema "${schemaOfNamespace(namespace)}" cascade`);
      },
    ),
    { numRuns: 30 },
  );
});

test('a shard without storage cannot have a sink of streams', () => {
  const shard = {
    sink: defineStreamSink('events', { namespace: 'main' }),
    openConnection: () => database.open(),
    timers: new FakeTimers(),
    random: () => 0.5,
  };
  expect(() => new Pipeline(shard)).toThrow(expect.objectContaining({ code: 'invalid_configuration' }));
  expect(new Pipeline({ ...shard, sqlite: new NodeSqlite() }).delivery).toBe('exactly-once');
});

describe('a definition', () => {
  test('has the options of any sink, but its own way of writing and durability', () => {
    expect(defineStreamSink('events', { namespace: 'main', options: { batchRows: 10 } })).toMatchObject({
      kind: 'stream',
      name: 'events',
      namespace: 'main',
      checkpointTable: 'sluice_checkpoints',
      options: { batchRows: 10, lingerMs: 100, durability: 'outbox' },
    });
  });

  test.each([
    [{ namespace: '' }, 'invalid_namespace'],
    [{ namespace: 'a"b' }, 'invalid_namespace'],
    [{ namespace: 'main', options: { writer: 'copy' } }, 'invalid_options'],
    [{ namespace: 'main', options: { durability: 'memory' } }, 'invalid_options'],
    [{ namespace: 'main', options: { batchRows: 0 } }, 'invalid_options'],
  ])('is refused: %j', (definition, code) => {
    expect(() => defineStreamSink('events', definition as never)).toThrow(expect.objectContaining({ code }));
  });
});
