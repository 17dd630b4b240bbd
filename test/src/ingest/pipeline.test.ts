import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { benchSink, createBenchTable } from '../../../lab/suites/ingest/bench-sink.ts';
import type { Connection } from '../../../src/database/connection.ts';
import type { IntakeStats } from '../../../src/ingest/intake.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { startProducer } from '../../../src/outbox/producer.ts';
import { decodeFrame } from '../../../src/protocol/frame.ts';
import { MESSAGE_OVERHEAD_BYTES } from '../../../src/sinks/message-batch.ts';
import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { WRITER_MODES } from '../../../src/sinks/writer-mode.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

/** A database that never answers. */
const never = (): Promise<Connection> => new Promise(() => {});

interface Surroundings {
  openConnection?: () => Promise<Connection>;
  table?: string;
  /** A shard's storage. Default: a new one. */
  sqlite?: NodeSqlite;
}

function pipelineWith(
  options: Partial<SinkOptions>,
  { openConnection = never, table = 'unused', sqlite = new NodeSqlite() }: Surroundings = {},
) {
  const timers = new FakeTimers();
  const sink = benchSink({ table, column: 'jsonb', options });
  const shard = `test-${table}`;
  const pipeline = new Pipeline({ sink, shard, openConnection, timers, random: () => 0.5, sqlite });
  const receive = (producer: ReturnType<typeof startProducer>, frame: string | ArrayBuffer) =>
    pipeline.admission.takeRawFrame(producer, frame, timers.now());
  return { pipeline, timers, receive };
}

/** Every message that arrived is accounted for. */
function expectBalance({ received, committed, dead, duplicate, refused, buffered }: IntakeStats): void {
  const refusals = Object.values(refused).reduce((sum, count) => sum + count, 0);
  expect(committed + dead + duplicate + refusals + buffered).toBe(received);
}

const DURABILITIES = ['outbox', 'memory'] as const;

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `{"n":${from + index}}`).join('\n');

describe.each(DURABILITIES)('a frame, with durability %s,', (durability) => {
  test('is taken as far as it is good, and what is bad is answered and counted by its reason', () => {
    const { pipeline, receive } = pipelineWith({ durability });
    const producer = startProducer('p', 1);
    const receipt = receive(producer, '1\n{\n"\\u0000"\n2\n{');
    expect(receipt).toMatchObject({ accepted: 2, isFull: false });
    expect(JSON.parse(receipt.errorFrame as string)).toMatchObject({
      t: 'error',
      refused: 3,
      errors: [
        { line: 2, code: 'invalid_json' },
        { line: 3, code: 'nul_character' },
        { line: 5, code: 'invalid_json' },
      ],
    });
    expect(pipeline.stats()).toMatchObject({
      received: 5,
      buffered: 2,
      refused: { invalid_json: 2, nul_character: 1 },
    });
    expectBalance(pipeline.stats());
    expect(producer.nextSequence).toBe(1_002);
  });

  test('without fault gets no answer, and one without messages takes no sequence', () => {
    const { pipeline, receive } = pipelineWith({ durability });
    const producer = startProducer('p', 1);
    expect(receive(producer, '1')).toEqual({ accepted: 1, errorFrame: undefined, isFull: false });
    expect(receive(producer, '\n\n')).toEqual({ accepted: 0, errorFrame: undefined, isFull: false });
    expect(receive(producer, new ArrayBuffer(1))).toMatchObject({ accepted: 0, isFull: false });
    expect(producer.nextSequence).toBe(1_001);
    expect(pipeline.stats()).toMatchObject({ received: 2, buffered: 1, refused: { binary_frame: 1 } });
  });

  test('with more refusals than are spelled out is counted in full', () => {
    const { pipeline, receive } = pipelineWith({ durability });
    receive(startProducer('p', 1), Array(25).fill('x').join('\n'));
    expect(pipeline.stats().refused).toEqual({ invalid_json: 25 });
    expectBalance(pipeline.stats());
  });

  test('is held against the sink’s own maxMessageBytes', () => {
    const { pipeline, receive } = pipelineWith({ durability, maxMessageBytes: 3 });
    receive(startProducer('p', 1), '123\n1234');
    expect(pipeline.stats()).toMatchObject({
      received: 2,
      buffered: 1,
      refused: { message_too_large: 1 },
    });
  });
});

describe('a full buffer of a sink without an outbox', () => {
  const maxBufferBytes = 65_536;
  const durability = 'memory';
  // Ten of these fill the buffer to the last byte but six.
  const message = `"${'x'.repeat(Math.floor(maxBufferBytes / 10) - MESSAGE_OVERHEAD_BYTES - 2)}"`;

  test('refuses the whole frame, keeps what it has, and leaves the sequences alone', () => {
    const { pipeline, receive } = pipelineWith({ durability, maxBufferBytes });
    const producer = startProducer('p', 1);
    for (let n = 0; n < 9; n += 1) expect(receive(producer, message).accepted).toBe(1);
    const before = pipeline.stats();

    const refused = receive(producer, `${message}\n{\n${message}`);
    expect(refused).toMatchObject({ accepted: 0, isFull: true });
    expect(JSON.parse(refused.errorFrame as string)).toMatchObject({
      refused: 3,
      errors: [{ line: 0, code: 'buffer_full' }],
    });
    expect(producer.nextSequence).toBe(1_009);
    expect(pipeline.stats()).toEqual({
      ...before,
      received: 12,
      refused: { buffer_full: 2, invalid_json: 1 },
      totals: { ...before.totals, received: 12, refused: 3 },
    });

    expect(receive(producer, message)).toMatchObject({ accepted: 1, isFull: false });
    expect(receive(producer, '1')).toMatchObject({ accepted: 0, isFull: true });
    expect(pipeline.fill).toBeGreaterThan(0.999);
    expect(pipeline.stats()).toMatchObject({ received: 14, buffered: 10, committed: 0 });
    expectBalance(pipeline.stats());
  });

  test('is full at its last byte, and not one before', () => {
    const { pipeline, receive } = pipelineWith({ durability, maxBufferBytes });
    const producer = startProducer('p', 1);
    const filling = (bytes: number) => `"${'x'.repeat(bytes - MESSAGE_OVERHEAD_BYTES - 2)}"`;
    expect(receive(producer, filling(maxBufferBytes + 1)).accepted).toBe(0);
    expect(receive(producer, filling(maxBufferBytes - 1_000)).accepted).toBe(1);
    expect(receive(producer, filling(1_001)).isFull).toBe(true);
    expect(receive(producer, filling(1_000)).accepted).toBe(1);
    expect(pipeline.fill).toBe(1);
  });

  test('counts what is in flight too: what the database has not committed takes room', () => {
    const { pipeline, receive } = pipelineWith({ durability, maxBufferBytes, batchRows: 1 });
    const producer = startProducer('p', 1);
    for (let n = 0; n < 10; n += 1) receive(producer, message);
    expect(pipeline.isWriting).toBe(true);
    expect(receive(producer, '1').isFull).toBe(true);
  });

  test('answers a frame of nothing but bad messages as any other', () => {
    const { receive } = pipelineWith({ durability, maxBufferBytes });
    const producer = startProducer('p', 1);
    for (let n = 0; n < 10; n += 1) receive(producer, message);
    const receipt = receive(producer, '{');
    expect(receipt.isFull).toBe(false);
    expect(JSON.parse(receipt.errorFrame as string)).toMatchObject({ errors: [{ code: 'invalid_json' }] });
  });
});

describe('an outbox', () => {
  const KILOBYTE = `"${'x'.repeat(998)}"`;
  const frame = Array(10).fill(KILOBYTE).join('\n');

  test('takes what memory has no room for, and tells how much that is', () => {
    const { pipeline, receive } = pipelineWith({ maxBufferBytes: 65_536 });
    const producer = startProducer('p', 1);
    for (let n = 0; n < 100; n += 1) {
      expect(receive(producer, frame)).toMatchObject({ accepted: 10, isFull: false });
      pipeline.flush();
    }
    const stats = pipeline.stats();
    expect(stats).toMatchObject({ received: 1_000, buffered: 1_000, refused: {} });
    expect(stats.bufferedBytes).toBeLessThanOrEqual(65_536);
    expect(stats.outboxBytes).toBeGreaterThan(1_000_000);
    expect(stats.spilled).toBeGreaterThan(900);
    expect(stats.spilled + stats.bufferedBytes / 1_200).toBeLessThanOrEqual(1_000);
    // The control: without it, the buffer's limit is the end.
    const memory = pipelineWith({ durability: 'memory', maxBufferBytes: 65_536 });
    const receipts = Array.from({ length: 100 }, () => memory.receive(startProducer('p', 1), frame));
    expect(receipts.at(-1)).toMatchObject({ accepted: 0, isFull: true });
  });

  test('brings tiny messages back by what they take in memory, which is far more than their text', async () => {
    const maxBufferBytes = 65_536;
    const sqlite = new NodeSqlite();
    const { receive, timers } = pipelineWith({ maxBufferBytes }, { sqlite });
    const producer = startProducer('p', 1);
    const tiny = Array(100).fill('1').join('\n');
    for (let n = 0; n < 200; n += 1) {
      receive(producer, tiny);
      timers.advance(2);
    }
    timers.advance(50);
    // After a restart all of them are in the outbox only.
    const { pipeline } = pipelineWith({ maxBufferBytes }, { sqlite });
    await settled();
    const { buffered, bufferedBytes, spilled } = pipeline.stats();
    expect(pipeline.isWriting, 'the control: some were brought back').toBe(true);
    expect([buffered, bufferedBytes <= 2 * maxBufferBytes]).toEqual([20_000, true]);
    expect(spilled).toBeGreaterThan(18_000);
  });

  test('refuses the whole frame at its limit of bytes, keeps what it has, and leaves the sequences alone', () => {
    const { pipeline, receive } = pipelineWith({ maxOutboxBytes: 65_536 });
    const producer = startProducer('p', 1);
    let taken = 0;
    while (receive(producer, frame).accepted > 0) {
      taken += 10;
      pipeline.flush();
      expect(taken).toBeLessThan(100);
    }
    expect(taken).toBeGreaterThan(40);
    const before = pipeline.stats();
    expect(before).toMatchObject({ buffered: taken, refused: { buffer_full: 10 } });
    const refused = receive(producer, `${frame}\n{`);
    expect(refused).toMatchObject({ accepted: 0, isFull: true });
    expect(JSON.parse(refused.errorFrame as string)).toMatchObject({
      refused: 11,
      errors: [{ line: 0, code: 'buffer_full' }],
    });
    expect(producer.nextSequence).toBe(1_000 + taken);
    expect(pipeline.stats()).toEqual({
      ...before,
      received: before.received + 11,
      refused: { buffer_full: 20, invalid_json: 1 },
      totals: { ...before.totals, received: before.received + 11, refused: 21 },
    });
    expectBalance(pipeline.stats());
  });

  test('refuses frames at its limit of rows, and takes those that still fit', () => {
    const { pipeline, receive } = pipelineWith({ maxOutboxRows: 1_000 });
    const producer = startProducer('p', 1);
    expect(receive(producer, lines(0, 999)).accepted).toBe(999);
    expect(receive(producer, lines(0, 2))).toMatchObject({ accepted: 0, isFull: true });
    expect(receive(producer, '1').accepted).toBe(1);
    expect(receive(producer, '1').isFull).toBe(true);
    expect(pipeline.stats()).toMatchObject({ buffered: 1_000, refused: { buffer_full: 3 } });
  });

  test('has a message once its group is stored: after groupMs, or by a flush', () => {
    const sqlite = new NodeSqlite();
    const { pipeline, receive, timers } = pipelineWith({ groupMs: 5, lingerMs: 60_000 }, { sqlite });
    const stored = (): number =>
      (sqlite.run<{ rows: number | null }>('select sum(rows) as rows from outbox_groups')[0]?.rows ??
        0) as number;
    receive(startProducer('p', 1), lines(0, 3));
    timers.advance(4);
    expect(stored()).toBe(0);
    timers.advance(1);
    expect(stored()).toBe(3);
    receive(startProducer('q', 1), '1');
    pipeline.flush();
    expect(stored()).toBe(4);
  });
});

describe('with a real Postgres', () => {
  const database = testDatabase('tcp');

  async function tableFor(): Promise<{
    table: string;
    read: () => Promise<{ producer: string; n: number }[]>;
  }> {
    const table = freshName('pipeline');
    const connection = await database.open();
    await rowsOf(connection, createBenchTable(table, 'jsonb'));
    const { table: drizzleTable } = benchSink({ table, column: 'jsonb', options: {} });
    return {
      table,
      read: () =>
        rowsOf(connection, sql`select producer, (payload->>'n')::int as n from ${drizzleTable} order by id`),
    };
  }

  test.each(
    DURABILITIES.flatMap((durability) => WRITER_MODES.map((writer) => [durability, writer] as const)),
  )(
    'with durability %s, %s brings every message of many producers in, each in its order where it promises so',
    async (durability, writer) => {
      const { table, read } = await tableFor();
      const { pipeline, receive } = pipelineWith(
        { durability, writer, batchRows: 50 },
        { openConnection: () => database.open(), table },
      );
      const producers = Array.from({ length: 7 }, (_, n) => startProducer(`p${n}`, 1));
      for (let n = 0; n < 60; n += 6) {
        for (const producer of producers) {
          expect(receive(producer, lines(n, n + 6)).accepted).toBe(6);
          expectBalance(pipeline.stats());
        }
      }
      pipeline.flush();
      await pipeline.drained();
      expect(pipeline.stats()).toMatchObject({
        received: 420,
        committed: 420,
        buffered: 0,
        bufferedBytes: 0,
        outboxBytes: 0,
        spilled: 0,
        failures: 0,
      });
      expect([pipeline.isBusy, pipeline.isWriting, pipeline.fill]).toEqual([false, false, 0]);
      expect(pipeline.stats().latency.count).toBe(pipeline.stats().flushes);
      const rows = await read();
      for (const { name } of producers) {
        const found = rows.filter(({ producer }) => producer === name).map(({ n }) => n);
        const all = Array.from({ length: 60 }, (_, n) => n);
        expect(writer === 'buffered' ? found.toSorted((a, b) => a - b) : found).toEqual(all);
      }
    },
  );

  test('the reason that is told is that of a lane that waits for an operator, not of one that only tries again', async () => {
    const refused = Object.assign(new Error('the password is wrong'), { code: '28P01' });
    const opened: ((error: Error) => void)[] = [];
    const { pipeline, timers, receive } = pipelineWith(
      { durability: 'memory', writer: 'copy', connections: 2 },
      { openConnection: () => new Promise((_, reject) => opened.push(reject)) },
    );
    for (const name of ['a', 'b', 'c', 'd']) receive(startProducer(name, 1), '1');
    pipeline.flush();
    await settled();
    expect(opened, 'the control: both lanes try').toHaveLength(2);
    opened[0]?.(refused);
    await settled();
    timers.advance(1);
    opened[1]?.(new Error('away'));
    await settled();
    expect(pipeline.stats(), 'the later one is another').toMatchObject({
      state: 'paused',
      failures: 2,
      lastError: 'the password is wrong',
      lastErrorAtMs: timers.now() - 1,
    });
  });

  test.each(DURABILITIES)(
    'with durability %s, a database that is away for a while costs nothing but time',
    async (durability) => {
      const { table, read } = await tableFor();
      let tries = 0;
      const { pipeline, receive } = pipelineWith(
        { durability, writer: 'copy', connections: 2, batchRows: 10 },
        {
          openConnection: async () => {
            tries += 1;
            if (tries <= 4) throw new Error(`away ${tries}`);
            return database.open();
          },
          table,
        },
      );
      const producers = ['a', 'b', 'c', 'd'].map((name) => startProducer(name, 1));
      for (let n = 0; n < 50; n += 5) for (const producer of producers) receive(producer, lines(n, n + 5));
      const drained = pipeline.drained();
      while (pipeline.stats().failures < 4) {
        pipeline.flush();
        await settled();
      }
      expect(pipeline.stats()).toMatchObject({ received: 200, committed: 0, buffered: 200 });
      expect(pipeline.stats().lastError).toMatch(/^away \d$/);
      pipeline.flush();
      // What was cut into several batches goes out one after another, without further help.
      await drained;
      expect(pipeline.stats()).toMatchObject({ committed: 200, buffered: 0, failures: 4, failuresInARow: 0 });
      const rows = await read();
      for (const { name } of producers) {
        expect(rows.filter(({ producer }) => producer === name).map(({ n }) => n)).toEqual(
          Array.from({ length: 50 }, (_, n) => n),
        );
      }
    },
  );

  test.each(WRITER_MODES)(
    '%s writes what was stored before the shard was restarted, once, in its order',
    async (writer) => {
      const { table, read } = await tableFor();
      const sqlite = new NodeSqlite();
      const before = pipelineWith({ writer }, { sqlite });
      const [a, b] = [startProducer('a', 1), startProducer('b', 1)];
      for (let n = 0; n < 30; n += 3)
        for (const producer of [a, b]) before.receive(producer, lines(n, n + 3));
      before.timers.advance(2);
      before.receive(startProducer('late', 1), '{"n":0}');

      const after = pipelineWith({ writer }, { sqlite, openConnection: () => database.open(), table });
      // What had not been stored yet is all that is lost: 2 ms of messages that nobody was told of.
      expect(after.pipeline.stats()).toMatchObject({ received: 60, recovered: 60, buffered: 60 });
      await after.pipeline.drained();
      expect(after.pipeline.stats()).toMatchObject({ received: 60, committed: 60, buffered: 0, failures: 0 });
      const rows = await read();
      expect(rows).toHaveLength(60);
      for (const name of ['a', 'b']) {
        const found = rows.filter(({ producer }) => producer === name).map(({ n }) => n);
        const all = Array.from({ length: 30 }, (_, n) => n);
        expect(writer === 'buffered' ? found.toSorted((left, right) => left - right) : found).toEqual(all);
      }
      // And nothing of it is left for the next start.
      expect(pipelineWith({ writer }, { sqlite }).pipeline.stats()).toMatchObject({
        recovered: 0,
        buffered: 0,
      });
    },
  );

  test('what comes back from the outbox is what came, whatever stood between the messages of a frame', async () => {
    const table = freshName('pipeline');
    const connection = await database.open();
    await rowsOf(connection, createBenchTable(table, 'text'));
    const line = fc.oneof(
      { weight: 4, arbitrary: fc.json({ stringUnit: 'grapheme' }) },
      {
        weight: 1,
        arbitrary: fc.constantFrom('"a\\nb"', '"\\\\"', '[1,\t2]', '"\u2028"', ' 1 ', '\t1', '1\r'),
      },
      { weight: 1, arbitrary: fc.constantFrom('', ' ', '\t', '{', '"') },
    );
    const frames = fc
      .sample(fc.tuple(fc.array(line, { maxLength: 8 }), fc.constantFrom('\n', '\r\n', '\n\n')), 400)
      .map(([lines, end]) => lines.join(end));
    const sqlite = new NodeSqlite();
    const sink = benchSink({ table, column: 'text', options: {} });
    const open = () => ({
      sink,
      openConnection: () => database.open(),
      timers: new FakeTimers(),
      random: () => 0.5,
      sqlite,
    });
    const before = new Pipeline({ ...open(), openConnection: never });
    const producer = startProducer('p', 1);
    for (const [index, frame] of frames.entries()) {
      before.admission.takeRawFrame(producer, frame, 0);
      // Groups of one frame and of several.
      if (index % 3 !== 0) before.storeGroup();
    }
    before.storeGroup();
    const sent = frames.flatMap((frame) => decodeFrame(frame).payloads);
    expect(sent.length).toBeGreaterThan(1_000);

    const after = new Pipeline(open());
    await after.drained();
    expect(after.stats()).toMatchObject({ recovered: sent.length, committed: sent.length, dead: 0 });
    const rows = await rowsOf<{ payload: string }>(
      connection,
      sql`select payload from ${sink.table} order by id`,
    );
    expect(rows.map(({ payload }) => payload)).toEqual(sent);
  });

  test('the control: without an outbox, a restart loses what was not written', async () => {
    const sqlite = new NodeSqlite();
    const before = pipelineWith({ durability: 'memory' }, { sqlite });
    before.receive(startProducer('a', 1), lines(0, 30));
    before.timers.advance(2);
    expect(before.pipeline.stats().buffered).toBe(30);
    const after = pipelineWith({ durability: 'memory' }, { sqlite });
    expect(after.pipeline.stats()).toMatchObject({ received: 0, recovered: 0, buffered: 0 });
  });
});
