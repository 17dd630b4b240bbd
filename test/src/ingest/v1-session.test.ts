import { type SQL, sql } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import { afterEach, describe, expect, test } from 'vitest';
import { benchSink } from '../../../lab/suites/ingest/bench-sink.ts';
import {
  HELLO_TIME_LIMIT_MS,
  MAX_BAD_FRAMES,
  MAX_CREDIT_BYTES,
  MAX_CREDIT_MESSAGES,
  MAX_FRAME_BYTES,
  MAX_FRAME_MESSAGES,
  MAX_OVER_CREDIT,
  MAX_UNCONFIRMED_BYTES,
  PING_AFTER_BYTES,
  PONG_TIME_LIMIT_MS,
  SLOW_READER_BYTES,
} from '../../../src/core/limits.ts';
import type { Connection, Database } from '../../../src/database/connection.ts';
import type { IntakeStats, Peer, SessionMemory } from '../../../src/ingest/intake.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import { ProducerRegistry } from '../../../src/outbox/producer-registry.ts';
import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

type Frame = Record<string, unknown> & { t: string };

/** One client's socket: what the server sent, and how it was closed. */
class FakePeer implements Peer {
  readonly frames: Frame[] = [];
  readonly texts: string[] = [];
  closed: { code: number; reason: string } | undefined;
  /** Characters of all that was sent. */
  bytes = 0;
  /** Frames up to here were looked at. */
  #seen = 0;

  send(frame: string): void {
    if (this.closed !== undefined) throw new Error(`sent after the close: ${frame}`);
    this.texts.push(frame);
    this.bytes += frame.length;
    this.frames.push(frame === 'pong' ? { t: 'pong' } : (JSON.parse(frame) as Frame));
  }

  close(code: number, reason: string): void {
    if (this.closed !== undefined) throw new Error('closed twice');
    expect(new TextEncoder().encode(reason).length).toBeLessThanOrEqual(123);
    this.closed = { code, reason };
  }

  /** What came since this was last asked. */
  news(): Frame[] {
    const news = this.frames.slice(this.#seen);
    this.#seen = this.frames.length;
    return news;
  }

  last(t: string): Frame | undefined {
    return this.frames.findLast((frame) => frame.t === t);
  }
}

/** A Postgres that answers as the test says, and refuses whatever holds `poison`. */
class FakePostgres {
  isAway = false;
  rows: string[] = [];
  /** Batches wait here while it is slow. */
  isSlow = false;
  readonly waiting: (() => void)[] = [];

  readonly open = async (): Promise<Connection> => {
    if (this.isAway) throw new Error('connection refused');
    let written: string[] = [];
    let isInTransaction = false;
    const execute = async (query: SQL): Promise<unknown> => {
      const text = new PgDialect().sqlToQuery(query).sql;
      // What the writers ask of the table's types.
      if (text.includes('to_regclass'))
        return { rows: [{ hasArrayNulls: true, tableSchema: null, column: null }] };
      if (text.startsWith('insert into "sluice_bench'))
        return { command: 'INSERT', rowCount: null, rows: [] };
      isInTransaction = text.startsWith('begin');
      if (isInTransaction) return [{}, {}, {}, { command: 'UPDATE', rowCount: 1 }];
      if (text.startsWith('commit')) this.rows.push(...written);
      written = [];
      return { command: text === 'commit' ? 'COMMIT' : 'ROLLBACK', rowCount: null };
    };
    return {
      db: { execute } as unknown as Database,
      isOpen: true,
      copy: async (_, data) => {
        if (this.isSlow) await new Promise<void>((resolve) => this.waiting.push(resolve));
        const lines = data
          .map((chunk) => new TextDecoder().decode(chunk))
          .join('')
          .split('\n');
        if (lines.some((line) => line.includes('poison'))) {
          throw Object.assign(new Error('violates check constraint'), { code: '23514' });
        }
        const payloads = lines.slice(0, -1).map((line) => line.split('\t')[3] as string);
        if (isInTransaction) written = payloads;
        else this.rows.push(...payloads);
      },
      copyStream: () => Promise.reject(new Error('not used')),
      cancel() {},
      close() {},
    };
  };

  /** Lets one batch through. */
  async answer(): Promise<void> {
    await settled();
    this.waiting.shift()?.();
    await settled();
  }
}

interface Bed {
  pipeline: Pipeline;
  timers: FakeTimers;
  postgres: FakePostgres;
  sqlite: NodeSqlite;
  deadLetters: DeadLetters;
  storageFailures: unknown[];
}

const beds: Bed[] = [];

function bed(
  options: Partial<SinkOptions> = {},
  { sqlite = new NodeSqlite(), timers = new FakeTimers() }: { sqlite?: NodeSqlite; timers?: FakeTimers } = {},
): Bed {
  const postgres = new FakePostgres();
  const deadLetters = new DeadLetters({ sqlite, maxRows: 100, maxBytes: 1e9 });
  const storageFailures: unknown[] = [];
  const pipeline = new Pipeline({
    sink: benchSink({
      table: 'unused',
      column: 'jsonb',
      options: { lingerMs: 0, keepSettledMs: 0, ...options },
    }),
    openConnection: postgres.open,
    timers,
    random: () => 0.5,
    sqlite,
    deadLetters,
    onStorageFailure: (error) => storageFailures.push(error),
  });
  const made = { pipeline, timers, postgres, sqlite, deadLetters, storageFailures };
  beds.push(made);
  return made;
}

/** The shard is started again on the same storage. */
function again({ sqlite, timers }: Bed, options: Partial<SinkOptions> = {}): Bed {
  return bed(options, { sqlite, timers });
}

// Whatever a test did, every message that arrived is somewhere.
afterEach(() => {
  for (const { pipeline, storageFailures } of beds.splice(0)) {
    expect(sumOf(pipeline.stats())).toBe(pipeline.stats().received);
    expect(storageFailures).toEqual([]);
  }
});

function sumOf({ committed, dead, duplicate, buffered, refused }: IntakeStats): number {
  return Object.values(refused).reduce((sum, count) => sum + count, committed + dead + duplicate + buffered);
}

/** The session of the last welcome, by storage and producer. */
const lastSessions = new WeakMap<NodeSqlite, Map<string, string>>();

/** A client of `sluice.v1` that sends what it is told to. It resumes the last session of its producer, also another client's. */
class Client {
  readonly peer = new FakePeer();
  readonly session: ReturnType<Pipeline['openSession']>;
  readonly remembered: SessionMemory[] = [];
  readonly #timers: FakeTimers;
  readonly #producer: string;
  readonly #sessions: Map<string, string>;

  constructor({ pipeline, timers, sqlite }: Bed, producer = 'p', memory?: SessionMemory) {
    this.#timers = timers;
    this.#producer = producer;
    const sessions = lastSessions.get(sqlite) ?? new Map<string, string>();
    lastSessions.set(sqlite, sessions);
    this.#sessions = sessions;
    this.session = pipeline.openSession(this.peer, {
      producer,
      protocol: 'sluice.v1',
      nowMs: timers.now(),
      memory,
      onRemember: (found) => this.remembered.push(found),
    });
  }

  send(frame: string | object | ArrayBuffer): this {
    const isText = typeof frame === 'string' || frame instanceof ArrayBuffer;
    this.session.receive(isText ? frame : JSON.stringify(frame), this.#timers.now());
    return this;
  }

  hello(fields: Record<string, unknown> = {}): Frame {
    const session = fields.resume === true ? (this.#sessions.get(this.#producer) ?? '1.none') : undefined;
    this.send({ t: 'hello', session, ...fields });
    const answer = this.peer.news().at(-1) as Frame;
    if (typeof answer?.session === 'string') this.#sessions.set(this.#producer, answer.session);
    return answer;
  }

  batch(seq: number, ...lines: string[]): this {
    return this.send(`{"t":"batch","seq":${seq},"n":${lines.length}}\n${lines.join('\n')}`);
  }

  /** Lets the group be stored; behind a large one, a group takes longer. */
  stored(): Frame[] {
    this.#timers.advance(20);
    return this.peer.news();
  }
}

function welcomed(on: Bed, fields: Record<string, unknown> = {}, producer = 'p'): Client {
  const client = new Client(on, producer);
  expect(client.hello(fields)).toMatchObject({ t: 'welcome' });
  return client;
}

/** Messages from one number to another. */
function lines(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `{"n":${from + index}}`);
}

/** Everything that fake time and fake Postgres still have to do. */
async function idle({ timers }: Bed): Promise<void> {
  for (let round = 0; round < 6; round += 1) {
    await settled();
    timers.advance(1);
  }
  await settled();
}

function tableRows(on: Bed, table: string): number {
  return on.sqlite.run<{ n: number }>(`select count(*) as n from ${table}`)[0]?.n as number;
}

describe('the first frame', () => {
  test('is a hello, which is welcomed with all that the law lists', () => {
    const on = bed();
    expect(new Client(on, 'dev-7f3a').hello()).toEqual({
      t: 'welcome',
      producer: 'dev-7f3a',
      session: expect.stringMatching(/^1\.[0-9a-f]{8}$/),
      epoch: on.timers.now(),
      known: false,
      ack: 'stored',
      stored: 0,
      committed: 0,
      credit: { messages: MAX_CREDIT_MESSAGES, bytes: MAX_CREDIT_BYTES },
      limits: { frameBytes: MAX_FRAME_BYTES, messageBytes: 65_536, frameMessages: MAX_FRAME_MESSAGES },
      delivery: 'exactly-once',
    });
  });

  test.each([
    '{"t":"batch","seq":1,"n":1}\n1',
    '{"t":"ping"}',
    '{"t":"bye"}',
    'hello',
    '',
    '{}',
    new ArrayBuffer(4),
  ])('and anything before it closes the socket with 4400: %s', (frame) => {
    const on = bed();
    const client = new Client(on).send(frame);
    expect(client.peer.closed).toMatchObject({ code: 4400 });
    expect(client.peer.frames).toEqual([]);
    // Nothing is heard any more.
    client.send({ t: 'hello' });
    expect(client.peer.frames).toEqual([]);
    expect(on.pipeline.stats().received).toBe(0);
  });

  test('may be late behind the text ping, which is answered', () => {
    const on = bed();
    const client = new Client(on).send('ping');
    expect(client.peer.texts).toEqual(['pong']);
    client.hello();
    client.send('ping');
    expect(client.peer.texts.at(-1)).toBe('pong');
  });

  test('comes within five seconds', () => {
    const on = bed();
    const [late, good] = [new Client(on, 'late'), new Client(on, 'good')];
    on.timers.advance(HELLO_TIME_LIMIT_MS - 1);
    good.hello();
    expect(late.peer.closed).toBeUndefined();
    on.timers.advance(1);
    expect(late.peer.closed).toMatchObject({ code: 4408 });
    on.timers.advance(60_000);
    expect(good.peer.closed).toBeUndefined();
  });

  test('is not waited for where the socket is gone', () => {
    const on = bed();
    const client = new Client(on);
    client.session.end();
    on.timers.advance(60_000);
    expect(client.peer.closed).toBeUndefined();
  });

  test.each([
    [{ ack: 'all' }, /ack is one of/],
    [{ resume: true }, /name epoch, session and next/],
    [{ epoch: 0 }, /epoch is a whole number/],
    [{ producer: 'other' }, /producer p,/],
  ])('that is not valid closes it with 4400: %j', (fields, reason) => {
    const on = bed();
    const client = new Client(on);
    client.send({ t: 'hello', ...fields });
    expect(client.peer.closed).toMatchObject({ code: 4400, reason: expect.stringMatching(reason) });
    expect(tableRows(on, 'producers')).toBe(0);
  });

  test('gets the nearest level that the sink has', () => {
    const on = bed({ durability: 'memory' });
    expect(new Client(on).hello()).toMatchObject({ t: 'welcome', ack: 'committed' });
    expect(new Client(on, 'q').hello({ ack: 'none' })).toMatchObject({ t: 'welcome', ack: 'none' });
    expect(new Client(bed()).hello()).toMatchObject({ t: 'welcome', ack: 'stored' });
  });

  test('may name the producer that the upgrade named', () => {
    expect(new Client(bed()).hello({ producer: 'p' })).toMatchObject({ t: 'welcome', producer: 'p' });
  });

  test('finds no room where the shard has too many producers, unless it is known', () => {
    const on = bed();
    welcomed(on, {}, 'known');
    Object.defineProperty(on.pipeline.producers, 'isFull', { get: () => true });
    const client = new Client(on, 'new');
    client.send({ t: 'hello' });
    expect(client.peer.closed).toMatchObject({ code: 4503 });
    welcomed(on, {}, 'known');
  });
});

describe('the table of hellos', () => {
  test('without an epoch: a new one begins, by the clock or one above the last', () => {
    const on = bed();
    const now = on.timers.now();
    expect(new Client(on).hello()).toMatchObject({ epoch: now, known: false, stored: 0 });
    expect(new Client(on).hello()).toMatchObject({ epoch: now + 1, known: false, stored: 0 });
    expect(new Client(on).hello()).toMatchObject({ epoch: now + 2, known: false, stored: 0 });
    on.timers.advance(1_000);
    expect(new Client(on).hello()).toMatchObject({ epoch: now + 1_000 });
    expect(new Client(on, 'q').hello({ next: 17 })).toMatchObject({ epoch: now + 1_000, stored: 0 });
  });

  test('without resume, in a lower epoch or none: it begins', () => {
    const on = bed();
    expect(new Client(on).hello({ epoch: 5 })).toMatchObject({ epoch: 5, known: false, stored: 0 });
    expect(new Client(on).hello({ epoch: 9 })).toMatchObject({ epoch: 9, known: false, stored: 0 });
    expect(new Client(on).hello({ epoch: 10, resume: false })).toMatchObject({ epoch: 10 });
  });

  test('without resume, in this epoch or a higher one: 4410, which names the current one', () => {
    const on = bed();
    const first = welcomed(on, { epoch: 5 });
    for (const epoch of [5, 4, 1]) {
      const client = new Client(on);
      client.send({ t: 'hello', epoch });
      expect(client.peer.closed).toMatchObject({ code: 4410, reason: expect.stringContaining(' 5') });
    }
    // And the one that it has goes on.
    first.batch(1, '1');
    expect(first.stored()).toMatchObject([{ t: 'ack', stored: 1 }]);
  });

  test('resumed in this epoch: it goes on behind what is stored, also after a restart', () => {
    const on = bed();
    on.postgres.isAway = true;
    const first = welcomed(on, { epoch: 5 });
    first.batch(1, ...lines(1, 7)).stored();
    first.batch(8, '8');
    // The group that is being gathered is stored with the welcome.
    expect(new Client(on).hello({ epoch: 5, resume: true, next: 3 })).toMatchObject({
      epoch: 5,
      known: true,
      stored: 8,
      committed: 0,
    });
    expect(new Client(again(on)).hello({ epoch: 5, resume: true, next: 9 })).toMatchObject({
      epoch: 5,
      known: true,
      stored: 8,
    });
  });

  test('resumed in a higher epoch: 4410', () => {
    const on = bed();
    welcomed(on, { epoch: 5 });
    for (const after of [on, again(on)]) {
      const client = new Client(after);
      client.hello({ epoch: 4, resume: true, next: 1 });
      expect(client.peer.closed).toMatchObject({ code: 4410, reason: expect.stringContaining(' 5') });
    }
  });

  test('resumed in a lower epoch or none: it is not known, and begins where the client says', () => {
    const on = bed();
    const first = new Client(on);
    expect(first.hello({ epoch: 5, resume: true, next: 40 })).toMatchObject({
      epoch: 5,
      known: false,
      stored: 39,
      committed: 39,
    });
    first.batch(39, '39', '40');
    expect(first.stored()).toMatchObject([{ t: 'ack', stored: 40 }]);
    expect(new Client(on).hello({ epoch: 6, resume: true, next: 2 })).toMatchObject({
      epoch: 6,
      known: false,
      stored: 1,
    });
  });

  test('resumed where it is not known: a lost welcome fences nobody, and a later instance can recover it', () => {
    const on = bed();
    const hello = { epoch: 5, instance: 'first', resume: true, session: '3.abcdefgh', next: 4 };
    expect(new Client(on).hello(hello)).toMatchObject({ known: false, stored: 3 });
    // The welcome got lost: the client still has the session of before.
    const again = new Client(on);
    expect(again.hello(hello)).toMatchObject({ t: 'welcome', epoch: 5, stored: 3 });
    again.batch(4, '4');
    expect(again.stored()).toMatchObject([{ t: 'ack', stored: 4 }]);
    // Control: once something came in the newer session, the older one is a copy's.
    const copy = new Client(on);
    copy.hello(hello);
    expect(copy.peer.closed).toMatchObject({ code: 4410 });
    const later = { instance: 'first', recover: true, session: '3.abcdefgh', next: 4 };
    expect(new Client(on).hello(later)).toMatchObject({ epoch: 5, stored: 4 });
  });

  test('resumed behind what there is: what is missing is named, and it goes on where the client says', async () => {
    const on = bed();
    on.postgres.isAway = true;
    welcomed(on, { epoch: 5 })
      .batch(1, ...lines(1, 3))
      .stored();
    const client = new Client(on);
    expect(client.hello({ epoch: 5, resume: true, next: 9 })).toMatchObject({
      known: true,
      stored: 8,
      // What is in the outbox is not committed by being behind a hole.
      committed: 0,
      missing: { from: 4, to: 8 },
    });
    client.batch(9, '9');
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 9, committed: 0 }]);
    // The hole is durable too: it is not missing a second time.
    const after = again(on);
    const resumed = new Client(after).hello({ epoch: 5, resume: true, next: 10 });
    expect(resumed).toMatchObject({ stored: 9 });
    expect(resumed).not.toHaveProperty('missing');
    await idle(after);
    expect(after.pipeline.producers.find('p')).toMatchObject({ committed: 9 });
  });

  test('a hole is durable even where nothing was sent behind it', () => {
    const on = bed();
    welcomed(on, { epoch: 5 });
    expect(new Client(on).hello({ epoch: 5, resume: true, next: 9 })).toHaveProperty('missing');
    const after = new Client(again(on)).hello({ epoch: 5, resume: true, next: 9 });
    expect(after).toMatchObject({ stored: 8, known: true });
    expect(after).not.toHaveProperty('missing');
  });

  test('the highest epoch there is has none above it', () => {
    const epoch = Number.MAX_SAFE_INTEGER;
    const sqlite = new NodeSqlite();
    // As it was possible before epochs were bounded by the clock.
    new ProducerRegistry(sqlite).begin('p', epoch, 1, 0);
    const on = bed({}, { sqlite });
    const client = new Client(on);
    client.send({ t: 'hello' });
    expect(client.peer.closed).toMatchObject({ code: 4410 });
    expect(new Client(on).hello({ epoch, resume: true, next: 1 })).toMatchObject({ epoch, stored: 0 });
  });

  test('a second hello of a session is an invalid frame', () => {
    const on = bed();
    const client = welcomed(on);
    expect(client.hello()).toMatchObject({ t: 'nack', code: 'invalid_frame' });
    expect(client.hello({ ack: 'all' })).toMatchObject({ t: 'nack', code: 'invalid_frame' });
    expect(client.peer.closed).toBeUndefined();
  });
});

describe('a storage that fails', () => {
  test.each([
    ['read', 'select epoch'],
    ['written', 'insert into producers'],
  ])('when a hello has it %s is the end of the shard, and no welcome', (_, statement) => {
    const on = bed();
    const run = on.sqlite.run.bind(on.sqlite);
    on.sqlite.run = (text, ...bindings) => {
      if (text.includes(statement)) throw new Error('disk full');
      return run(text, ...bindings);
    };
    const client = new Client(on);
    client.send({ t: 'hello' });
    expect(client.peer.frames).toEqual([]);
    expect(client.peer.closed).toMatchObject({ code: 4503 });
    expect(on.storageFailures.splice(0)).toMatchObject([{ message: 'disk full' }]);
  });

  test('when a group is stored acks nothing, and welcomes nobody', () => {
    const on = bed();
    const client = welcomed(on);
    const run = on.sqlite.run.bind(on.sqlite);
    on.sqlite.run = (text, ...bindings) => {
      if (text.includes('insert into outbox_groups')) throw new Error('disk full');
      return run(text, ...bindings);
    };
    client.batch(1, '1');
    expect(client.stored()).toEqual([]);
    expect(on.storageFailures.splice(0)).toHaveLength(1);
    const other = new Client(on, 'q');
    other.send({ t: 'hello' });
    expect(other.peer.closed).toMatchObject({ code: 4503 });
    expect(on.storageFailures.splice(0)).toHaveLength(1);
    // Had it only seemed so, everything would be there.
    on.sqlite.run = run;
    client.send({ t: 'ping' });
    expect(client.peer.news()).toMatchObject([{ t: 'ack', stored: 1 }]);
  });
});

describe('a producer has one session', () => {
  test('the older one is closed with 4409, and its last messages count', () => {
    const on = bed();
    const first = welcomed(on, { epoch: 5 });
    first.batch(1, '1', '2');
    const second = new Client(on);
    expect(second.hello({ epoch: 5, resume: true, next: 3 })).toMatchObject({ stored: 2 });
    expect(first.peer.closed).toMatchObject({ code: 4409 });
    first.batch(3, '3');
    first.session.end();
    second.batch(3, '"three"');
    expect(second.stored()).toMatchObject([{ t: 'ack', stored: 3 }]);
    expect(on.pipeline.stats().received).toBe(3);
  });

  test('and it is told of its own epoch until the end, not of the one that begins', () => {
    const on = bed();
    const first = welcomed(on, { epoch: 5 });
    first.batch(1, '1', '2');
    new Client(on).hello({ epoch: 6, resume: true, next: 1_000 });
    expect(first.peer.news()).toMatchObject([{ t: 'ack', stored: 2 }]);
    expect(first.peer.closed).toMatchObject({ code: 4410 });
  });

  test('the messages that were gathered of the epoch before are stored with it', async () => {
    const on = bed();
    const first = welcomed(on, { epoch: 5 });
    first.batch(1, '"5"');
    const second = welcomed(on, { epoch: 6 });
    second.batch(1, '"6"');
    expect(second.stored()).toMatchObject([{ t: 'ack', stored: 1 }]);
    await idle(on);
    expect(on.postgres.rows).toEqual(['"5"', '"6"']);
  });

  test('a socket that was replaced and ends late takes nothing from the one after it', () => {
    const on = bed();
    const first = welcomed(on, { epoch: 5 });
    const second = welcomed(on, { epoch: 6 });
    first.session.end();
    second.batch(1, '1');
    expect(second.stored()).toMatchObject([{ t: 'ack', stored: 1 }]);
    expect(on.pipeline.producers.find('p')).toMatchObject({ epoch: 6, nextSequence: 2 });
  });

  test('a client that was refused, fenced or replaced leaves nothing behind', () => {
    const on = bed();
    welcomed(on, { epoch: 5 }).session.end();
    const quiet = welcomed(on, { epoch: 6 });
    quiet.session.end();
    expect(on.pipeline.producers.active).toBe(0);
    new Client(on).send({ t: 'hello', epoch: 1 });
    expect(on.pipeline.producers.active).toBe(0);
    const live = welcomed(on, { epoch: 7 });
    new Client(on).send({ t: 'hello', epoch: 1 });
    expect(on.pipeline.producers.active).toBe(1);
    live.batch(1, '1');
    expect(live.stored()).toMatchObject([{ t: 'ack', stored: 1 }]);
  });
});

describe('a batch', () => {
  test('that follows is taken, and acked once it is stored', async () => {
    const on = bed();
    const client = welcomed(on);
    client.batch(1, '1', '2').batch(3, '3');
    expect(client.peer.news()).toEqual([]);
    expect(client.stored()).toEqual([
      {
        t: 'ack',
        stored: 3,
        committed: 0,
        credit: { messages: MAX_CREDIT_MESSAGES, bytes: MAX_CREDIT_BYTES },
      },
    ]);
    await idle(on);
    expect(on.postgres.rows).toEqual(['1', '2', '3']);
    expect(client.peer.news()).toEqual([]);
    expect(tableRows(on, 'outbox_groups')).toBe(0);
  });

  test('is acked in one frame for each socket, whatever it sent of the group', () => {
    const on = bed();
    const clients = ['a', 'b', 'c'].map((name) => welcomed(on, {}, name));
    for (let seq = 1; seq <= 5; seq += 1) for (const client of clients) client.batch(seq, String(seq));
    expect(clients.map((client) => client.stored())).toMatchObject(Array(3).fill([{ t: 'ack', stored: 5 }]));
    expect(tableRows(on, 'outbox_groups')).toBe(1);
  });

  test('that was taken before is acked again, and written once', async () => {
    const on = bed();
    const client = welcomed(on);
    client.batch(1, ...lines(1, 4)).stored();
    client.batch(1, ...lines(1, 4)).batch(2, '{"n":2}');
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 4 }]);
    await idle(on);
    expect(on.postgres.rows).toEqual(lines(1, 4));
    expect(on.pipeline.stats()).toMatchObject({ received: 9, duplicate: 5, committed: 4 });
  });

  test('of which a part was taken is taken from there on, however it is cut', async () => {
    const on = bed();
    const client = welcomed(on);
    client.batch(1, ...lines(1, 4)).stored();
    client.batch(3, ...lines(3, 6)).batch(2, ...lines(2, 9));
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 9 }]);
    await idle(on);
    expect(on.postgres.rows).toEqual(lines(1, 9));
    expect(on.pipeline.stats()).toMatchObject({ received: 16, duplicate: 7, committed: 9 });
  });

  test('beyond the next sequence is a gap, and nothing of it is taken', () => {
    const on = bed();
    const client = welcomed(on);
    client.batch(2, '2', '3').batch(5, '5');
    expect(client.peer.news()).toEqual([
      { t: 'gap', expected: 1, got: 2 },
      { t: 'gap', expected: 1, got: 5 },
    ]);
    client.batch(1, '1');
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 1 }]);
    expect(on.pipeline.stats()).toMatchObject({ received: 4, buffered: 1, refused: { gap: 3 } });
  });

  test('whose lines are not as many as it says is no batch, and nothing of it is taken', () => {
    const on = bed();
    const client = welcomed(on);
    client.send('{"t":"batch","seq":1,"n":2}\n1').send('{"t":"batch","seq":1,"n":1}\n1\n2');
    const news = client.peer.news();
    expect(news).toMatchObject(Array(2).fill({ t: 'nack', code: 'invalid_frame', temporary: false }));
    expect(news[0]).not.toHaveProperty('from');
    client.batch(1, '1');
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 1 }]);
  });

  test('keeps the order of the groups over many frames, with the time of each', async () => {
    const on = bed();
    const client = welcomed(on);
    for (let seq = 1; seq <= 50; seq += 1) {
      client.batch(seq, String(seq));
      on.timers.advance(1);
    }
    await idle(on);
    expect(on.postgres.rows).toEqual(Array.from({ length: 50 }, (_, index) => String(index + 1)));
  });
});

describe('what is sent again after a resume', () => {
  test('is acked as it comes, with the nacks that may have been lost', async () => {
    const on = bed();
    welcomed(on, { epoch: 5 }).batch(1, '1', 'x', '3', '4').stored();
    await idle(on);
    const client = new Client(on);
    expect(client.hello({ epoch: 5, resume: true, next: 1, ack: 'committed' })).toMatchObject({
      stored: 4,
      committed: 4,
    });
    // The welcome's `stored` is no ack, and neither does an ack go beyond what came here.
    client.send({ t: 'ping' });
    expect(client.peer.news()).toMatchObject([{ t: 'ack', stored: 0, committed: 0 }]);
    client.batch(1, '1');
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 1, committed: 1 }]);
    client.batch(2, 'x', '3');
    expect(client.stored()).toMatchObject([
      { t: 'nack', from: 2, to: 2, code: 'invalid_json' },
      { t: 'ack', stored: 3, committed: 3 },
    ]);
    client.batch(4, '4', '5');
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 5, committed: 4 }]);
    await idle(on);
    expect(on.postgres.rows).toEqual(['1', '3', '4', '5']);
  });

  test('leaves no hole: what is skipped is a gap, though the shard has it', () => {
    const on = bed();
    welcomed(on, { epoch: 5 }).batch(1, '1', '2', '3').stored();
    const client = welcomed(on, { epoch: 5, resume: true, next: 1 });
    client.batch(3, '3', '4');
    expect(client.peer.news()).toEqual([{ t: 'gap', expected: 1, got: 3 }]);
    client.batch(1, '1', '2').batch(3, '3', '4');
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 4 }]);
  });

  test('is told of what was new in it when there was no room', () => {
    const on = bed({ maxOutboxRows: 1_000 });
    on.postgres.isAway = true;
    welcomed(on, { epoch: 5 })
      .batch(1, ...Array(999).fill('1'), 'x')
      .stored();
    welcomed(on, {}, 'filler').batch(1, '1').stored();
    const client = welcomed(on, { epoch: 5, resume: true, next: 999 });
    client.batch(999, '1', 'x', '3', 'y');
    expect(client.peer.news()).toMatchObject([
      { t: 'nack', from: 1_000, to: 1_000, code: 'invalid_json' },
      { t: 'nack', from: 1_001, to: 1_002, code: 'buffer_full', temporary: true },
      { t: 'flow' },
    ]);
    client.send({ t: 'ping' });
    expect(client.peer.news()).toMatchObject([{ t: 'ack', stored: 1_000 }]);
  });
});

describe('messages that are refused', () => {
  test('get a nack with their range, use up their sequences, and leave the others alone', async () => {
    const on = bed();
    const client = welcomed(on);
    client.batch(1, '1', '{', 'x', '"\\u0000"', '5', '', '7');
    expect(client.peer.news()).toEqual([
      { t: 'nack', from: 2, to: 3, code: 'invalid_json', temporary: false, message: expect.any(String) },
      { t: 'nack', from: 4, to: 4, code: 'nul_character', temporary: false, message: expect.any(String) },
      { t: 'nack', from: 6, to: 6, code: 'invalid_json', temporary: false, message: expect.any(String) },
    ]);
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 7 }]);
    await idle(on);
    expect(on.postgres.rows).toEqual(['1', '5', '7']);
    expect(on.pipeline.stats().refused).toEqual({ invalid_json: 3, nul_character: 1 });
  });

  test('come before the ack that covers them, also where their group is stored at once', () => {
    const client = welcomed(bed());
    const big = `"${'x'.repeat(60_000)}"`;
    client.batch(1, big, 'x', big, big, big, big);
    expect(client.peer.news()).toMatchObject([
      { t: 'nack', from: 2, to: 2 },
      { t: 'ack', stored: 6 },
    ]);
  });

  test('are told of again where they come again, since the first nack may be lost', async () => {
    const on = bed();
    const client = welcomed(on);
    client.batch(1, '1', 'x').batch(1, '1', 'x', '3', 'y').batch(2, 'x', '3').batch(1, '1');
    const invalid = { t: 'nack', code: 'invalid_json', temporary: false };
    expect(client.peer.news()).toMatchObject([
      { ...invalid, from: 2, to: 2 },
      { ...invalid, from: 2, to: 2 },
      { ...invalid, from: 4, to: 4 },
      { ...invalid, from: 2, to: 2 },
    ]);
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 4 }]);
    expect(on.pipeline.stats()).toMatchObject({ duplicate: 5, refused: { invalid_json: 2 } });
    await idle(on);
    expect(on.postgres.rows).toEqual(['1', '3']);
  });

  test('at the end of all are used up for good: after a restart nothing seems to be missing', async () => {
    for (const bad of [
      ['1', '2', 'x'],
      ['x', 'x', 'x'],
    ]) {
      const on = bed();
      const client = welcomed(on, { epoch: 5 });
      client.batch(1, ...bad);
      expect(client.stored().at(-1)).toMatchObject({ t: 'ack', stored: 3 });
      const resumed = new Client(again(on)).hello({ epoch: 5, resume: true, next: 4 });
      expect(resumed).toMatchObject({ known: true, stored: 3 });
      expect(resumed).not.toHaveProperty('missing');
      await idle(on);
      // And after they were written, too.
      expect(new Client(again(on)).hello({ epoch: 5, resume: true, next: 4 })).toMatchObject({ stored: 3 });
    }
  });

  test('are not used up before the messages in front of them are stored', () => {
    const on = bed();
    const client = welcomed(on, { epoch: 5 });
    client.batch(1, '1').stored();
    client.batch(2, '2', 'x');
    // The shard ends before the group was stored.
    expect(new Client(again(on)).hello({ epoch: 5, resume: true, next: 2 })).toMatchObject({ stored: 1 });
  });

  test('at the end of all are committed with what is in front of them', async () => {
    const on = bed();
    const client = welcomed(on, { ack: 'committed' });
    client.batch(1, '1', 'x');
    await idle(on);
    expect(client.peer.last('ack')).toMatchObject({ stored: 2, committed: 2 });
    client.batch(3, 'x');
    await idle(on);
    expect(client.peer.last('ack')).toMatchObject({ stored: 3, committed: 3 });
  });

  test('are not committed before what is in front of them', async () => {
    const on = bed();
    on.postgres.isSlow = true;
    const client = welcomed(on, { ack: 'committed' });
    client.batch(1, '1', 'x').stored();
    client.batch(3, 'x');
    await idle(on);
    expect(client.peer.last('ack')).toMatchObject({ stored: 3, committed: 0 });
    await on.postgres.answer();
    await idle(on);
    expect(client.peer.last('ack')).toMatchObject({ stored: 3, committed: 3 });
  });

  // Thousands of nacks for one frame, of which a client can confirm none meanwhile.
  const kinds = ['x', '"\\u0000"'];
  const mixed = Array.from({ length: MAX_FRAME_MESSAGES }, (_, index) => kinds[index % 2] as string);
  test.each([
    ['all refused', mixed],
    ['good ones behind them', [...mixed.slice(0, 9_000), ...Array(1_000).fill('1')]],
    ['good ones between them', mixed.map((line, index) => (index % 3 === 0 ? '1' : line))],
  ])(
    'in thousands are all told; and if they are the end of the socket, the shard knows all the same: %s',
    async (_, all) => {
      const good = all.filter((line) => line === '1').length;
      const patient = welcomed(bed());
      patient.batch(1, ...all);
      expect(patient.peer.closed).toBeUndefined();
      const told = patient.peer.frames.filter(({ t }) => t === 'nack');
      const refused = told.reduce((sum, { from, to }) => sum + (to as number) - (from as number) + 1, 0);
      expect(refused).toBe(all.length - good);

      const on = bed();
      const client = welcomed(on, { epoch: 5 });
      // It has read nothing for long.
      while (client.peer.bytes < MAX_UNCONFIRMED_BYTES - 100_000) client.send({ t: 'ping' });
      expect(client.peer.closed).toBeUndefined();
      client.batch(1, ...all);
      expect(client.peer.closed).toMatchObject({ code: 4504 });
      expect(new Client(on).hello({ epoch: 5, resume: true, next: 1 })).toMatchObject({
        known: true,
        stored: MAX_FRAME_MESSAGES,
      });
      await idle(on);
      expect(on.postgres.rows).toHaveLength(good);
      expect(on.pipeline.stats().received).toBe(MAX_FRAME_MESSAGES);
    },
  );

  test('alike in thousands are one nack', () => {
    const on = bed();
    const client = welcomed(on);
    client.batch(1, ...Array(MAX_FRAME_MESSAGES).fill('x'));
    expect(client.peer.news()).toMatchObject([
      { t: 'nack', from: 1, to: MAX_FRAME_MESSAGES, code: 'invalid_json' },
    ]);
    expect(client.peer.closed).toBeUndefined();
  });
});

describe('frames that cannot be read', () => {
  test.each([
    ['{"t":"welcome"}', 'unknown_type'],
    ['no json', 'invalid_frame'],
    ['{"t":"batch","seq":0,"n":1}\n1', 'invalid_frame'],
    [new ArrayBuffer(3), 'invalid_frame'],
    [new Uint8Array([0x7b, 0xff, 0x7d]).buffer, 'invalid_utf8'],
    ['x'.repeat(MAX_FRAME_BYTES + 1), 'frame_too_large'],
    [new ArrayBuffer(MAX_FRAME_BYTES + 1), 'frame_too_large'],
  ])('get a nack without a range', (frame, code) => {
    const client = welcomed(bed());
    client.send(frame);
    const [nack] = client.peer.news();
    expect(nack).toEqual({ t: 'nack', code, temporary: false, message: expect.any(String) });
  });

  test('too many of them close the socket with 4400', () => {
    const client = welcomed(bed());
    for (let count = 0; count < MAX_BAD_FRAMES; count += 1) client.send('x');
    expect(client.peer.closed).toBeUndefined();
    client.send('x');
    expect(client.peer.closed).toMatchObject({ code: 4400 });
  });
});

describe('level committed', () => {
  test('gets an ack whenever more is committed', async () => {
    const on = bed({ batchRows: 2 });
    on.postgres.isSlow = true;
    const client = welcomed(on, { ack: 'committed' });
    const other = welcomed(on, {}, 'q');
    client.batch(1, '1', '2').stored();
    client.batch(3, '3', '4').stored();
    other.batch(1, '"q"').stored();
    client.peer.news();
    await on.postgres.answer();
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 4, committed: 2 }]);
    await on.postgres.answer();
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 4, committed: 4 }]);
    expect(other.peer.news().filter(({ committed }) => committed !== 0)).toEqual([]);
  });

  test('hears of a dead letter before the ack that covers it, and a session of another level does not', async () => {
    const on = bed();
    const client = welcomed(on, { ack: 'committed' });
    const other = welcomed(on, { ack: 'stored' }, 'q');
    client.batch(1, '1', '"poison"', '3');
    other.batch(1, '"poison"');
    await idle(on);
    await idle(on);
    const news = client.peer.news();
    const nack = news.findIndex(({ t }) => t === 'nack');
    expect(news[nack]).toMatchObject({ from: 2, to: 2, code: 'dead_letter', temporary: false });
    expect(news[nack]).toHaveProperty('by', 'postgres');
    expect(news.slice(0, nack).every(({ committed }) => (committed as number) < 2)).toBe(true);
    expect(news.at(-1)).toMatchObject({ t: 'ack', stored: 3, committed: 3 });
    expect(other.peer.frames.filter(({ t }) => t === 'nack')).toEqual([]);
    expect(on.deadLetters.count).toBe(2);
    expect(on.postgres.rows.sort()).toEqual(['1', '3']);
  });

  test('is told of dead letters of its own epoch only', async () => {
    const on = bed();
    on.postgres.isAway = true;
    welcomed(on, { epoch: 5, ack: 'committed' }).batch(1, '"poison"').stored();
    await idle(on);
    const client = welcomed(on, { epoch: 6, ack: 'committed' });
    on.postgres.isAway = false;
    on.pipeline.flush();
    await idle(on);
    expect(on.deadLetters.count).toBe(1);
    expect(client.peer.frames.filter(({ t }) => t === 'nack')).toEqual([]);
  });

  test('the dead letters of producers that are gone keep none of them in memory', async () => {
    const on = bed();
    for (const name of ['a', 'b', 'c']) {
      const client = welcomed(on, {}, name);
      client.batch(1, '1', '"poison"', '3').stored();
      client.session.end();
    }
    await idle(on);
    await idle(on);
    expect(on.deadLetters.count).toBe(3);
    expect(on.pipeline.producers.active).toBe(0);
  });
});

describe('ping, pong and flush', () => {
  test('a ping is answered by an ack with all that is known, at once', () => {
    const on = bed();
    const client = welcomed(on);
    client.send({ t: 'ping' });
    expect(client.peer.news()).toMatchObject([{ t: 'ack', stored: 0, committed: 0 }]);
    client.batch(1, '1', '2').send({ t: 'ping' });
    expect(client.peer.news()).toMatchObject([{ t: 'ack', stored: 2 }]);
    // It does not come a second time with the timer.
    expect(client.stored()).toEqual([]);
  });

  test('a flush writes what is buffered, whatever its age', async () => {
    const on = bed({ lingerMs: 60_000 });
    const client = welcomed(on);
    client.batch(1, '1');
    await idle(on);
    expect(on.postgres.rows).toEqual([]);
    client.send({ t: 'flush' });
    await idle(on);
    expect(on.postgres.rows).toEqual(['1']);
  });

  test('the server asks after 64 KiB, once, until it is answered', () => {
    const on = bed();
    const client = welcomed(on);
    const pings = () => client.peer.frames.filter(({ t }) => t === 'ping').map(({ id }) => id as number);
    const sent = () => client.peer.bytes;
    while (sent() <= PING_AFTER_BYTES - 300) client.send({ t: 'ping' });
    expect(pings()).toEqual([]);
    for (let count = 0; count < 100; count += 1) client.send({ t: 'ping' });
    expect(pings()).toEqual([1]);
    client.send({ t: 'pong', id: 9 });
    for (let count = 0; count < 100; count += 1) client.send({ t: 'ping' });
    expect(pings()).toEqual([1]);
    client.send({ t: 'pong', id: 1 });
    const before = sent();
    while (pings().length < 2) client.send({ t: 'ping' });
    expect(sent() - before).toBeLessThan(PING_AFTER_BYTES);
    expect(sent() - before).toBeGreaterThan(PING_AFTER_BYTES / 2);
    expect(client.peer.closed).toBeUndefined();
  });

  /** Has a client sent as many bytes, and answers the server's pings where it reads. */
  function sendMuch(client: Client, bytes: number, isReading: boolean): void {
    let seen = client.peer.frames.length;
    const until = client.peer.bytes + bytes;
    while (client.peer.bytes < until && client.peer.closed === undefined) {
      client.send({ t: 'ping' });
      for (const frame of isReading ? client.peer.frames.slice(seen) : []) {
        if (frame.t === 'ping') client.send({ t: 'pong', id: frame.id });
      }
      seen = client.peer.frames.length;
    }
  }

  test('who leaves 256 KiB unread and the ping unanswered for 5 seconds is closed with 4504', () => {
    const on = bed();
    const [reader, lazy, short] = ['reader', 'lazy', 'short'].map((name) => welcomed(on, {}, name)) as [
      Client,
      Client,
      Client,
    ];
    for (const client of [reader, lazy]) sendMuch(client, SLOW_READER_BYTES + 1_000, client === reader);
    sendMuch(short, SLOW_READER_BYTES / 2, false);
    expect(lazy.peer.closed).toBeUndefined();
    on.timers.advance(PONG_TIME_LIMIT_MS);
    for (const client of [reader, lazy, short]) sendMuch(client, 1_000, client === reader);
    expect(lazy.peer.closed).toMatchObject({ code: 4504 });
    expect(lazy.peer.frames.filter(({ t }) => t === 'ping')).toHaveLength(1);
    expect(short.peer.closed).toBeUndefined();
    sendMuch(reader, 3 * MAX_UNCONFIRMED_BYTES, true);
    expect(reader.peer.closed).toBeUndefined();
  });

  test('who leaves 2 MiB unread is closed with 4504 at once', () => {
    const client = welcomed(bed());
    sendMuch(client, MAX_UNCONFIRMED_BYTES - 10_000, false);
    expect(client.peer.closed).toBeUndefined();
    sendMuch(client, 20_000, false);
    expect(client.peer.closed).toMatchObject({ code: 4504 });
  });
});

describe('bye', () => {
  test('at level stored is answered once all is stored, whatever becomes of Postgres', () => {
    const on = bed();
    on.postgres.isAway = true;
    const client = welcomed(on, { ack: 'stored' });
    client.batch(1, '1', '2').send({ t: 'bye' });
    expect(client.peer.news()).toMatchObject([{ t: 'ack', stored: 2 }, { t: 'bye' }]);
    expect(client.peer.closed).toEqual({ code: 1000, reason: 'bye' });
  });

  test.each(['committed', 'none'])('at level %s is answered once all is committed', async (ack) => {
    const on = bed({ lingerMs: 60_000 });
    on.postgres.isSlow = true;
    const client = welcomed(on, { ack });
    client.batch(1, '1', '2').stored();
    client.send({ t: 'bye' });
    await idle(on);
    expect(client.peer.news()).toMatchObject([{ t: 'ack', stored: 2, committed: 0 }]);
    expect(client.peer.closed).toBeUndefined();
    await on.postgres.answer();
    await idle(on);
    expect(client.peer.news()).toMatchObject([{ t: 'ack', stored: 2, committed: 2 }, { t: 'bye' }]);
    expect(client.peer.closed).toEqual({ code: 1000, reason: 'bye' });
    expect(on.pipeline.producers.active).toBe(0);
  });

  test.each(['stored', 'committed', 'none'])(
    'without anything outstanding is answered at once: %s',
    async (ack) => {
      const on = bed();
      const client = welcomed(on, { ack });
      client.send({ t: 'bye' });
      expect(client.peer.news()).toMatchObject([{ t: 'ack' }, { t: 'bye' }]);
      expect(client.peer.closed).toEqual({ code: 1000, reason: 'bye' });
    },
  );

  test('after a refused message, or one that is a dead letter, ends all the same', async () => {
    for (const last of ['x', '"poison"']) {
      const on = bed();
      const client = welcomed(on, { ack: 'committed' });
      client.batch(1, '1', last).send({ t: 'bye' });
      await idle(on);
      await idle(on);
      expect(client.peer.frames.slice(-2)).toMatchObject([
        { t: 'ack', stored: 2, committed: 2 },
        { t: 'bye' },
      ]);
      expect(client.peer.closed).toEqual({ code: 1000, reason: 'bye' });
    }
  });
});

describe('credit', () => {
  const maxOutboxRows = 1_000;

  test('falls as the outbox fills, is zero near its limit, and comes back with room', async () => {
    const on = bed({ maxOutboxRows, batchRows: 100, writer: 'unnest' });
    on.postgres.isAway = true;
    const client = welcomed(on);
    const credits: number[] = [];
    for (let seq = 1; seq <= 901; seq += 100) {
      client.batch(seq, ...Array(100).fill('1'));
      const [ack] = client.stored();
      credits.push(creditOf(ack));
    }
    // What was on its way is taken up to the limit itself.
    expect(credits).toEqual([800, 700, 600, 500, 400, 300, 200, 100, 0, 0]);
    expect(client.peer.last('ack')).toMatchObject({ stored: 1_000, credit: { messages: 0, bytes: 0 } });

    client.batch(1_001, '1', '2');
    expect(client.peer.news()).toMatchObject([
      { t: 'nack', from: 1_001, to: 1_002, code: 'buffer_full', temporary: true },
      { t: 'flow', credit: { messages: 0, bytes: 0 }, reason: 'outbox_full' },
    ]);
    expect(on.pipeline.stats().refused).toEqual({ buffer_full: 2 });
    on.postgres.isAway = false;
    on.pipeline.flush();
    await idle(on);
    expect(client.peer.news()[0]).toMatchObject({ t: 'flow', reason: 'room' });
    client.batch(1_001, '1', '2');
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 1_002 }]);
  });

  function creditOf(frame: Frame | undefined): number {
    return (frame as unknown as { credit: { messages: number } }).credit.messages;
  }

  /** A shard whose outbox is full. */
  function full(): Bed {
    const on = bed({ maxOutboxRows });
    on.postgres.isAway = true;
    const filler = welcomed(on, {}, 'filler');
    filler.batch(1, ...Array(950).fill('1')).stored();
    return on;
  }

  test.each(['in the same life', 'after a restart'])(
    'is given back to who was welcomed without any, %s',
    async (when) => {
      const before = full();
      const on = when === 'after a restart' ? again(before, { maxOutboxRows }) : before;
      on.postgres.isAway = true;
      await idle(on);
      const client = new Client(on);
      expect(client.hello()).toMatchObject({ credit: { messages: 0, bytes: 0 } });
      on.postgres.isAway = false;
      on.pipeline.flush();
      await idle(on);
      expect(client.peer.news()).toMatchObject([{ t: 'flow', reason: 'room' }]);
      expect(creditOf(client.peer.last('flow'))).toBeGreaterThan(0);
    },
  );

  test('is taken from who finds no room while he has some, and given back', async () => {
    const on = bed({ maxOutboxRows });
    on.postgres.isAway = true;
    // Welcomed while there was room, and silent since.
    const client = welcomed(on);
    welcomed(on, {}, 'filler')
      .batch(1, ...Array(1_000).fill('1'))
      .stored();
    client.batch(1, '1');
    expect(client.peer.news()).toMatchObject([
      { t: 'nack', code: 'buffer_full', temporary: true, from: 1, to: 1 },
      { t: 'flow', credit: { messages: 0, bytes: 0 }, reason: 'outbox_full' },
    ]);
    on.postgres.isAway = false;
    on.pipeline.flush();
    await idle(on);
    expect(client.peer.news()).toMatchObject([{ t: 'flow', reason: 'room' }]);
  });

  test('is given back to who slept while there was none', async () => {
    const before = full();
    const client = welcomed(before);
    const memory = client.session.memory;
    const on = again(before, { maxOutboxRows });
    on.postgres.isAway = true;
    await idle(on);
    const awake = new Client(on, 'p', memory);
    expect(awake.peer.frames).toEqual([]);
    on.postgres.isAway = false;
    on.pipeline.flush();
    await idle(on);
    expect(awake.peer.news()).toMatchObject([{ t: 'flow', reason: 'room' }]);
    // What he sends was granted to him.
    awake.batch(1, '1');
    expect(awake.stored()).toMatchObject([{ t: 'ack', stored: 1 }]);
  });

  test('comes back to more clients than there is room for by the message', async () => {
    const on = bed({ maxOutboxRows });
    on.postgres.isAway = true;
    const clients = Array.from({ length: 200 }, (_, index) => welcomed(on, {}, `p${index}`));
    clients[0]?.batch(1, ...Array(950).fill('1')).stored();
    const waiting = new Client(on);
    expect(waiting.hello()).toMatchObject({ credit: { messages: 0, bytes: 0 } });
    on.postgres.isAway = false;
    on.pipeline.flush();
    await idle(on);
    expect(waiting.peer.last('flow')).toMatchObject({
      reason: 'room',
      credit: { messages: expect.any(Number) },
    });
    expect(creditOf(waiting.peer.last('flow'))).toBeGreaterThan(0);
  });

  test('far beyond it, batches are deferred, and after the third the socket is closed with 4429', () => {
    const on = full();
    const client = new Client(on);
    expect(client.hello()).toMatchObject({ credit: { messages: 0, bytes: 0 } });
    // What a client may have had on its way when it heard of it: here no more than one message.
    const big = `"${'x'.repeat(60_000)}"`;
    client.batch(1, big);
    expect(client.stored()).toMatchObject([{ t: 'ack', stored: 1 }]);
    for (let count = 1; count <= MAX_OVER_CREDIT; count += 1) {
      expect(client.peer.closed).toBeUndefined();
      client.batch(2, big);
      expect(client.peer.news()[0]).toMatchObject({
        t: 'nack',
        code: 'over_credit',
        temporary: true,
        from: 2,
        to: 2,
      });
    }
    expect(client.peer.closed).toMatchObject({ code: 4429 });
    expect(on.pipeline.stats().refused).toEqual({ over_credit: 3 });
  });
});

describe('without an outbox', () => {
  const memory = { durability: 'memory' } as const;

  test('taken stands for stored, and delivery is at least once', async () => {
    const on = bed(memory);
    const client = new Client(on);
    const welcome = client.hello({ ack: 'committed' });
    expect(welcome).toMatchObject({ taken: 0, committed: 0, delivery: 'at-least-once', ack: 'committed' });
    expect(welcome).not.toHaveProperty('stored');
    client.batch(1, '1', 'x', '3');
    const acks = client.stored().filter(({ t }) => t === 'ack');
    expect(acks).toMatchObject([{ taken: 3 }]);
    expect(acks[0]).not.toHaveProperty('stored');
    await idle(on);
    expect(client.peer.last('ack')).toMatchObject({ taken: 3, committed: 3 });
    expect(on.postgres.rows).toEqual(['1', '3']);
  });

  test('level none gets acks for the credit, and bye waits for the commit', async () => {
    const on = bed(memory);
    on.postgres.isSlow = true;
    const client = welcomed(on, { ack: 'none' });
    client.batch(1, '1').send({ t: 'bye' });
    await idle(on);
    expect(client.peer.closed).toBeUndefined();
    await on.postgres.answer();
    await idle(on);
    expect(client.peer.frames.slice(-2)).toMatchObject([{ t: 'ack', taken: 1, committed: 1 }, { t: 'bye' }]);
  });

  test('a resume in the same life goes on; in the next one it is not known', () => {
    const on = bed(memory);
    on.postgres.isAway = true;
    const epoch = welcomed(on, { ack: 'none', epoch: 5 }).batch(1, '1', '2').peer.frames[0]?.epoch;
    const resume = { ack: 'none', epoch, resume: true, next: 2 };
    expect(new Client(on).hello(resume)).toMatchObject({ known: true, taken: 2, committed: 0 });
    expect(new Client(again(on, memory)).hello(resume)).toMatchObject({ known: false, taken: 1 });
  });

  test('full is full, says so, and comes back with room', async () => {
    const on = bed({ ...memory, maxBufferBytes: 65_536 });
    on.postgres.isAway = true;
    const client = welcomed(on, { ack: 'none' });
    const big = `"${'x'.repeat(10_000)}"`;
    for (let seq = 1; seq <= 6; seq += 1) client.batch(seq, big);
    client.batch(7, big);
    expect(client.peer.news()).toMatchObject([
      { t: 'nack', code: 'buffer_full', from: 7 },
      { t: 'flow', reason: 'memory_full', credit: { messages: 0, bytes: 0 } },
    ]);
    await idle(on);
    on.postgres.isAway = false;
    on.pipeline.flush();
    await idle(on);
    expect(client.peer.last('flow')).toMatchObject({ reason: 'room' });
  });

  test('producers that left before their messages were written are forgotten for new ones', async () => {
    const on = bed(memory);
    on.postgres.isAway = true;
    const many = 65_536;
    for (let index = 0; index < many; index += 1) {
      const client = new Client(on, `p${index}`);
      client.send('{"t":"hello","ack":"none"}').batch(1, '1');
      client.session.end();
    }
    expect(on.pipeline.producers.isFull).toBe(true);
    await idle(on);
    on.postgres.isAway = false;
    on.pipeline.flush();
    await idle(on);
    expect(on.pipeline.stats().buffered).toBe(0);
    expect(on.pipeline.producers.isFull).toBe(false);
    welcomed(on, { ack: 'none' }, 'new');
  });
});

describe('a hibernation', () => {
  test('is not noticed by a client: the session goes on by what was remembered', () => {
    const on = bed();
    const client = new Client(on);
    expect(client.session.memory).toBeUndefined();
    expect(client.session.isWelcome).toBe(false);
    client.hello({ ack: 'committed', epoch: 5 });
    expect(client.session.isWelcome).toBe(true);
    const session = lastSessions.get(on.sqlite)?.get('p');
    const remembered = { epoch: 5, session, ack: 'committed', isCaughtUp: true };
    expect(client.remembered).toEqual([remembered]);
    expect(client.session.memory).toEqual(remembered);
    client.batch(1, '1', '2').stored();

    const after = again(on);
    const awake = new Client(after, 'p', client.session.memory);
    expect(awake.session.isWelcome).toBe(true);
    after.timers.advance(60_000);
    awake.batch(3, '3');
    expect(awake.stored()).toMatchObject([{ t: 'ack', stored: 3 }]);
    expect(awake.peer.closed).toBeUndefined();
  });

  test('closes a session whose epoch is over, or that nobody knows, with 4503', () => {
    const on = bed();
    welcomed(on, { epoch: 5 });
    const session = lastSessions.get(on.sqlite)?.get('p') as string;
    const memory: SessionMemory = { epoch: 5, session, ack: 'stored', isCaughtUp: true };
    expect(new Client(on, 'p', { ...memory, session: '0.other' }).peer.closed).toMatchObject({ code: 4503 });
    expect(new Client(on, 'p', { ...memory, epoch: 4 }).peer.closed).toMatchObject({ code: 4503 });
    expect(new Client(on, 'q', memory).peer.closed).toMatchObject({ code: 4503 });
    expect(new Client(again(on), 'p', memory).peer.closed).toBeUndefined();
  });

  test('closes a session with 4503 that had not sent everything again: nobody knows how far it came', () => {
    const on = bed();
    welcomed(on, { epoch: 5 }).batch(1, '1', 'x', '3').stored();
    const client = welcomed(on, { epoch: 5, resume: true, next: 1 });
    expect(client.session.memory).toMatchObject({ isCaughtUp: false });
    expect(new Client(again(on), 'p', client.session.memory).peer.closed).toMatchObject({ code: 4503 });
    client.batch(1, '1', 'x').batch(3, '3');
    expect(client.remembered.at(-1)).toMatchObject({ isCaughtUp: true });
    expect(new Client(again(on), 'p', client.session.memory).peer.closed).toBeUndefined();
  });
});

describe('the shard drains', () => {
  test('what was sent is stored and acked, then the socket is closed with 4503', () => {
    const on = bed();
    const client = welcomed(on);
    const silent = new Client(on, 'q');
    client.batch(1, '1');
    on.pipeline.drainSessions(3_000);
    expect(client.peer.news()).toMatchObject([
      { t: 'ack', stored: 1 },
      { t: 'drain', retryMs: 3_000 },
    ]);
    expect(client.peer.closed).toMatchObject({ code: 4503 });
    expect(silent.peer.frames).toEqual([]);
  });
});

test('the fake Postgres sees what a statement says', async () => {
  const { db } = await new FakePostgres().open();
  expect(await db.execute(sql.raw('commit'))).toMatchObject({ command: 'COMMIT' });
});
