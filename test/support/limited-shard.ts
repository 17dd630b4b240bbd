/** A shard with limits on a clock that stands still, and a Postgres that takes everything or nothing. */

import { randomUUID } from 'node:crypto';
import type { SQL } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import { benchSink } from '../../lab/suites/ingest/bench-sink.ts';
import type { Grant } from '../../src/access/grant.ts';
import type { LimitsOf } from '../../src/access/limits.ts';
import { ownedName } from '../../src/access/producer-name.ts';
import { SluiceClient, type SluiceClientOptions } from '../../src/client/index.ts';
import type { MemoryBudget } from '../../src/core/memory-budget.ts';
import type { Connection, Database } from '../../src/database/connection.ts';
import type { Session, SessionMemory, SessionRequest } from '../../src/ingest/intake.ts';
import { Measurements } from '../../src/ingest/measurements.ts';
import { Pipeline } from '../../src/ingest/pipeline.ts';
import { DeadLetters } from '../../src/outbox/dead-letters.ts';
import type { SinkOptions } from '../../src/sinks/sink-options.ts';
import { FakeTimers, settled } from './fake-timers.ts';
import { NodeSqlite } from './node-sqlite.ts';

export type Frame = Record<string, unknown> & { t: string; credit?: { messages: number; bytes: number } };

/** What a socket has to say of itself. */
export interface Who {
  protocol?: 'raw' | 'sluice.v1';
  address?: string;
  grant?: Grant;
  /** What a fresh token grants that comes within the session. */
  renewed?: Grant;
  memory?: SessionMemory;
}

export interface LimitedShardOptions {
  limits?: LimitsOf;
  options?: Partial<SinkOptions>;
  sqlite?: NodeSqlite;
  timers?: FakeTimers;
  /** The memory of the isolate that it shares. Default: it has its own. */
  memory?: MemoryBudget;
}

export class LimitedShard {
  readonly timers: FakeTimers;
  readonly sqlite: NodeSqlite;
  readonly measured: Measurements;
  readonly pipeline: Pipeline;
  /** Payloads in Postgres. */
  readonly rows: string[] = [];
  /** Postgres is away. */
  isAway = false;

  constructor({
    limits,
    options = {},
    sqlite = new NodeSqlite(),
    timers = new FakeTimers(),
    memory,
  }: LimitedShardOptions = {}) {
    this.timers = timers;
    this.sqlite = sqlite;
    this.measured = new Measurements(timers.now());
    this.pipeline = new Pipeline({
      sink: benchSink({
        table: 'unused',
        column: 'jsonb',
        options: { lingerMs: 0, keepSettledMs: 0, ...options },
      }),
      ...(limits === undefined ? {} : { limits }),
      ...(memory === undefined ? {} : { openMemory: (holder) => memory.open(randomUUID(), holder) }),
      openConnection: async () => this.#connection(),
      timers,
      measured: this.measured,
      random: () => 0.5,
      sqlite,
      deadLetters: new DeadLetters({ sqlite, maxRows: 100, maxBytes: 1e9 }),
    });
  }

  #connection(): Connection {
    if (this.isAway) throw new Error('connection refused');
    let written: string[] = [];
    const execute = async (query: SQL): Promise<unknown> => {
      if (this.isAway) throw new Error('connection lost');
      const text = new PgDialect().sqlToQuery(query).sql;
      if (text.includes('to_regclass'))
        return { rows: [{ hasArrayNulls: true, tableSchema: null, column: null }] };
      if (text.startsWith('insert into "sluice_bench'))
        return { command: 'INSERT', rowCount: null, rows: [] };
      if (text.startsWith('begin')) return [{}, {}, {}, { command: 'UPDATE', rowCount: 1 }];
      if (text.startsWith('commit')) this.rows.push(...written);
      written = [];
      return { command: text === 'commit' ? 'COMMIT' : 'ROLLBACK', rowCount: null };
    };
    return {
      db: { execute } as unknown as Database,
      isOpen: true,
      copy: async (_, data) => {
        const text = data.map((chunk) => new TextDecoder().decode(chunk)).join('');
        written = text
          .split('\n')
          .slice(0, -1)
          .map((line) => line.split('\t')[3] as string);
      },
      copyStream: () => Promise.reject(new Error('not used')),
      cancel() {},
      close() {},
    };
  }

  open(producer: string, who: Who = {}): Socket {
    return new Socket(this, producer, who);
  }

  /** A socket of `sluice.v1` that was welcomed. */
  hello(producer: string, who: Who = {}): Socket {
    return this.open(producer, who).send({ t: 'hello' });
  }

  raw(producer: string, who: Who = {}): Socket {
    return this.open(producer, { ...who, protocol: 'raw' });
  }

  /** Lets time pass, in steps, and what waits for promises run on the way. */
  async pass(ms: number, stepMs = 10): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      await settled();
      this.timers.advance(Math.min(stepMs, ms - passed));
    }
    await settled();
  }

  /** A client of the library, of the tenant that `who` was granted, that is connected to this shard; frames take a millisecond. */
  client(options: Partial<SluiceClientOptions> & { producer: string; who?: Who }): SluiceClient {
    const { who, ...given } = options;
    return new SluiceClient({
      url: 'ws://sluice.test/ws/messages',
      openSocket: () => new LibrarySocket(this, options.producer, who ?? {}) as never,
      timers: this.timers,
      random: () => 0.5,
      ...given,
    });
  }
}

/** One socket: what the server sent, and how it was closed. */
export class Socket {
  readonly frames: Frame[] = [];
  readonly remembered: SessionMemory[] = [];
  closed: { code: number; reason: string } | undefined;
  readonly session: Session;
  readonly #shard: LimitedShard;
  #sequence = 0;

  constructor(shard: LimitedShard, producer: string, { protocol, address, grant, memory, renewed }: Who) {
    this.#shard = shard;
    const request: SessionRequest = {
      producer,
      protocol: protocol ?? 'sluice.v1',
      nowMs: shard.timers.now(),
      address,
      memory,
      access:
        grant === undefined
          ? undefined
          : {
              grant,
              authorize: async () => {
                if (renewed === undefined) throw new Error('not asked');
                return renewed;
              },
              onGrant() {},
            },
      onRemember: (found) => this.remembered.push(found),
    };
    this.session = shard.pipeline.openSession(
      {
        send: (text) => this.frames.push(text === 'pong' ? { t: 'pong' } : (JSON.parse(text) as Frame)),
        close: (code, reason) => {
          this.closed ??= { code, reason };
        },
      },
      request,
    );
  }

  send(frame: string | object): this {
    this.session.receive(typeof frame === 'string' ? frame : JSON.stringify(frame), this.#shard.timers.now());
    return this;
  }

  /** A batch of so many messages, after those that were sent before. */
  batch(messages: number, payload: (sequence: number) => string = String): this {
    const lines = Array.from({ length: messages }, (_, index) => payload(this.#sequence + index + 1));
    this.send(`{"t":"batch","seq":${this.#sequence + 1},"n":${messages}}\n${lines.join('\n')}`);
    this.#sequence += messages;
    return this;
  }

  /** The next batch begins after this sequence. */
  goBack(sequence: number): this {
    this.#sequence = sequence;
    return this;
  }

  last(t: string): Frame | undefined {
    return this.frames.findLast((frame) => frame.t === t);
  }

  all(t: string): Frame[] {
    return this.frames.filter((frame) => frame.t === t);
  }

  /** Messages that it may have on its way, as it was told last. */
  get credit(): number | undefined {
    return this.frames.findLast(({ credit }) => credit !== undefined)?.credit?.messages;
  }

  end(): void {
    this.session.end();
  }
}

type Listener = (event: never) => void;

/** A WebSocket of the client library whose other end is a session of the shard. */
class LibrarySocket {
  protocol = 'sluice.v1';
  bufferedAmount = 0;
  binaryType = '';
  readonly #listeners = new Map<string, Listener[]>();
  readonly #shard: LimitedShard;
  #session: Session | undefined;
  #isOver = false;

  constructor(shard: LimitedShard, producer: string, { address, grant }: Who) {
    this.#shard = shard;
    this.#later(() => {
      this.#session = shard.pipeline.openSession(
        {
          send: (data) => this.#later(() => this.#tell('message', { data })),
          close: (code, reason) => this.#later(() => this.#end(code, reason)),
        },
        {
          producer: ownedName(grant?.tenant, producer),
          protocol: 'sluice.v1',
          nowMs: shard.timers.now(),
          address,
          access:
            grant === undefined
              ? undefined
              : { grant, authorize: () => Promise.reject(new Error('not asked')), onGrant() {} },
        },
      );
      this.#tell('open', {});
    });
  }

  #later(act: () => void): void {
    this.#shard.timers.after(1, act);
  }

  #tell(type: string, event: unknown): void {
    if (!this.#isOver) for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
  }

  #end(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#session?.end();
    this.#tell('close', { code, reason, wasClean: true });
    this.#isOver = true;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(text: string | Uint8Array): void {
    this.#later(() => {
      const frame = typeof text === 'string' ? text : new TextDecoder().decode(text);
      if (!this.#isOver) this.#session?.receive(frame, this.#shard.timers.now());
    });
  }

  close(code = 1000, reason = ''): void {
    this.#later(() => this.#end(code, reason));
  }
}
