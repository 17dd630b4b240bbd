/** A sink's schema and its mapping, from the frame to the rows and the dead letters. */

import { sql } from 'drizzle-orm';
import { bigint, doublePrecision, numeric, pgTable, text } from 'drizzle-orm/pg-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Connection } from '../../../src/database/connection.ts';
import type { Session } from '../../../src/ingest/intake.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import { defineSink, type TableSinkDefinition } from '../../../src/sinks/table-sink.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { openConnection } from '../../support/open-connection.ts';

const database = testDatabase('tcp');
let onlooker: Connection;
beforeAll(async () => {
  onlooker = await database.open();
});

async function freshTable() {
  const table = pgTable(freshName('readings'), {
    sensor: text().notNull(),
    celsius: doublePrecision(),
    id: bigint({ mode: 'bigint' }),
    money: numeric(),
  });
  await rowsOf(
    onlooker,
    sql`create table ${table} (sensor text not null, celsius double precision, id bigint, money numeric)`,
  );
  const read = () =>
    rowsOf(onlooker, sql`select sensor, celsius, id::text, money::text from ${table} order by sensor`);
  return { table, read };
}

/** A shard on storage that outlives it. */
class TestShard {
  readonly timers = new FakeTimers(1_700_000_000_000);
  readonly frames: Record<string, unknown>[] = [];
  readonly notices: string[] = [];
  readonly deadLetters: DeadLetters;
  readonly pipeline: Pipeline;
  isAway = false;

  constructor(sqlite: NodeSqlite, name: string, definition: TableSinkDefinition) {
    this.deadLetters = new DeadLetters({ sqlite, maxRows: 1_000, maxBytes: 1e9 });
    this.pipeline = new Pipeline({
      sink: defineSink('readings', definition),
      shard: name,
      openConnection: async () => {
        if (this.isAway) throw new Error('The database is away');
        return openConnection(database.target);
      },
      timers: this.timers,
      random: () => 0.5,
      sqlite,
      deadLetters: this.deadLetters,
      onNotice: (sentence) => this.notices.push(sentence),
    });
  }

  open(producer: string, protocol: 'raw' | 'sluice.v1'): Session {
    const peer = {
      send: (frame: string) => void this.frames.push(JSON.parse(frame) as Record<string, unknown>),
      close: (code: number, reason: string) => void this.frames.push({ t: 'closed', code, reason }),
    };
    const session = this.pipeline.openSession(peer, { producer, protocol, nowMs: this.timers.now() });
    if (protocol === 'sluice.v1') {
      session.receive('{"t":"hello","ack":"stored"}', this.timers.now());
      this.frames.length = 0;
    }
    return session;
  }

  batch(session: Session, seq: number, ...lines: string[]): void {
    const header = `{"t":"batch","seq":${seq},"n":${lines.length}}`;
    session.receive([header, ...lines].join('\n'), this.timers.now());
  }

  async settle(): Promise<void> {
    this.pipeline.flush();
    for (
      let tries = 0;
      tries < 100 && this.pipeline.isBusy && this.pipeline.state === 'running';
      tries += 1
    ) {
      await this.pipeline.nextAttempt();
      this.pipeline.flush();
    }
  }

  get letters() {
    return this.deadLetters
      .list({ afterId: 0, limit: 100 })
      .letters.map(({ excerpt, reason }) => [excerpt, reason]);
  }
}

const SCHEMA = z.object({
  sensor: z.string().transform((name) => name.toLowerCase()),
  celsius: z.number().optional(),
  id: z.bigint().optional(),
});

describe('a schema before the mapping', () => {
  test('its issues are the nack of their message, the others are taken, and its output is what is stored', async () => {
    const { table, read } = await freshTable();
    const shard = new TestShard(new NodeSqlite(), freshName('shard'), { table, schema: SCHEMA });
    const session = shard.open('a', 'sluice.v1');
    shard.batch(
      session,
      1,
      '{"sensor":"B","id":9223372036854775807}',
      '{"sensor":1}',
      '[',
      '{"sensor":2}',
      '{"sensor":3}',
      '{"sensor":"C"}',
    );
    shard.batch(session, 7, '{"sensor":"D","celsius":"warm"}');
    shard.batch(session, 8, '{"sensor":"E","celsius":21.5}');
    const nacks = shard.frames.filter(({ t }) => t === 'nack');
    expect(nacks).toMatchObject([
      {
        from: 2,
        to: 2,
        code: 'invalid_message',
        temporary: false,
        message: expect.stringContaining('sensor: '),
      },
      { from: 3, to: 3, code: 'invalid_json', temporary: false },
      { from: 4, to: 5, code: 'invalid_message' },
      { from: 7, to: 7, code: 'invalid_message', message: expect.stringContaining('celsius: ') },
    ]);
    expect(shard.pipeline.stats()).toMatchObject({
      received: 8,
      refused: { invalid_message: 4, invalid_json: 1 },
    });
    await shard.settle();
    expect(await read()).toEqual([
      { sensor: 'b', celsius: null, id: '9223372036854775807', money: null },
      { sensor: 'c', celsius: null, id: null, money: null },
      { sensor: 'e', celsius: 21.5, id: null, money: null },
    ]);
    expect(shard.letters).toEqual([]);
  });

  test('a batch that comes again gets its nacks again, and no message twice', async () => {
    const { table, read } = await freshTable();
    const shard = new TestShard(new NodeSqlite(), freshName('shard'), { table, schema: SCHEMA });
    const session = shard.open('a', 'sluice.v1');
    for (const lines of [
      ['{"sensor":"a"}', '{"sensor":1}'],
      ['{"sensor":"a"}', '{"sensor":1}', '{"sensor":"b"}'],
    ])
      shard.batch(session, 1, ...lines);
    expect(shard.frames.filter(({ t }) => t === 'nack')).toMatchObject([
      { from: 2, to: 2 },
      { from: 2, to: 2 },
    ]);
    await shard.settle();
    expect((await read()).map(({ sensor }) => sensor)).toEqual(['a', 'b']);
  });

  test('a raw socket gets the line, the code and the reason in its error frame', async () => {
    const { table, read } = await freshTable();
    const shard = new TestShard(new NodeSqlite(), freshName('shard'), { table, schema: SCHEMA });
    const session = shard.open('a', 'raw');
    session.receive('{"sensor":"a"}\n\n[\n{"sensor":1}\n{"sensor":"b"}', shard.timers.now());
    expect(shard.frames).toMatchObject([
      {
        t: 'error',
        refused: 2,
        errors: [
          { line: 3, code: 'invalid_json' },
          { line: 4, code: 'invalid_message', message: expect.stringContaining('sensor: ') },
        ],
      },
    ]);
    await shard.settle();
    expect((await read()).map(({ sensor }) => sensor)).toEqual(['a', 'b']);
  });

  test('what it makes has to be what Postgres takes, and small enough', async () => {
    const { table } = await freshTable();
    const outputs: Record<string, unknown> = {
      nul: '\0',
      half: '\ud800',
      large: 'x'.repeat(100_000),
      good: 'x',
    };
    const schema = z.string().transform((name) => ({ sensor: outputs[name] }));
    const shard = new TestShard(new NodeSqlite(), freshName('shard'), { table, schema });
    const session = shard.open('a', 'sluice.v1');
    shard.batch(session, 1, '"nul"', '"half"', '"large"', '"good"');
    expect(shard.frames.filter(({ t }) => t === 'nack').map(({ from, code }) => [from, code])).toEqual([
      [1, 'nul_character'],
      [2, 'lone_surrogate'],
      [3, 'message_too_large'],
    ]);
    await shard.settle();
    expect(shard.pipeline.stats()).toMatchObject({ committed: 1, dead: 0 });
  });

  test('that throws is the fault of the sink, and says so', async () => {
    const { table } = await freshTable();
    const schema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: () => {
          throw new Error('broken');
        },
      },
    } as const;
    const shard = new TestShard(new NodeSqlite(), freshName('shard'), { table, schema });
    shard.batch(shard.open('a', 'sluice.v1'), 1, '"a"');
    expect(shard.frames.filter(({ t }) => t === 'nack')).toMatchObject([
      {
        from: 1,
        to: 1,
        code: 'sink_failed',
        temporary: false,
        message: expect.stringMatching(/schema of the sink readings failed.*broken/),
      },
    ]);
  });

  test('is asked again of a dead letter that is retried: what it refuses stays one, with its reason', async () => {
    const { table, read } = await freshTable();
    const shard = new TestShard(new NodeSqlite(), freshName('shard'), {
      table,
      schema: z.looseObject({ sensor: z.string() }),
    });
    // The schema knows nothing of celsius, and the column does.
    shard.batch(
      shard.open('a', 'sluice.v1'),
      1,
      '{"sensor":"a","celsius":"warm"}',
      '{"sensor":"b","celsius":"hot"}',
    );
    await shard.settle();
    expect(shard.letters).toEqual([
      [
        '{"sensor":"a","celsius":"warm"}',
        'The column celsius (double precision) cannot take "warm": it is not a number',
      ],
      [
        '{"sensor":"b","celsius":"hot"}',
        'The column celsius (double precision) cannot take "hot": it is not a number',
      ],
    ]);
    const { letters } = shard.deadLetters.take('all', { maxRows: 10, maxBytes: 1e6 });
    const [first, second] = letters as [(typeof letters)[0], (typeof letters)[0]];
    const edited = [
      { ...first, payload: '{"sensor":"a","celsius":20}' },
      { ...second, payload: '{"sensor":2,"celsius":20}' },
    ];
    expect(shard.pipeline.retry(edited, shard.timers.now())).toBe(1);
    await shard.settle();
    expect(shard.letters).toEqual([
      ['{"sensor":2,"celsius":20}', expect.stringMatching(/as the sink's schema says: sensor: /)],
    ]);
    expect(await read()).toMatchObject([{ sensor: 'a', celsius: 20 }]);
  });
});

describe('a mapping that is changed while messages wait', () => {
  test('applies to what waits, and says so once', async () => {
    const { table, read } = await freshTable();
    const name = freshName('shard');
    const sqlite = new NodeSqlite();
    const before = new TestShard(sqlite, name, { table });
    const session = before.open('a', 'sluice.v1');
    before.batch(session, 1, '{"sensor":"a","celsius":1}');
    await before.settle();
    before.isAway = true;
    // A connection is open: the next one is asked for by the next life.
    before.batch(session, 2, '{"sensor":"b","celsius":1}', '{"sensor":"c","celsius":2}');
    before.pipeline.storeGroup();
    expect(before.notices).toEqual([]);

    const after = new TestShard(sqlite, name, {
      table,
      row: ({ json }) => ({ sensor: json.sensor, celsius: json.celsius * 2 }),
    });
    expect(after.notices).toHaveLength(1);
    expect(after.notices[0]).toMatch(
      /^The sink readings was changed while 2 messages wait: sensor \(text from the member\) is text from row, function .+What waits is written as the sink is now$/,
    );
    expect(after.pipeline.stats().mappingChange).toBe(after.notices[0]);
    await after.settle();
    expect((await read()).map(({ sensor, celsius }) => [sensor, celsius])).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', 4],
    ]);

    // Written with the new one, it is the one that is known.
    const later = new TestShard(sqlite, name, {
      table,
      row: ({ json }) => ({ sensor: json.sensor, celsius: json.celsius * 2 }),
    });
    expect(later.notices).toEqual([]);
    expect(later.pipeline.stats().mappingChange).toBeNull();
  });

  test('is no news where nothing waits, nor where nothing has changed', async () => {
    const { table } = await freshTable();
    const name = freshName('shard');
    const sqlite = new NodeSqlite();
    const first = new TestShard(sqlite, name, { table });
    const session = first.open('a', 'sluice.v1');
    first.batch(session, 1, '{"sensor":"a"}');
    await first.settle();
    expect(new TestShard(sqlite, name, { table, rest: 'refuse' }).notices).toEqual([]);
    first.batch(session, 2, '{"sensor":"b"}');
    first.pipeline.storeGroup();
    expect(new TestShard(sqlite, name, { table }).notices).toEqual([]);
  });
});
