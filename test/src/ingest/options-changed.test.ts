/** A shard whose options change while messages wait in its storage: what it holds decides what it does. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  benchSink,
  benchTableName,
  createBenchCheckpoints,
  createBenchTable,
} from '../../../lab/suites/ingest/bench-sink.ts';
import type { Failpoints } from '../../../src/core/failpoints.ts';
import { systemTimers } from '../../../src/core/timers.ts';
import type { Connection } from '../../../src/database/connection.ts';
import type { IntakeStats } from '../../../src/ingest/intake.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { settled } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { openConnection } from '../../support/open-connection.ts';

const database = testDatabase('tcp');
let onlooker: Connection;

beforeAll(async () => {
  onlooker = await database.open();
  await rowsOf(onlooker, createBenchCheckpoints());
});
afterAll(() => onlooker.close());

type Frame = Record<string, unknown> & { t: string };

/** The session of each producer's last welcome. */
const sessions = new Map<string, string>();

/** A client that keeps nothing but its session: it sends what the test says. */
class Client {
  readonly frames: Frame[] = [];
  closed: number | undefined;
  readonly #session;
  readonly #pipeline: Pipeline;

  constructor(pipeline: Pipeline, producer: string, hello: Record<string, unknown> = {}) {
    this.#pipeline = pipeline;
    this.#session = pipeline.openSession(
      {
        send: (frame) => this.frames.push(JSON.parse(frame) as Frame),
        close: (code) => {
          this.closed = code;
        },
      },
      { producer, protocol: 'sluice.v1', nowMs: Date.now() },
    );
    const session = hello.resume === true ? (sessions.get(producer) ?? '1.none') : undefined;
    this.#session.receive(JSON.stringify({ t: 'hello', session, ...hello }), Date.now());
    if (typeof this.welcome?.session === 'string') sessions.set(producer, this.welcome.session);
  }

  get welcome(): Frame | undefined {
    return this.frames.find(({ t }) => t === 'welcome');
  }

  /** What it sends is stored at once, where there is an outbox. */
  send(seq: number, payloads: readonly string[]): void {
    const frame = `{"t":"batch","seq":${seq},"n":${payloads.length}}\n${payloads.join('\n')}`;
    this.#session.receive(frame, Date.now());
    this.#pipeline.storeGroup();
  }
}

/** A shard that is started again and again on one storage, with other options each time. */
class Shard {
  readonly sqlite = new NodeSqlite();
  readonly table = freshName('changed');
  readonly #lives: Connection[][] = [];
  pipeline!: Pipeline;
  deadLetters!: DeadLetters;
  /** False: no connection can be had. */
  isDatabaseThere = false;
  /** What fails next time. */
  loseAnswer = false;
  readonly #opened: (() => void)[] = [];

  static async create(check?: string): Promise<Shard> {
    const shard = new Shard();
    await rowsOf(onlooker, createBenchTable(shard.table, 'text'));
    if (check !== undefined)
      await rowsOf(onlooker, `alter table ${benchTableName(shard.table)} add check (${check})`);
    return shard;
  }

  /** Ends the object as a crash would, and starts another one. */
  start(options: Partial<SinkOptions>): Pipeline {
    this.end();
    const connections: Connection[] = [];
    this.#lives.push(connections);
    let isOver = false;
    this.#opened.push(() => {
      isOver = true;
    });
    const failpoints: Failpoints = {
      hit() {},
      pass: async (point) => {
        if (point !== 'after_commit' || !this.loseAnswer) return;
        for (const connection of connections) connection.close();
        throw new Error('the answer was lost');
      },
    };
    const sink = benchSink({
      table: this.table,
      column: 'text',
      options: { lingerMs: 0, groupMs: 0, ...options },
    });
    const { maxDeadLetters: maxRows, maxDeadLetterBytes: maxBytes } = sink.options;
    this.deadLetters = new DeadLetters({ sqlite: this.sqlite, maxRows, maxBytes });
    this.pipeline = new Pipeline({
      sink,
      shard: this.table,
      openConnection: async () => {
        if (!this.isDatabaseThere || isOver) throw new Error('connection refused');
        const connection = await openConnection(database.target);
        connections.push(connection);
        return connection;
      },
      timers: systemTimers,
      random: Math.random,
      sqlite: this.sqlite,
      deadLetters: this.deadLetters,
      failpoints,
    });
    return this.pipeline;
  }

  end(): void {
    for (const end of this.#opened.splice(0)) end();
    for (const connections of this.#lives.splice(0)) for (const connection of connections) connection.close();
  }

  /** Writes all there is. */
  async write(): Promise<IntakeStats> {
    this.isDatabaseThere = true;
    this.pipeline.flush();
    await this.pipeline.drained();
    await settled();
    return this.pipeline.stats();
  }

  async rows(): Promise<string[]> {
    const rows = await rowsOf<{ payload: string }>(
      onlooker,
      `select payload from ${benchTableName(this.table)} order by id`,
    );
    return rows.map(({ payload }) => payload);
  }
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`);
}

const resume = (epoch: unknown, next: number, ack = 'committed') => ({ ack, epoch, resume: true, next });

describe('durability from outbox to memory', () => {
  test('what waits in the outbox is counted, and written first', async () => {
    const shard = await Shard.create();
    new Client(shard.start({}), 'a').send(1, numbers(1, 100));
    const pipeline = shard.start({ durability: 'memory' });
    expect(pipeline.isBusy, 'so that the alarm is set').toBe(true);
    expect(pipeline.stats()).toMatchObject({ buffered: 100, recovered: 100, state: 'running' });
    const other = new Client(pipeline, 'b', { ack: 'committed' });
    other.send(1, numbers(101, 200));
    expect(pipeline.stats()).toMatchObject({ buffered: 200, received: 200 });
    expect(await shard.write()).toMatchObject({ buffered: 0, committed: 200, outboxBytes: 0 });
    expect(await shard.rows()).toEqual(numbers(1, 200));
    shard.end();
  });

  test('sequences that were stored are known: what comes again is no second message', async () => {
    const shard = await Shard.create();
    const before = new Client(shard.start({}), 'a');
    before.send(1, numbers(1, 50));
    const pipeline = shard.start({ durability: 'memory' });
    // Its last acks were lost on the way.
    const after = new Client(pipeline, 'a', resume(before.welcome?.epoch, 31));
    expect(after.welcome).toMatchObject({ known: true, taken: 50, committed: 0 });
    expect(after.welcome).not.toHaveProperty('missing');
    after.send(31, numbers(31, 80));
    await shard.write();
    expect(await shard.rows()).toEqual(numbers(1, 80));
    expect(pipeline.stats()).toMatchObject({ duplicate: 20, committed: 80 });
    shard.end();
  });

  test('and back again: what was acked meanwhile is not missing', async () => {
    const shard = await Shard.create();
    const before = new Client(shard.start({}), 'a');
    before.send(1, numbers(1, 50));
    const { epoch } = before.welcome as Frame;
    new Client(shard.start({ durability: 'memory' }), 'a', resume(epoch, 51)).send(51, numbers(51, 90));
    await shard.write();
    const client = new Client(shard.start({}), 'a', resume(epoch, 91, 'stored'));
    expect(client.welcome).toMatchObject({ stored: 90, known: false });
    expect(client.welcome).not.toHaveProperty('missing');
    client.send(91, numbers(91, 100));
    await shard.write();
    expect(await shard.rows()).toEqual(numbers(1, 100));

    // The control: what the storage has lost while it knew all is still said to be missing.
    const known = new Client(shard.start({}), 'a', resume(epoch, 111, 'stored'));
    expect(known.welcome).toMatchObject({ known: true, missing: { from: 101, to: 110 } });
    shard.end();
  });

  test('a later start in memory does not take what it knows for all there was', async () => {
    const shard = await Shard.create();
    const before = new Client(shard.start({}), 'a');
    before.send(1, numbers(1, 10));
    await shard.write();
    const { epoch } = before.welcome as Frame;
    new Client(shard.start({ durability: 'memory' }), 'a', resume(epoch, 11)).send(11, numbers(11, 20));
    await shard.write();
    const client = new Client(shard.start({ durability: 'memory' }), 'a', resume(epoch, 21));
    expect(client.welcome).toMatchObject({ taken: 20, known: false });
    expect(client.welcome).not.toHaveProperty('missing');
    shard.end();
  });

  test('an outbox that nothing was taken beside leaves all sequences known', async () => {
    const shard = await Shard.create();
    const before = new Client(shard.start({}), 'a');
    before.send(1, numbers(1, 10));
    shard.start({ durability: 'memory' });
    await shard.write();
    const client = new Client(shard.start({}), 'a', resume(before.welcome?.epoch, 11, 'stored'));
    expect(client.welcome).toMatchObject({ stored: 10, committed: 10, known: true });
    expect(await shard.rows()).toEqual(numbers(1, 10));
    shard.end();
  });

  test('an epoch that was fenced stays fenced', async () => {
    const shard = await Shard.create();
    const before = new Client(shard.start({}), 'a');
    before.send(1, ['1']);
    const epoch = before.welcome?.epoch as number;
    const older = new Client(shard.start({ durability: 'memory' }), 'a', resume(epoch - 1, 1));
    expect(older.closed).toBe(4410);
    shard.end();
  });

  test('a shard of memory alone still stores nothing', async () => {
    const shard = await Shard.create();
    const pipeline = shard.start({ durability: 'memory' });
    const before = shard.sqlite.rowsWritten;
    new Client(pipeline, 'a', { ack: 'committed' }).send(1, numbers(1, 10));
    await shard.write();
    expect(shard.sqlite.rowsWritten).toBe(before);
    shard.end();
  });

  test('memory has its limits while it waits', async () => {
    const shard = await Shard.create();
    const before = new Client(shard.start({}), 'a');
    for (let seq = 1; seq <= 2_000; seq += 100) before.send(seq, numbers(seq, seq + 99));
    const pipeline = shard.start({ durability: 'memory', maxBufferBytes: 64 * 1024 });
    const client = new Client(pipeline, 'b', { ack: 'committed' });
    for (let seq = 1; seq < 1_000; seq += 1) client.send(seq, [`"${'x'.repeat(200)}"`]);
    expect(pipeline.stats().bufferedBytes).toBeLessThanOrEqual(65 * 1024);
    expect(client.frames.some(({ t, code }) => t === 'nack' && code === 'buffer_full')).toBe(true);
    await shard.write();
    expect((await shard.rows()).slice(0, 2_000)).toEqual(numbers(1, 2_000));
    shard.end();
  });

  test('a dead letter that is retried stays durable', async () => {
    const shard = await Shard.create("payload not like '%poison%'");
    new Client(shard.start({}), 'a').send(1, ['1', '"poison"', '3']);
    await shard.write();
    expect(shard.deadLetters.count).toBe(1);
    shard.isDatabaseThere = false;
    const pipeline = shard.start({ durability: 'memory' });
    const { letters } = shard.deadLetters.take('all');
    pipeline.retry(
      letters.map((letter) => ({ ...letter, payload: '2' })),
      Date.now(),
    );
    new Client(pipeline, 'b', { ack: 'committed' }).send(1, ['4']);
    // The object ends before Postgres was there.
    const next = shard.start({ durability: 'memory' });
    expect(next.stats()).toMatchObject({ buffered: 1, recovered: 1 });
    await shard.write();
    expect(await shard.rows()).toEqual(['1', '3', '2']);
    shard.end();
  });
});

describe('another writer', () => {
  test.each(['naive', 'buffered'] as const)(
    'a batch whose answer was lost is not written a second time by %s',
    async (writer) => {
      const shard = await Shard.create();
      new Client(shard.start({ writer: 'copy' }), 'a').send(1, numbers(1, 100));
      shard.isDatabaseThere = true;
      shard.loseAnswer = true;
      shard.pipeline.flush();
      await shard.pipeline.nextAttempt();
      expect(await shard.rows(), 'the control: it is in Postgres').toEqual(numbers(1, 100));
      expect(shard.pipeline.stats(), 'and the shard does not know').toMatchObject({ buffered: 100 });
      shard.loseAnswer = false;
      const pipeline = shard.start({ writer, lingerMs: 10 });
      new Client(pipeline, 'b').send(1, numbers(101, 150));
      expect(await shard.write()).toMatchObject({ committed: 150, buffered: 0 });
      expect((await shard.rows()).toSorted((a, b) => Number(a) - Number(b))).toEqual(numbers(1, 150));

      // And back: the checkpoint goes on where it was.
      new Client(shard.start({ writer: 'copy' }), 'c').send(1, numbers(151, 160));
      expect(await shard.write()).toMatchObject({ committed: 10, failures: 0 });
      expect((await shard.rows()).toSorted((a, b) => Number(a) - Number(b))).toEqual(numbers(1, 160));
      shard.end();
    },
  );
});

describe('limits that were lowered below what is there', () => {
  test('an outbox above its new limit takes nothing, says so, and is written', async () => {
    const shard = await Shard.create();
    new Client(shard.start({}), 'a').send(1, numbers(1, 2_000));
    const pipeline = shard.start({ maxOutboxRows: 1_000, maxBufferBytes: 64 * 1024 });
    const client = new Client(pipeline, 'b');
    expect(client.welcome).toMatchObject({ credit: { messages: 0, bytes: 0 } });
    expect(await shard.write()).toMatchObject({ committed: 2_000, buffered: 0 });
    client.send(1, ['2001']);
    await shard.write();
    expect(await shard.rows()).toEqual(numbers(1, 2_001));
    shard.end();
  });

  test('dead letters above their new limit pause the shard, and none of them is lost', async () => {
    const shard = await Shard.create("payload not like '%poison%'");
    new Client(shard.start({}), 'a').send(1, ['"poison 1"', '"poison 2"', '"poison 3"']);
    await shard.write();
    const pipeline = shard.start({ maxDeadLetters: 2 });
    new Client(pipeline, 'b').send(1, ['1', '"poison 4"']);
    pipeline.flush();
    await pipeline.settledOrPaused();
    expect(pipeline.stats()).toMatchObject({
      state: 'paused',
      lastErrorCode: 'dead_letters_full',
      deadLetters: 3,
      buffered: 1,
    });
    shard.start({});
    await shard.write();
    expect(shard.deadLetters.count).toBe(4);
    expect(await shard.rows()).toEqual(['1']);
    shard.end();
  });
});

test.each([
  [3, 1],
  [1, 3],
] as const)(
  'connections from %i to %i: every lane is emptied, each producer in its order',
  async (from, to) => {
    const shard = await Shard.create();
    const pipeline = shard.start({ connections: from });
    const names = ['a', 'b', 'c', 'd', 'e'];
    const clients = names.map((name) => new Client(pipeline, name));
    for (const [index, client] of clients.entries())
      client.send(
        1,
        numbers(1, 20).map((n) => `"${names[index]}${n}"`),
      );
    const changed = shard.start({ connections: to });
    expect(changed.stats()).toMatchObject({ buffered: 100 });
    for (const [index, name] of names.entries())
      new Client(changed, name, resume(clients[index]?.welcome?.epoch, 21)).send(
        21,
        numbers(21, 30).map((n) => `"${name}${n}"`),
      );
    expect(await shard.write()).toMatchObject({ committed: 150, buffered: 0 });
    const rows = await shard.rows();
    for (const name of names)
      expect(rows.filter((row) => row.startsWith(`"${name}`))).toEqual(
        numbers(1, 30).map((n) => `"${name}${n}"`),
      );
    shard.end();
  },
);
