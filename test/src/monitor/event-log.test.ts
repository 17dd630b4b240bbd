import { describe, expect, test } from 'vitest';
import type { LogLine } from '../../../src/core/log-line.ts';
import { emptyFlusherStats, type FlusherStats } from '../../../src/ingest/flusher-stats.ts';
import { EventLog } from '../../../src/monitor/event-log.ts';
import { detailsOf, type Refusal, refusalOf } from '../../../src/outbox/refusal.ts';

const AT_MS = 1_800_000_000_000;
const ADDRESS = 'app@db.example:5432/shop (tcp)';

class Bench {
  readonly lines: LogLine[] = [];
  readonly log: EventLog;
  nowMs = AT_MS;
  stats: FlusherStats = emptyFlusherStats();

  constructor() {
    this.log = new EventLog(
      {
        sink: 'readings',
        shard: 3,
        host: () => 'db.example:5432/shop',
        write: (line) => this.lines.push(line),
      },
      AT_MS,
    );
  }

  observe(waiting = 0, fill = 0): void {
    this.log.observe(this.stats, { waiting, fill }, this.nowMs);
  }

  /** A try fails. */
  fail(error: Error & { code?: string }, { state = 'retrying', waiting = 5 }: FailOptions = {}): void {
    const refusal = refusalOf(error);
    this.stats = {
      ...this.stats,
      state,
      failures: this.stats.failures + 1,
      failuresInARow: this.stats.failuresInARow + 1,
      troubleSinceMs: this.stats.troubleSinceMs ?? this.nowMs,
      lastError: refusal.reason,
      lastErrorCode: 'database_unreachable',
      lastErrorAtMs: this.nowMs,
      lastErrorDetails: detailsOf(refusal),
    };
    this.observe(waiting);
  }

  succeed(): void {
    this.stats = { ...this.stats, state: 'running', failuresInARow: 0, troubleSinceMs: null };
    this.observe();
  }

  get kinds(): string[] {
    return this.lines.map(({ kind }) => kind);
  }
}

interface FailOptions {
  state?: FlusherStats['state'];
  waiting?: number;
}

function unreachable(): Error {
  return new Error(`Cannot reach the database ${ADDRESS}: connect ECONNREFUSED`);
}

function refusedBy(sqlState: string, message: string, fields: object = {}): Error & { code: string } {
  return Object.assign(new Error(message), { code: sqlState, ...fields });
}

describe('an outage', () => {
  test.each([1, 33, 10_000])('is one line when it begins and one when it ends, after %i tries', (tries) => {
    const bench = new Bench();
    bench.observe();
    for (let count = 0; count < tries; count += 1) {
      // One outage has many sentences.
      bench.fail(count % 3 === 1 ? refusedBy('57P03', 'the database system is starting up') : unreachable(), {
        waiting: 10 + count,
      });
      bench.nowMs += 1_000;
    }
    bench.succeed();
    bench.succeed();
    expect(bench.kinds).toEqual(['retrying', 'resumed']);
    const [began, ended] = bench.lines as [LogLine, LogLine];
    expect(began).toEqual({
      level: 'warn',
      at: new Date(AT_MS).toISOString(),
      sink: 'readings',
      shard: 3,
      kind: 'retrying',
      code: 'database_unreachable',
      sqlstate: null,
      message: 'retrying: Cannot reach the database: connect ECONNREFUSED',
      waiting: 10,
      tries: 1,
      table: null,
      column: null,
      constraint: null,
      host: 'db.example:5432/shop',
    });
    expect(ended).toMatchObject({
      level: 'info',
      kind: 'resumed',
      lastedMs: tries * 1_000,
      tries,
      waited: 9 + tries,
    });
  });

  test('that becomes a pause is told so, and what somebody has to mend next', () => {
    const bench = new Bench();
    bench.fail(unreachable());
    bench.fail(refusedBy('42P01', 'relation "readings" does not exist'), { state: 'paused' });
    bench.fail(refusedBy('42P01', 'relation "readings" does not exist'), { state: 'paused' });
    bench.fail(refusedBy('42501', 'permission denied for table readings'), { state: 'paused' });
    bench.nowMs += 62_000;
    bench.succeed();
    expect(bench.lines.map(({ kind, sqlstate }) => [kind, sqlstate])).toEqual([
      ['retrying', null],
      ['paused', '42P01'],
      ['paused', '42501'],
      ['resumed', '42501'],
    ]);
    expect(bench.lines[1]?.message).toBe('paused: relation "readings" does not exist');
    expect(bench.lines.at(-1)?.message).toBe(
      'writes again after 62 s: 4 tries had failed, 5 messages waited',
    );
  });

  test('that an earlier life has told is not told again; its end is, with all of its time', () => {
    const bench = new Bench();
    const stats: FlusherStats = {
      ...bench.stats,
      state: 'paused',
      failuresInARow: 7,
      troubleSinceMs: AT_MS - 600_000,
      lastError: 'relation "readings" does not exist',
      lastErrorCode: 'database_refused',
      lastErrorDetails: detailsOf(refusalOf(refusedBy('42P01', 'x'))),
    };
    bench.log.started(stats, { waiting: 40, fill: 0 }, AT_MS);
    bench.stats = stats;
    bench.observe(40);
    expect(bench.lines).toEqual([]);
    bench.succeed();
    expect(bench.lines).toMatchObject([
      { kind: 'resumed', lastedMs: 600_000, tries: 7, waited: 40, sqlstate: '42P01' },
    ]);
  });

  test('that comes and goes all the time is counted after a while', () => {
    const bench = new Bench();
    for (let count = 0; count < 500; count += 1) {
      bench.fail(unreachable());
      bench.nowMs += 10;
      bench.succeed();
    }
    expect(bench.lines).toHaveLength(20);
    bench.nowMs += 60_000;
    bench.fail(unreachable());
    expect(bench.lines.at(-1)?.message).toMatch(/\(980 changes of state before were not told\)$/);
  });
});

describe('dead letters', () => {
  const refusal = (sqlState: string, message: string, fields = {}): Refusal =>
    refusalOf(refusedBy(sqlState, message, fields));

  test('of one reason are told at the first, then in numbers, once a minute at most', () => {
    const bench = new Bench();
    const minutes = 5;
    for (let count = 0; count < 10_000; count += 1) {
      bench.log.dead(
        refusal('22P02', `invalid input syntax for type integer: "secret ${count}"`),
        bench.nowMs,
      );
      bench.nowMs += (minutes * 60_000) / 10_000;
      bench.observe();
    }
    expect(bench.lines).toHaveLength(1 + minutes);
    expect(bench.lines[0]).toMatchObject({
      level: 'warn',
      kind: 'dead-letters',
      code: 'dead_letter',
      sqlstate: '22P02',
      by: 'postgres',
      message: 'a message became a dead letter: invalid input syntax for type integer: "…"',
    });
    const summed = bench.lines.slice(1).map(({ messages }) => messages as number);
    expect(summed.reduce((sum, messages) => sum + messages, 0)).toBe(9_999);
    expect(JSON.stringify(bench.lines)).not.toContain('secret');
    expect(bench.lines[1]?.message).toMatch(/^\d+ more messages became dead letters: 22P02 \d+$/);
  });

  test('of another reason are told at once', () => {
    const bench = new Bench();
    bench.log.dead(refusal('22P02', 'x', { table: 'readings', column: 'celsius' }), bench.nowMs);
    bench.log.dead(refusal('22P02', 'x', { table: 'readings', column: 'place' }), bench.nowMs);
    bench.log.dead(refusal('23514', 'x', { table: 'readings', constraint: 'warm' }), bench.nowMs);
    expect(bench.lines.map(({ column, constraint }) => column ?? constraint)).toEqual([
      'celsius',
      'place',
      'warm',
    ]);
  });

  test('of a thousand reasons are a hundred lines and a summary', () => {
    const bench = new Bench();
    for (let count = 0; count < 1_000; count += 1)
      bench.log.dead(refusal('23514', 'x', { constraint: `c${count}` }), bench.nowMs);
    bench.nowMs += 60_000;
    bench.observe();
    expect(bench.lines).toHaveLength(101);
    expect(bench.lines.at(-1)).toMatchObject({ messages: 900 });
  });
});

test('a full queue is told once it was full for a while, and once there is room', () => {
  const bench = new Bench();
  bench.observe(90, 0.95);
  bench.nowMs += 4_000;
  bench.observe(10, 0.5);
  expect(bench.lines, 'full for a moment').toEqual([]);
  for (let count = 0; count < 10; count += 1) {
    bench.observe(90, 0.95);
    bench.nowMs += 1_000;
  }
  bench.observe(80, 0.8);
  bench.observe(10, 0.5);
  expect(bench.lines.map(({ kind, message }) => [kind, message])).toEqual([
    ['full', 'full: 90 messages wait, which is 95 % of the room: clients are told to wait'],
    ['resumed', 'has room again after 10 s'],
  ]);
});

describe('events for the monitor', () => {
  test('are the same as the lines, without the address; each is taken once', () => {
    const bench = new Bench();
    bench.fail(unreachable());
    expect(bench.log.takeEvents()).toEqual([
      {
        atMs: AT_MS,
        sink: 'readings',
        shard: 3,
        kind: 'retrying',
        code: 'database_unreachable',
        sqlState: null,
        message: 'retrying: Cannot reach the database: connect ECONNREFUSED',
      },
    ]);
    expect(bench.log.takeEvents()).toEqual([]);
  });

  test('are the last 20, and say how many there were before; those that were not heard come first again', () => {
    const bench = new Bench();
    for (let count = 1; count <= 25; count += 1) bench.log.note('info', 'started', `event ${count}`, AT_MS);
    const taken = bench.log.takeEvents();
    expect(taken.map(({ message }) => message).slice(0, 2)).toEqual([
      'event 6 (5 events before it were dropped)',
      'event 7',
    ]);
    expect(taken).toHaveLength(20);
    bench.log.note('info', 'started', 'event 26', AT_MS);
    bench.log.putBack(taken.slice(-2));
    expect(bench.log.takeEvents().map(({ message }) => message)).toEqual([
      'event 24',
      'event 25',
      'event 26',
    ]);
  });
});

test.each([
  [
    `Cannot reach the database ${ADDRESS}: connect ECONNREFUSED 10.1.2.3:5432`,
    'Cannot reach the database: connect ECONNREFUSED',
  ],
  ['getaddrinfo ENOTFOUND db.example', 'getaddrinfo ENOTFOUND'],
  ['connect ECONNREFUSED ::1:5432 to db.example', 'connect ECONNREFUSED to …'],
  ['at 12:34:56 it was 1.5', 'at 12:34:56 it was 1.5'],
])('addresses are taken out of %s', (sentence, shown) => {
  const { log } = new Bench();
  expect(log.publicText(sentence, null)).toBe(shown);
});

test.each([
  [
    'postgres',
    '22P02',
    'invalid input syntax for type integer: "4 1"',
    'invalid input syntax for type integer: "…"',
  ],
  ['postgres', '23502', 'null value in column "a" violates it', 'null value in column "a" violates it'],
  ['postgres', 'P0001', 'no "room" for him', 'no "…" for him'],
  [
    'mapping',
    null,
    'The column a (integer) cannot take x: y: it is not a whole number',
    'The column a (integer) cannot take a value: it is not a whole number',
  ],
  ['sink', null, 'cannot use "x" of 1234', 'cannot use … of …'],
  [null, null, 'Cannot reach it: "x"', 'Cannot reach it: "x"'],
] as const)('values are taken out: by %s, %s', (by, sqlState, sentence, shown) => {
  const { log } = new Bench();
  expect(log.publicText(sentence, { by, sqlState })).toBe(shown);
});
