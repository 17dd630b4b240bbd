import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { benchSink, benchTableName, createBenchTable } from '../../../lab/suites/ingest/bench-sink.ts';
import type { Failpoint, Failpoints } from '../../../src/core/failpoints.ts';
import { withTimeLimit } from '../../../src/core/time-limit.ts';
import type { Connection } from '../../../src/database/connection.ts';
import type { Sqlite, SqliteValue } from '../../../src/database/sqlite.ts';
import type { IntakeStats, Session } from '../../../src/ingest/intake.ts';
import type { MessageTotals } from '../../../src/ingest/message-totals.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import type { DeadLetter } from '../../../src/outbox/dead-letter.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import type { MissingChoice } from '../../../src/outbox/missing-messages.ts';
import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { openConnection } from '../../support/open-connection.ts';
import { HANG_LIMIT_MS, TEST_LIMIT_MS } from '../../support/patience.ts';

/** Lives of a shard that are tried. More find more: `DURABLE_RUNS=2000` takes some minutes. */
const RUNS = Number(process.env.DURABLE_RUNS ?? 40);

const database = testDatabase('tcp');
const folder = mkdtempSync(join(tmpdir(), 'sluice-durable-'));
const table = freshName('durable');
let onlooker: Connection;

beforeAll(async () => {
  onlooker = await database.open();
  await rowsOf(onlooker, createBenchTable(table, 'text'));
  await rowsOf(onlooker, `alter table ${benchTableName(table)} add check (payload not like '%poison%')`);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * A shard's storage in a file, as a Durable Object has it: what one turn writes is committed as a whole behind it, and
 * what one turn sends leaves when that is done. Where the turn ends with the shard, neither happens.
 */
class Disk implements Sqlite {
  readonly path: string;
  #sqlite: NodeSqlite;
  #isOpen = false;
  #isCutOff = false;
  #outputs: (() => void)[] = [];
  #commitWaiters: { resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(path: string) {
    this.path = path;
    this.#sqlite = open(path);
  }

  get rowsWritten(): number {
    return this.#sqlite.rowsWritten;
  }

  /** The write that fails, counted from now on; 0: none does. */
  failsIn = 0;

  #failIfDue(statement: string): void {
    if (this.failsIn === 0 || statement.startsWith('select')) return;
    this.failsIn -= 1;
    if (this.failsIn === 0) throw DISK_FULL;
  }

  run<Row>(statement: string, ...bindings: SqliteValue[]): Row[] {
    this.#failIfDue(statement);
    this.#beginTurn(statement);
    return this.#sqlite.run(statement, ...bindings);
  }

  rows<Row extends readonly SqliteValue[]>(statement: string, ...bindings: SqliteValue[]): Row[] {
    this.#beginTurn(statement);
    return this.#sqlite.rows(statement, ...bindings);
  }

  #beginTurn(statement: string): void {
    if (this.#isOpen || statement.startsWith('select')) return;
    this.#isOpen = true;
    this.#sqlite.run('begin');
    setImmediate(() => this.#commit());
  }

  transaction<Result>(step: () => Result): Result {
    return this.#sqlite.transaction(step);
  }

  sync(): Promise<void> {
    if (this.#isCutOff) return Promise.reject(new Error('this storage is cut off'));
    if (!this.#isOpen) return Promise.resolve();
    return new Promise((resolve, reject) => this.#commitWaiters.push({ resolve, reject }));
  }

  /** Sends something once all that was written before is durable. */
  output(send: () => void): void {
    if (this.#isCutOff) return;
    if (this.#isOpen || this.#outputs.length > 0) this.#outputs.push(send);
    else send();
  }

  #commit(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#sqlite.run('commit');
    for (const { resolve } of this.#commitWaiters.splice(0)) resolve();
    for (const send of this.#outputs.splice(0)) send();
  }

  /** Undoes the turn. One that works on goes on with a copy, as an object that does not know that another took its place. */
  cutOff(): void {
    if (this.#isCutOff) return;
    this.#isCutOff = true;
    if (this.#isOpen) this.#sqlite.run('rollback');
    this.#isOpen = false;
    this.#outputs = [];
    for (const { reject } of this.#commitWaiters.splice(0)) reject(new Error('this storage was cut off'));
    this.#sqlite.close();
    const copy = `${this.path}-${Math.random().toString(36).slice(2)}`;
    copyFileSync(this.path, copy);
    this.#sqlite = open(copy);
  }

  close(): void {
    this.#sqlite.close();
  }
}

function open(path: string): NodeSqlite {
  const sqlite = new NodeSqlite(path);
  // The end of the machine is not what is tested; each statement would wait for its disk.
  sqlite.database.exec('pragma journal_mode = memory; pragma synchronous = off');
  return sqlite;
}

const DISK_FULL = new Error('database or disk is full');

type Fault = 'throws' | 'cancelled' | 'ends' | 'holds';

/** One life of a shard, from its start to its crash. */
class Life implements Failpoints {
  readonly disk: Disk;
  readonly timers: FakeTimers;
  readonly pipeline: Pipeline;
  readonly deadLetters: DeadLetters;
  /** The storage failed: the object is ended, and another one started. */
  hasFailed = false;
  /** What goes wrong at the next time that a place is passed. */
  readonly faults = new Map<Failpoint, Fault>();
  refusesConnections = 0;
  #connections: Connection[] = [];
  #isEnded = false;
  /** What lets writes go on that are held: one of each lane at the most. */
  readonly #held = new Set<() => void>();
  #wakeHeld: (() => void) | undefined;

  constructor(disk: Disk, timers: FakeTimers, shard: string, options: Partial<SinkOptions>) {
    this.disk = disk;
    this.timers = timers;
    this.deadLetters = new DeadLetters({ sqlite: disk, maxRows: 10_000, maxBytes: 1e9 });
    this.pipeline = new Pipeline({
      sink: benchSink({ table, column: 'text', options }),
      shard,
      openConnection: () => this.#open(),
      timers,
      random: () => 0.5,
      sqlite: disk,
      deadLetters: this.deadLetters,
      failpoints: this,
      onStorageFailure: () => {
        this.hasFailed = true;
        disk.cutOff();
        this.#wakeHeld?.();
      },
    });
  }

  async #open(): Promise<Connection> {
    if (this.refusesConnections > 0) {
      this.refusesConnections -= 1;
      throw new Error('connection refused');
    }
    const connection = await openConnection(database.target);
    if (this.#isEnded) connection.close();
    this.#connections.push(connection);
    return connection;
  }

  get isHeld(): boolean {
    return this.#held.size > 0;
  }

  hit(name: Failpoint): void {
    if (!this.faults.delete(name)) return;
    throw new Error(`failed ${name}`);
  }

  async pass(name: Failpoint): Promise<void> {
    const fault = this.faults.get(name);
    this.faults.delete(name);
    switch (fault) {
      case 'throws':
        throw new Error(`lost ${name}`);
      case 'cancelled':
        throw Object.assign(new Error(`cancelled ${name}`), { code: '57014' });
      case 'ends':
        this.closeConnections();
        throw new Error(`connection ended ${name}`);
      case 'holds':
        this.#wakeHeld?.();
        await new Promise<void>((resolve) => this.#held.add(resolve));
        break;
      default:
        break;
    }
  }

  release(): void {
    for (const resolve of this.#held) resolve();
    this.#held.clear();
  }

  closeConnections(): void {
    for (const connection of this.#connections) connection.close();
    this.#connections = [];
  }

  /** It does nothing any more. */
  end(): void {
    this.#isEnded = true;
    this.faults.clear();
    this.closeConnections();
    this.release();
  }

  /** Resolves when no batch is on its way, or one is held. */
  async quiet(): Promise<void> {
    for (;;) {
      await settled();
      if (this.isHeld || this.hasFailed || !this.pipeline.isWriting) return;
      const held = new Promise<void>((resolve) => {
        this.#wakeHeld = resolve;
      });
      await withTimeLimit(Promise.race([this.pipeline.nextAttempt(), held]), HANG_LIMIT_MS, 'writing').catch(
        (error) => {
          throw new Error(`${error.message}: ${JSON.stringify(this.pipeline.stats())}`);
        },
      );
    }
  }

  /** Lets time pass, and Postgres do its work. */
  async elapse(ms: number): Promise<void> {
    for (const part of [1, 1, ms]) {
      this.timers.advance(part);
      await this.quiet();
    }
  }
}

type Kind = 'good' | 'escaped' | 'large' | 'bad' | 'poison';

interface Sent {
  epoch: number;
  sequence: number;
  kind: Kind;
  line: string;
}

/** A client that keeps what it has not seen acked, and checks what it is told. */
class Client {
  readonly name: string;
  readonly level: 'stored' | 'committed' | 'none';
  epoch: number | undefined;
  sessionName: string | undefined;
  /** The messages of this epoch. */
  sent: Sent[] = [];
  /** How far acks of this epoch went. */
  acked = 0;
  committed = 0;
  readonly refused = new Set<number>();
  /** What has to be in the end, what may be, and what must not. */
  readonly promised: Sent[] = [];
  readonly abandoned: Sent[] = [];
  session: Session | undefined;
  life: Life | undefined;
  /** What it was told and must not be; thrown where a test can see it. */
  wrong: Error | undefined;
  /** The next that would be sent. */
  cursor = 1;
  isWelcome = false;

  constructor(name: string, level: Client['level']) {
    this.name = name;
    this.level = level;
  }

  connect(life: Life, isNewEpoch: boolean): void {
    if (isNewEpoch || this.epoch === undefined) this.#forget();
    this.life = life;
    this.isWelcome = false;
    const session = life.pipeline.openSession(
      {
        send: (frame) =>
          life.disk.output(() => {
            if (this.session !== session) return;
            try {
              this.#hear(frame);
            } catch (error) {
              this.wrong ??= error as Error;
            }
          }),
        close: (code, reason) =>
          life.disk.output(() => {
            if (this.session !== session) return;
            this.session = undefined;
            // 4503: the shard cannot write its outbox.
            if (code !== 4503) this.wrong ??= new Error(`closed with ${code} ${reason}`);
          }),
      },
      { producer: this.name, protocol: 'sluice.v1', nowMs: life.timers.now() },
    );
    // What an older session or a zombie sends from now on does not arrive.
    this.session = session;
    const resume =
      this.epoch === undefined
        ? {}
        : { epoch: this.epoch, resume: true, session: this.sessionName, next: this.acked + 1 };
    session.receive(JSON.stringify({ t: 'hello', ack: this.level, ...resume }), life.timers.now());
  }

  /** It has lost its own memory, and begins a new epoch. */
  #forget(): void {
    for (const sent of this.sent) {
      if (sent.sequence <= this.acked) this.#promise(sent);
      else this.abandoned.push(sent);
    }
    this.epoch = undefined;
    this.sent = [];
    this.acked = 0;
    this.committed = 0;
    this.refused.clear();
  }

  #promise(sent: Sent): void {
    if (sent.kind !== 'bad') this.promised.push(sent);
  }

  #hear(text: string): void {
    const frame = JSON.parse(text) as Record<string, never> & {
      t: string;
      stored: number;
      committed: number;
    };
    switch (frame.t) {
      case 'welcome': {
        const isResumed = this.epoch !== undefined;
        if (isResumed && frame.epoch !== this.epoch)
          throw new Error(`${text}: another epoch than ${this.epoch}`);
        // What was acked is never missing, and nothing is there that was not sent.
        if ('missing' in frame) throw new Error(`${text}, acked ${this.acked}`);
        if (isResumed && frame.stored < this.acked) throw new Error(`${text}, acked ${this.acked}`);
        if (frame.stored > this.sent.length) throw new Error(`${text}, sent ${this.sent.length}`);
        this.epoch = frame.epoch;
        this.sessionName = frame.session;
        this.cursor = this.acked + 1;
        this.isWelcome = true;
        break;
      }
      case 'ack':
        this.#ack(frame.stored, frame.committed);
        break;
      case 'nack': {
        const { from, to, temporary } = frame as unknown as { from: number; to: number; temporary: boolean };
        if (temporary) this.cursor = Math.min(this.cursor, from);
        else {
          for (let sequence = from; sequence <= to; sequence += 1) {
            const kind = this.sent[sequence - 1]?.kind;
            if (kind !== 'bad' && kind !== 'poison') throw new Error(`${text} refuses what is ${kind}`);
            this.refused.add(sequence);
          }
        }
        break;
      }
      case 'gap':
        this.cursor = (frame as unknown as { expected: number }).expected;
        break;
      default:
        break;
    }
  }

  #ack(stored: number, committed: number): void {
    if (stored > this.sent.length) throw new Error(`acked ${stored} of ${this.sent.length}`);
    if (committed > stored) throw new Error(`committed ${committed} of ${stored} that are stored`);
    if (stored < this.acked) throw new Error(`acked ${stored} after ${this.acked}`);
    for (let sequence = this.acked + 1; sequence <= stored; sequence += 1) {
      const { kind } = this.sent[sequence - 1] as Sent;
      if (kind === 'bad' && !this.refused.has(sequence))
        throw new Error(`an ack passes for the nack of ${sequence}`);
    }
    this.acked = stored;
    this.committed = Math.max(this.committed, committed);
    this.cursor = Math.max(this.cursor, stored + 1);
  }

  write(kinds: readonly Kind[]): void {
    if (this.epoch === undefined) return;
    for (const kind of kinds) {
      const sequence = this.sent.length + 1;
      const { epoch } = this;
      const id = `"${this.name}/${epoch}/${sequence}`;
      const line = {
        good: `${id}"`,
        escaped: `${id}\\n"`,
        large: `${id}/${'x'.repeat(4_000)}"`,
        bad: `${id}`,
        poison: `${id}/poison"`,
      }[kind];
      this.sent.push({ epoch, sequence, kind, line });
    }
  }

  /** Sends messages from `first` on, as far as there are any. */
  send(first: number, count: number): void {
    const lines = this.sent.slice(first - 1, first - 1 + count).map(({ line }) => line);
    if (this.session === undefined || lines.length === 0) return;
    const frame = `{"t":"batch","seq":${first},"n":${lines.length}}\n${lines.join('\n')}\n`;
    this.session.receive(frame, (this.life as Life).timers.now());
  }

  sendNext(count: number): void {
    const first = this.cursor;
    this.cursor = Math.min(first + count, this.sent.length + 1);
    this.send(first, count);
  }

  /** Everything that this client was promised, once it is all sent and acked. */
  end(): void {
    expect(this.acked).toBe(this.sent.length);
    for (const sent of this.sent) this.#promise(sent);
  }
}

interface Row {
  producer: string;
  epoch: string;
  sequence: string;
  payload: string;
}

/** One shard over all of its lives, with its clients. */
class World {
  readonly shard: string;
  readonly clients: Client[];
  readonly zombies: Life[] = [];
  options: Partial<SinkOptions>;
  life: Life;
  readonly retried = new Set<string>();

  get isExactlyOnce(): boolean {
    return this.options.writer === undefined || EXACTLY_ONCE.includes(this.options.writer);
  }

  constructor(options: Partial<SinkOptions>) {
    this.shard = freshName('shard');
    this.options = options;
    const levels = ['stored', 'committed', 'none'] as const;
    this.clients = levels.map((level) => new Client(`${this.shard}.${level}`, level));
    this.life = this.#start(new FakeTimers());
  }

  #start(timers: FakeTimers): Life {
    return new Life(new Disk(join(folder, this.shard)), timers, this.shard, this.options);
  }

  /** The shard ends without a word. As a zombie, its old instance does not know it. */
  crash(isZombie: boolean, meanwhile?: () => void): void {
    const before = this.life;
    before.disk.cutOff();
    meanwhile?.();
    for (const client of this.clients) client.session = undefined;
    if (isZombie) this.zombies.push(before);
    else this.#end(before);
    this.life = this.#start(new FakeTimers(before.timers.now() + 1));
  }

  #end(life: Life): void {
    life.end();
    this.zombies.splice(this.zombies.indexOf(life) >>> 0, 1);
  }

  async pass(ms: number): Promise<void> {
    // The shard's writes begin first, so that a zombie that holds the checkpoint stands in their way.
    this.life.timers.advance(ms);
    for (const zombie of [...this.zombies]) {
      zombie.faults.clear();
      zombie.release();
      zombie.timers.advance(ms);
      await zombie.quiet();
      this.#end(zombie);
    }
    await this.life.elapse(ms);
  }

  async rows(): Promise<Row[]> {
    return rowsOf<Row>(
      onlooker,
      sql`select producer, epoch, sequence, payload from ${sql.raw(benchTableName(table))}
        where producer like ${`${this.shard}.%`} order by id`,
    );
  }

  /** What holds at any time. */
  async check(): Promise<void> {
    for (const { wrong } of this.clients) if (wrong !== undefined) throw wrong;
    const stats = this.life.pipeline.stats();
    expect(sumOf(stats)).toBe(stats.received);
    const {
      received,
      committed: everCommitted,
      dead: everDead,
      duplicate,
      refused,
    } = stats.totals as MessageTotals;
    expect(everCommitted + everDead + duplicate + refused + stats.buffered).toBe(received);
    // Read before the rows are: more may be written, and be acked, while they are read.
    const committed = this.clients.flatMap(({ name, epoch, committed, sent }) =>
      sent
        .slice(0, committed)
        .filter(({ kind }) => kind !== 'bad')
        .map(({ sequence }) => keyOf({ producer: name, epoch: String(epoch), sequence: String(sequence) })),
    );
    const dead = new Set(this.deadRows().map(keyOf));
    const rows = new Set((await this.rows()).map(keyOf));
    for (const key of committed) {
      if (!rows.has(key) && !dead.has(key) && !this.retried.has(key)) {
        throw new Error(`${key} was acked as committed and is not`);
      }
    }
  }

  deadRows(): Row[] {
    return this.life.disk
      .run<Row>('select producer, epoch, sequence, payload from dead_letters order by id')
      .map((row) => ({ ...row, epoch: String(row.epoch), sequence: String(row.sequence) }));
  }

  /** Everything heals; every client sends all that it has, and all is written. */
  async heal(): Promise<void> {
    for (const zombie of [...this.zombies]) this.#end(zombie);
    this.life.faults.clear();
    this.life.disk.failsIn = 0;
    this.life.refusesConnections = 0;
    this.life.release();
    for (let round = 0; ; round += 1) {
      expect(round, 'rounds until all is acked').toBeLessThan(50);
      if (this.life.hasFailed) this.crash(false);
      for (const client of this.clients) {
        if (client.session === undefined || !client.isWelcome) {
          client.connect(this.life, false);
          await settled();
        } else if (client.cursor > client.sent.length && client.acked < client.sent.length)
          client.cursor = client.acked + 1;
        client.sendNext(100);
      }
      await this.pass(60_000);
      if (this.clients.every(({ acked, sent }) => acked === sent.length) && !this.life.pipeline.isBusy) break;
    }
    await this.life.pipeline.drained();
  }

  /** What holds in the end. */
  async judge(): Promise<void> {
    await this.check();
    const { pipeline, disk } = this.life;
    const rows = await this.rows();
    const dead = this.deadRows();
    const times = new Map<string, number>();
    for (const row of [...rows, ...dead]) times.set(keyOf(row), (times.get(keyOf(row)) ?? 0) + 1);
    for (const client of this.clients) {
      client.end();
      for (const { epoch, sequence, line, kind } of client.promised) {
        const key = keyOf({ producer: client.name, epoch: String(epoch), sequence: String(sequence) });
        if (this.isExactlyOnce) expect(times.get(key) ?? 0, `times that ${key} is there`).toBe(1);
        else expect(times.get(key) ?? 0, `times that ${key} is there`).toBeGreaterThan(0);
        if (this.retried.has(key)) continue;
        const found = (kind === 'poison' ? dead : rows).find((row) => keyOf(row) === key);
        expect(found?.payload).toBe(line);
      }
      const may = new Set(
        [...client.promised, ...client.abandoned].map(({ epoch, sequence }) => `${epoch}/${sequence}`),
      );
      const own = rows.filter(({ producer }) => producer === client.name);
      for (const { epoch, sequence, payload } of own) {
        expect(may).toContain(`${epoch}/${sequence}`);
        expect(payload).not.toMatch(/poison/);
      }
      if (!this.isExactlyOnce) continue;
      // In the order of its sequences, within an epoch and over them.
      const order = own.filter((row) => !this.retried.has(keyOf(row))).map(orderOf);
      expect(order).toEqual([...order].sort((left, right) => left - right));
    }
    if (this.isExactlyOnce) expect([...times.values()].every((count) => count === 1)).toBe(true);
    const stats = pipeline.stats();
    expect(stats).toMatchObject({
      buffered: 0,
      bufferedBytes: 0,
      outboxBytes: 0,
      spilled: 0,
      state: 'running',
    });
    expect(disk.run(UNSETTLED_GROUPS)).toEqual([]);
    expect(pipeline.fill).toBe(0);
    for (const client of this.clients) client.session?.end();
    expect(pipeline.producers.active).toBe(0);
  }

  end(): void {
    for (const life of [...this.zombies, this.life]) this.#end(life);
    this.life.disk.close();
  }
}

/** Groups that are in the outbox, but for those that are settled and kept. */
const UNSETTLED_GROUPS = `select key from outbox_groups join outbox_lanes on lane = key / ${2 ** 48}
  where key % ${2 ** 48} + rows > head`;

function sumOf({ committed, dead, duplicate, buffered, refused }: IntakeStats): number {
  return Object.values(refused).reduce((sum, count) => sum + count, committed + dead + duplicate + buffered);
}

function keyOf({ producer, epoch, sequence }: Pick<Row, 'producer' | 'epoch' | 'sequence'>): string {
  return `${producer}/${epoch}/${sequence}`;
}

function orderOf({ epoch, sequence }: Row): number {
  return Number(epoch) * 1e6 + Number(sequence);
}

type Step =
  | { do: 'connect'; client: number; isNewEpoch: boolean }
  | { do: 'write'; client: number; kinds: Kind[]; count: number }
  | { do: 'again'; client: number; back: number; count: number }
  | { do: 'ahead'; client: number; by: number }
  | { do: 'pass'; ms: number }
  | { do: 'fault'; at: 'after_begin' | 'after_rows' | 'after_commit'; fault: Fault }
  | { do: 'disk'; at: 'before_outbox_write' | 'after_outbox_write' | 'before_outbox_trim' }
  | { do: 'refuse'; times: number }
  | { do: 'full'; at: number }
  | { do: 'crash'; isZombie: boolean; options: Partial<SinkOptions> }
  | { do: 'retry'; isFixed: boolean }
  | { do: 'flush' | 'ping' };

type Writer = SinkOptions['writer'];
const EXACTLY_ONCE: readonly Writer[] = ['copy', 'unnest', 'bulk'];
const AT_LEAST_ONCE: readonly Writer[] = ['naive', 'buffered'];

const client = fc.nat({ max: 2 });
const kind = fc.constantFrom<Kind>('good', 'good', 'good', 'good', 'escaped', 'large', 'bad', 'poison');
const optionsWith = (writers: readonly Writer[]) =>
  fc.record({
    writer: fc.constantFrom(...writers),
    connections: fc.constantFrom(1, 1, 2, 3),
    batchRows: fc.constantFrom(1, 3, 10, 1_000),
    maxBufferBytes: fc.constantFrom(64 * 1024, 1024 * 1024),
    lingerMs: fc.constantFrom(0, 50),
    groupMs: fc.constantFrom(0, 2),
    keepSettledMs: fc.constantFrom(0, 10_000),
  });
type Given = ReturnType<typeof optionsWith> extends fc.Arbitrary<infer Options> ? Options : never;
const stepsWith = (writers: readonly Writer[]): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('write' as const),
        client,
        kinds: fc.array(kind, { minLength: 1, maxLength: 20 }),
        count: fc.integer({ min: 1, max: 20 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('connect' as const),
        client,
        isNewEpoch: fc.nat({ max: 4 }).map((n) => n === 0),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('again' as const),
        client,
        back: fc.nat({ max: 15 }),
        count: fc.integer({ min: 1, max: 30 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('ahead' as const), client, by: fc.integer({ min: 1, max: 3 }) }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('pass' as const),
        ms: fc.constantFrom(1, 2, 50, 1_000, 40_000),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('fault' as const),
        at: fc.constantFrom('after_begin' as const, 'after_rows' as const, 'after_commit' as const),
        fault: fc.constantFrom<Fault>('throws', 'cancelled', 'ends', 'holds'),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('disk' as const),
        at: fc.constantFrom(
          'before_outbox_write' as const,
          'after_outbox_write' as const,
          'before_outbox_trim' as const,
        ),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('full' as const), at: fc.integer({ min: 1, max: 12 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('refuse' as const), times: fc.integer({ min: 1, max: 3 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('crash' as const),
        isZombie: fc.boolean(),
        options: optionsWith(writers),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('retry' as const), isFixed: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'ping' as const) }) },
  );

/** All dead letters; none where the storage fails. */
function lettersTaken({ deadLetters }: Life): DeadLetter[] {
  try {
    return deadLetters.take('all').letters;
  } catch (error) {
    expect(error).toBe(DISK_FULL);
    return [];
  }
}

async function take(world: World, step: Step): Promise<void> {
  const { life, clients } = world;
  switch (step.do) {
    case 'connect':
      clients[step.client]?.connect(life, step.isNewEpoch);
      break;
    case 'write': {
      const of = clients[step.client] as Client;
      if (of.session === undefined) of.connect(life, false);
      if (!of.isWelcome) await settled();
      of.write(step.kinds);
      of.sendNext(step.count);
      break;
    }
    case 'again': {
      const of = clients[step.client] as Client;
      of.send(Math.max(1, of.cursor - step.back), step.count);
      break;
    }
    case 'ahead': {
      const of = clients[step.client] as Client;
      of.write(Array(step.by + 1).fill('good'));
      of.send(of.sent.length, 1);
      break;
    }
    case 'pass':
      await world.pass(step.ms);
      break;
    case 'fault':
      life.faults.set(step.at, step.fault);
      break;
    case 'disk':
      life.faults.set(step.at, 'throws');
      break;
    case 'full':
      life.disk.failsIn = step.at;
      break;
    case 'refuse':
      life.refusesConnections = step.times;
      break;
    case 'crash':
      world.options = step.options;
      world.crash(step.isZombie);
      break;
    case 'retry': {
      const letters = lettersTaken(life);
      for (const letter of letters) {
        world.retried.add(
          keyOf({ ...letter, epoch: String(letter.epoch), sequence: String(letter.sequence) }),
        );
      }
      try {
        life.pipeline.retry(
          step.isFixed ? letters.map((letter) => ({ ...letter, payload: '"fixed"' })) : letters,
          life.timers.now(),
        );
      } catch (error) {
        expect([error, life.hasFailed]).toEqual([DISK_FULL, true]);
      }
      break;
    }
    case 'flush':
      life.pipeline.flush();
      break;
    case 'ping':
      for (const { session } of clients) session?.receive('{"t":"ping"}', life.timers.now());
      break;
  }
  // A failure of the storage is the end of the object, at once. Otherwise the next command may still be of the same turn.
  if (world.life.hasFailed) world.crash(false);
  else if (step.do === 'connect') await settled();
}

describe('a shard with its outbox, over a real Postgres', () => {
  async function live(writers: readonly Writer[], numRuns: number): Promise<void> {
    const life = fc.array(stepsWith(writers), { minLength: 5, maxLength: 40, size: 'max' });
    await fc.assert(
      fc.asyncProperty(optionsWith(writers), life, async (given, commands) => {
        const world = new World(given);
        try {
          for (const client of world.clients) client.connect(world.life, false);
          await settled();
          for (const command of commands) {
            await take(world, command);
            await world.check();
          }
          await world.heal();
          await world.judge();
          // Over all of its lives, though none of them ended well.
          const { stored, committed, dead } = world.life.pipeline.stats().totals as MessageTotals;
          expect(committed).toBe(new Set((await world.rows()).map(keyOf)).size);
          expect(stored).toBe(committed + dead);
        } finally {
          world.end();
        }
      }),
      { numRuns },
    );
  }

  // About a fifth of a second each; a failure is made smaller for as long as that takes.
  const timeout = TEST_LIMIT_MS + RUNS * 2_000;
  test('whatever fails, what was acked is written once, in order, and all adds up', { timeout }, () =>
    live(EXACTLY_ONCE, RUNS),
  );

  test('by a writer that writes no batch as a whole, it is written once or more', { timeout }, () =>
    live(AT_LEAST_ONCE, Math.ceil(RUNS / 3)),
  );
});

/** What a database had of a shard at some time. */
interface Past {
  rows: Record<string, unknown>[];
  checkpoints: Record<string, unknown>[];
}

async function pastOf({ shard }: World): Promise<Past> {
  const [row] = await rowsOf<{ rows: Past['rows'] | null; checkpoints: Past['checkpoints'] | null }>(
    onlooker,
    sql`select
      (select json_agg(t) from ${sql.raw(benchTableName(table))} t where producer like ${`${shard}.%`}) as rows,
      (select json_agg(c) from sluice_bench_checkpoints c where shard = ${shard}) as checkpoints`,
  );
  return { rows: row?.rows ?? [], checkpoints: row?.checkpoints ?? [] };
}

/** The database is another one, which has what it had then, as after an asynchronous failover. */
async function failOver(world: World, past: Past): Promise<void> {
  const { shard } = world;
  const quoted = benchTableName(table);
  await onlooker.db.transaction(async (transaction) => {
    await transaction.execute(sql`delete from ${sql.raw(quoted)} where producer like ${`${shard}.%`}`);
    await transaction.execute(sql`delete from sluice_bench_checkpoints where shard = ${shard}`);
    await transaction.execute(
      sql`insert into ${sql.raw(quoted)} overriding system value
        select * from json_populate_recordset(null::${sql.raw(quoted)}, ${JSON.stringify(past.rows)}::json)`,
    );
    await transaction.execute(
      sql`insert into sluice_bench_checkpoints
        select * from json_populate_recordset(null::sluice_bench_checkpoints, ${JSON.stringify(past.checkpoints)}::json)`,
    );
  });
}

/** An address that points elsewhere from now on. A message is written, so that the shard sees it; then it is resumed. */
async function failOverUnder(world: World, past: Past, choice: MissingChoice): Promise<void> {
  // Nothing holds the checkpoint any more: a server that has failed over has no transactions of before.
  world.life.faults.clear();
  world.life.release();
  await world.pass(1_000);
  if (world.life.hasFailed) world.crash(false);
  world.life.closeConnections();
  await failOver(world, past);
  const client = world.clients[0] as Client;
  if (client.session === undefined || !client.isWelcome) client.connect(world.life, false);
  await settled();
  client.write(['good']);
  for (let round = 0; ; round += 1) {
    expect(round, 'rounds until the new database has it').toBeLessThan(50);
    if (world.life.hasFailed) world.crash(false);
    if (client.session === undefined) client.connect(world.life, false);
    await settled();
    client.sendNext(1_000);
    await world.pass(1_000);
    const { pipeline } = world.life;
    if (!pipeline.isBusy && client.acked === client.sent.length) break;
    if (world.life.pipeline.state === 'stopped') {
      await world.life.pipeline.resume(choice);
      await world.pass(1_000);
    }
  }
}

describe('a database that fails over to a copy that lags behind', () => {
  type Failover = { do: 'copy' | 'over' | 'back' };
  const step = stepsWith(EXACTLY_ONCE).map((given): Step => {
    if (given.do !== 'crash') return given;
    return { ...given, options: { ...given.options, ...KEEP_ALL } };
  });
  const failover = fc.constantFrom<Failover>({ do: 'copy' }, { do: 'over' }, { do: 'back' });
  const KEEP_ALL = {
    connections: 1,
    keepSettledMs: 600_000,
    keepSettledBytes: 1024 * 1024 * 1024,
  } as const;

  /** The storage fails in the step that keeps a dead letter, within the transaction that writes the rest of its batch. */
  const DEAD_LETTER_LOST: [Given, (Step | Failover)[]] = [
    {
      writer: 'copy',
      connections: 1,
      batchRows: 1,
      maxBufferBytes: 65_536,
      lingerMs: 0,
      groupMs: 0,
      keepSettledMs: 0,
    },
    [
      {
        do: 'crash',
        isZombie: false,
        options: { writer: 'bulk', batchRows: 3, lingerMs: 0, groupMs: 0, ...KEEP_ALL },
      },
      { do: 'disk', at: 'before_outbox_trim' },
      { do: 'write', client: 0, kinds: ['good', 'good', 'good', 'poison', 'good'], count: 5 },
      { do: 'pass', ms: 1 },
      { do: 'copy' },
      { do: 'pass', ms: 1 },
      // The control of the property wants a database from the past.
      { do: 'over' },
    ],
  ];

  test('whatever else fails, it has all of it once in the end, in order', {
    timeout: TEST_LIMIT_MS + RUNS * 4_000,
  }, async () => {
    let rewritten = 0;
    await fc.assert(
      fc.asyncProperty(
        optionsWith(EXACTLY_ONCE),
        fc.array(fc.oneof({ weight: 5, arbitrary: step }, { weight: 1, arbitrary: failover }), {
          minLength: 10,
          maxLength: 40,
          size: 'max',
        }),
        async (given, commands) => {
          const world = new World({ ...given, ...KEEP_ALL });
          let copy: Past | undefined;
          let old: Past | undefined;
          try {
            for (const client of world.clients) client.connect(world.life, false);
            await settled();
            for (const command of commands) {
              switch (command.do) {
                case 'copy':
                  copy = await pastOf(world);
                  break;
                case 'over':
                case 'back': {
                  const target = command.do === 'over' ? copy : old;
                  // An empty database is no copy that lags: nobody knows what it had.
                  if (target === undefined || target.checkpoints.length === 0) break;
                  old = await pastOf(world);
                  await failOverUnder(world, target, 'write-again');
                  rewritten += world.life.pipeline.stats().rewritten;
                  break;
                }
                default:
                  await take(world, command);
              }
              if (world.life.hasFailed) world.crash(false);
              await world.check();
            }
            await world.heal();
            await world.judge();
          } finally {
            world.end();
          }
        },
      ),
      { numRuns: RUNS, examples: [DEAD_LETTER_LOST] },
    );
    expect(rewritten, 'the control: some of it had to be written again').toBeGreaterThan(0);
  });
});

/** A world whose first client has written some messages, all of them committed. */
async function worldWith(messages: number, given: Partial<SinkOptions> = {}): Promise<[World, Client]> {
  const world = new World({ lingerMs: 0, ...given });
  const client = world.clients[0] as Client;
  client.connect(world.life, false);
  await settled();
  await write(world, client, messages);
  return [world, client];
}

async function write(world: World, client: Client, messages: number): Promise<void> {
  client.write(Array(messages).fill('good'));
  client.sendNext(messages);
  await world.pass(1_000);
}

async function onCheckpoint({ shard }: World, statement: string): Promise<void> {
  await rowsOf(onlooker, `${statement} where shard = '${shard}'`);
}

test('bad rows that come next of every producer stop nobody for good', async () => {
  const world = new World({ writer: 'bulk', batchRows: 1, connections: 1, lingerMs: 0 });
  // All of them wait when the first is tried.
  world.life.refusesConnections = Number.POSITIVE_INFINITY;
  for (const client of world.clients.slice(0, 2)) {
    client.connect(world.life, false);
    await settled();
    client.write(['poison', 'poison', 'poison', 'good']);
    client.sendNext(4);
  }
  await world.heal();
  await world.judge();
  expect([(await world.rows()).length, world.deadRows().length]).toEqual([2, 6]);
  world.end();
});

describe('two instances of one shard, on copies of one outbox', () => {
  test.each(['copy', 'unnest', 'bulk'] as const)('write everything once between them: %s', async (writer) => {
    for (const [mine, theirs] of [
      [7, 7],
      [1, 50],
      [3, 5],
    ] as const) {
      const [world, client] = await worldWith(20, { writer, batchRows: mine });
      world.life.refusesConnections = Number.POSITIVE_INFINITY;
      world.life.closeConnections();
      for (let group = 0; group < 10; group += 1) await write(world, client, 10);
      expect(client.acked).toBe(120);
      const copy = `${world.life.disk.path}-copy`;
      world.crash(false, () => copyFileSync(join(folder, world.shard), copy));
      const other = new Life(new Disk(copy), new FakeTimers(), world.shard, {
        ...world.options,
        batchRows: theirs,
      });
      const both = [world.life, other];
      for (let round = 0; both.some(({ pipeline }) => pipeline.isBusy); round += 1) {
        expect(round).toBeLessThan(500);
        // Both at once: each finds the other's batches where it wanted to write its own.
        await Promise.all(both.map((life) => life.elapse(1_000)));
      }
      expect((await world.rows()).map(({ sequence }) => Number(sequence))).toEqual(
        Array.from({ length: 120 }, (_, index) => index + 1),
      );
      for (const { pipeline } of both) {
        expect(sumOf(pipeline.stats())).toBe(pipeline.stats().received);
        expect(pipeline.stats()).toMatchObject({ buffered: 0, committed: 100, dead: 0, bufferedBytes: 0 });
      }
      other.end();
      other.disk.close();
      world.end();
    }
  });
});

describe('an outbox and a database that do not fit together', () => {
  /** It stops, keeps what it has, and goes on taking messages. */
  async function expectStop(world: World, client: Client, code: string, rows: number): Promise<void> {
    const buffered = world.life.pipeline.stats().buffered;
    await world.pass(60_000);
    expect(world.life.pipeline.stats()).toMatchObject({ state: 'stopped', lastErrorCode: code, buffered });
    const { failures } = world.life.pipeline.stats();
    await write(world, client, 3);
    expect(client.acked).toBe(client.sent.length);
    world.life.pipeline.flush();
    await world.pass(60_000);
    expect(world.life.pipeline.stats()).toMatchObject({ state: 'stopped', failures, buffered: buffered + 3 });
    expect(await world.rows()).toHaveLength(rows);
    expect(sumOf(world.life.pipeline.stats())).toBe(world.life.pipeline.stats().received);
  }

  async function resume(world: World, choice?: MissingChoice): Promise<void> {
    await world.life.pipeline.resume(choice);
    await world.pass(1_000);
    expect(world.life.pipeline.stats()).toMatchObject({ state: 'running', buffered: 0 });
  }

  test('a checkpoint that is gone stops the shard, in its next life too, until somebody resumes it', async () => {
    const [world, client] = await worldWith(10);
    await onCheckpoint(world, 'delete from sluice_bench_checkpoints');
    await write(world, client, 5);
    await expectStop(world, client, 'checkpoint_missing', 10);
    world.crash(false);
    client.connect(world.life, false);
    await settled();
    await expectStop(world, client, 'checkpoint_missing', 10);
    await resume(world);
    await world.heal();
    await world.judge();
    // The new life in Postgres is a sound one.
    await write(world, client, 5);
    world.crash(false);
    await world.heal();
    await world.judge();
    world.end();
  });

  test('a database in the past stops it; what is missing there stays missing, and the rest is written', async () => {
    const [world, client] = await worldWith(10);
    await onCheckpoint(world, 'update sluice_bench_checkpoints set position = 6');
    await rowsOf(
      onlooker,
      `delete from ${benchTableName(table)} where producer = '${client.name}' and sequence > 6`,
    );
    await write(world, client, 5);
    await expectStop(world, client, 'checkpoint_behind', 6);
    await world.life.pipeline.resume();
    await expectStop(world, client, 'checkpoint_behind', 6);
    await resume(world, 'give-up');
    const sequences = (await world.rows()).map(({ sequence }) => Number(sequence));
    expect(sequences).toEqual([1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
    world.end();
  });

  /** The checkpoint of a world as it is shown for a while: an address that points elsewhere, or something that hides it. */
  const ELSEWHERE = {
    checkpoint_missing: "update sluice_bench_checkpoints set shard = shard || '-hidden'",
    checkpoint_behind: 'update sluice_bench_checkpoints set position = position - 8',
    checkpoint_ahead: 'update sluice_bench_checkpoints set position = position + 1000',
  } as const;

  const kinds = Object.entries(ELSEWHERE) as [keyof typeof ELSEWHERE, string][];
  const lives = [false, true].flatMap((isAsleep) =>
    kinds.map(([code, change]) => ({ code, change, isAsleep })),
  );
  test.each(lives)(
    'a lost commit and $code for a while double nothing, once it is resumed (asleep: $isAsleep)',
    async ({ code, change, isAsleep }) => {
      const [world, client] = await worldWith(10);
      // The batch is committed, and its answer is lost.
      world.life.faults.set('after_commit', 'ends');
      world.life.refusesConnections = 1;
      await write(world, client, 5);
      const [truth] = await rowsOf<{ position: string }>(
        onlooker,
        `select position from sluice_bench_checkpoints where shard = '${world.shard}'`,
      );
      expect([truth?.position, await world.rows()], 'the control: it was').toMatchObject([
        '15',
        { length: 15 },
      ]);
      await onCheckpoint(world, change);
      await world.pass(60_000);
      expect(world.life.pipeline.stats()).toMatchObject({ state: 'stopped', lastErrorCode: code });
      if (isAsleep) world.crash(false);
      if (code === 'checkpoint_missing') {
        await rowsOf(
          onlooker,
          `update sluice_bench_checkpoints set shard = '${world.shard}' where shard = '${world.shard}-hidden'`,
        );
      } else await onCheckpoint(world, `update sluice_bench_checkpoints set position = ${truth?.position}`);
      const { incarnation } = world.life.disk.run<{ incarnation: string }>(
        'select incarnation from outbox_lanes',
      )[0] as { incarnation: string };
      await resume(world);
      expect((await world.rows()).map(({ sequence }) => Number(sequence))).toEqual(
        Array.from({ length: 15 }, (_, index) => index + 1),
      );
      expect(world.life.disk.run('select incarnation from outbox_lanes'), 'it went on as it was').toEqual([
        { incarnation },
      ]);
      await world.heal();
      await world.judge();
      world.end();
    },
  );

  test('a shard that has slept is still stopped, says why, asks nothing, and is resumed', async () => {
    const [world, client] = await worldWith(10);
    await onCheckpoint(world, ELSEWHERE.checkpoint_missing);
    await write(world, client, 5);
    await world.pass(60_000);
    const before = world.life.pipeline.stats();
    expect(before.state).toBe('stopped');
    for (let sleep = 0; sleep < 3; sleep += 1) {
      world.crash(false);
      const { pipeline } = world.life;
      expect(pipeline.isStopped).toBe(true);
      await world.pass(60_000);
      pipeline.flush();
      await world.pass(60_000);
      expect(pipeline.stats()).toMatchObject({
        state: 'stopped',
        lastErrorCode: 'checkpoint_missing',
        lastError: before.lastError,
        lastErrorAtMs: before.lastErrorAtMs,
        buffered: 5,
        failures: 0,
      });
    }
    // The row is gone for good: it begins another life, and that outlives a sleep too.
    await world.life.pipeline.resume();
    // The answer leaves when what was written is durable.
    await world.life.disk.sync();
    world.crash(false);
    expect(world.life.pipeline.state).toBe('running');
    await world.heal();
    await world.judge();
    world.end();
  });

  test('what is missing in a database from the past is written again, where somebody says so', async () => {
    const [world, client] = await worldWith(10);
    const past = await pastOf(world);
    await write(world, client, 3);
    client.write(['poison', 'good']);
    client.sendNext(2);
    await world.pass(1_000);
    expect([(await world.rows()).length, world.deadRows().length]).toEqual([14, 1]);
    world.life.closeConnections();
    await failOver(world, past);
    await write(world, client, 2);
    await world.pass(60_000);
    const { pipeline } = world.life;
    expect(pipeline.stats()).toMatchObject({
      state: 'stopped',
      lastErrorCode: 'checkpoint_behind',
      buffered: 2,
    });
    const missing = { messages: 4, held: 4, unlisted: 0 };
    expect(pipeline.missing).toMatchObject({
      ...missing,
      // The fourth of these five is a dead letter.
      ranges: [{ producer: client.name, epoch: client.epoch, firstSequence: 11, lastSequence: 15 }],
    });
    await pipeline.resume();
    expect(pipeline.stats(), 'nobody has chosen').toMatchObject({ state: 'stopped', buffered: 2 });
    world.crash(false);
    expect(world.life.pipeline.missing, 'it is known after a sleep').toMatchObject(missing);
    await world.life.pipeline.resume('write-again');
    expect(world.life.pipeline.stats()).toMatchObject({ rewritten: 4, buffered: 6 });
    await world.heal();
    await world.judge();
    expect((await world.rows()).map(({ sequence }) => Number(sequence))).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17,
    ]);
    world.end();
  });

  test.each([0, 600_000])(
    'a dead letter stays the only one of its message, with %i ms of settled ones',
    async (ms) => {
      const [world, client] = await worldWith(1, {
        writer: 'bulk',
        keepSettledMs: ms,
        batchRows: 1,
        connections: 1,
      });
      const past = await pastOf(world);
      // The one after the dead letter is committed, the next one is not: their group is still in the outbox.
      world.life.faults.set('after_commit', 'holds');
      client.write(['poison', 'good', 'good']);
      client.sendNext(3);
      await world.pass(1_000);
      expect([(await world.rows()).length, world.deadRows().length]).toEqual([2, 1]);
      await failOver(world, past);
      world.life.release();
      await world.pass(1_000);
      expect(world.life.pipeline.missing).toMatchObject({ messages: 1, held: 1 });
      await resume(world, 'write-again');
      await world.heal();
      await world.judge();
      expect((await world.rows()).map(({ sequence }) => Number(sequence))).toEqual([1, 3, 4]);
      world.end();
    },
  );

  test('what is not kept any more stays missing, and the rest of it is written again', async () => {
    const [world, client] = await worldWith(5, { keepSettledMs: 10_000 });
    const past = await pastOf(world);
    await write(world, client, 5);
    // A commit that comes later than that: the database had time enough to copy what was before.
    await world.pass(20_000);
    await write(world, client, 5);
    await write(world, client, 5);
    world.life.closeConnections();
    await failOver(world, past);
    await write(world, client, 1);
    await world.pass(1_000);
    const { pipeline } = world.life;
    expect(pipeline.missing).toMatchObject({ messages: 15, held: 10 });
    expect(pipeline.stats().lastError).toContain('The shard still has the last 10 of them');
    await resume(world, 'write-again');
    expect((await world.rows()).map(({ sequence }) => Number(sequence))).toEqual([
      1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    ]);
    world.end();
  });

  test.each([
    ['an outage', 20],
    ['a time without messages', 0],
  ])('%s may be long: what was committed just before it is kept', async (_, refused) => {
    const [world, client] = await worldWith(5, { keepSettledMs: 1_000 });
    const past = await pastOf(world);
    await write(world, client, 5);
    world.life.closeConnections();
    world.life.refusesConnections = refused;
    if (refused > 0) await write(world, client, 1);
    for (let minute = 0; minute < 3; minute += 1) await world.pass(60_000);
    await failOver(world, past);
    for (let minute = 0; minute < 20; minute += 1) await world.pass(60_000);
    await write(world, client, 1);
    await world.pass(60_000);
    expect(world.life.pipeline.missing).toMatchObject({ messages: 5, held: 5 });
    await resume(world, 'write-again');
    await world.heal();
    await world.judge();
    world.end();
  });

  test('a resume that finds no database changes nothing, and says so', async () => {
    const [world, client] = await worldWith(5);
    await onCheckpoint(world, 'delete from sluice_bench_checkpoints');
    await write(world, client, 5);
    await world.pass(1_000);
    world.life.refusesConnections = 1;
    await expect(world.life.pipeline.resume()).rejects.toMatchObject({
      code: 'database_unreachable',
      message: expect.stringContaining('its checkpoint could not be asked for: connection refused'),
    });
    expect(world.life.pipeline.stats()).toMatchObject({
      state: 'stopped',
      lastErrorCode: 'checkpoint_missing',
    });
    await Promise.all([world.life.pipeline.resume(), world.life.pipeline.resume()]);
    await resume(world);
    await world.heal();
    await world.judge();
    world.end();
  });

  for (const isWritingAtOnce of [true, false]) {
    test(`a storage in the past stops it, ${isWritingAtOnce ? 'before' : 'though'} new messages come first`, async () => {
      const [world, before] = await worldWith(5);
      // The last five are still in the storage that comes back, and in Postgres.
      world.life.faults.set('after_commit', 'holds');
      await write(world, before, 5);
      const path = world.life.disk.path;
      copyFileSync(path, `${path}-past`);
      world.life.release();
      await world.pass(1_000);
      await write(world, before, 10);
      expect(await world.rows()).toHaveLength(20);
      world.crash(false, () => copyFileSync(`${path}-past`, path));
      world.life.refusesConnections = isWritingAtOnce ? 0 : Number.POSITIVE_INFINITY;
      // Another client: to the first one the shard would say what is missing.
      const client = world.clients[1] as Client;
      client.connect(world.life, true);
      await settled();
      if (isWritingAtOnce) await world.pass(60_000);
      await write(world, client, 30);
      world.life.refusesConnections = 0;
      await expectStop(world, client, 'checkpoint_ahead', 20);
      await resume(world);
      const own = (await world.rows()).filter(({ producer }) => producer === client.name);
      expect(own.map(({ sequence }) => Number(sequence))).toEqual(
        Array.from({ length: 33 }, (_, index) => index + 1),
      );
      world.end();
    });
  }
});
