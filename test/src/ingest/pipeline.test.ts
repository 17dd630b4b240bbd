import { sql } from 'drizzle-orm';
import { describe, expect, test } from 'vitest';
import { benchSink, createBenchTable } from '../../../src/bench/bench-sink.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { startProducer } from '../../../src/ingest/intake.ts';
import { MESSAGE_OVERHEAD_BYTES } from '../../../src/ingest/message-batch.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import type { SinkOptions } from '../../../src/sink-options.ts';
import { WRITER_MODES } from '../../../src/writers/mode.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { FakeTimers } from '../../support/fake-timers.ts';

/** A database that never answers. */
const never = (): Promise<Connection> => new Promise(() => {});

function pipelineWith(
  options: Partial<SinkOptions>,
  openConnection: () => Promise<Connection> = never,
  table = 'unused',
) {
  const timers = new FakeTimers();
  const sink = benchSink({ table, column: 'jsonb', options });
  const pipeline = new Pipeline({ sink, openConnection, timers, random: () => 0.5 });
  const receive = (producer: ReturnType<typeof startProducer>, frame: string | ArrayBuffer) =>
    pipeline.receive(producer, frame, timers.now());
  return { pipeline, timers, receive };
}

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `{"n":${from + index}}`).join('\n');

describe('a frame', () => {
  test('is taken as far as it is good, and what is bad is answered and counted by its reason', () => {
    const { pipeline, receive } = pipelineWith({});
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
      received: 2,
      buffered: 2,
      refused: { invalid_json: 2, nul_character: 1 },
    });
    expect(producer.nextSequence).toBe(1_002);
  });

  test('without fault gets no answer, and one without messages takes no sequence', () => {
    const { pipeline, receive } = pipelineWith({});
    const producer = startProducer('p', 1);
    expect(receive(producer, '1')).toEqual({ accepted: 1, errorFrame: undefined, isFull: false });
    expect(receive(producer, '\n\n')).toEqual({ accepted: 0, errorFrame: undefined, isFull: false });
    expect(receive(producer, new ArrayBuffer(1))).toMatchObject({ accepted: 0, isFull: false });
    expect(producer.nextSequence).toBe(1_001);
    expect(pipeline.stats()).toMatchObject({ received: 1, refused: { binary_frame: 1 } });
  });

  test('with more refusals than are spelled out is counted in full', () => {
    const { pipeline, receive } = pipelineWith({});
    receive(startProducer('p', 1), Array(25).fill('x').join('\n'));
    expect(pipeline.stats().refused).toEqual({ invalid_json: 25 });
  });

  test('is held against the sink’s own maxMessageBytes', () => {
    const { pipeline, receive } = pipelineWith({ maxMessageBytes: 3 });
    receive(startProducer('p', 1), '123\n1234');
    expect(pipeline.stats()).toMatchObject({ received: 1, refused: { message_too_large: 1 } });
  });
});

describe('a full buffer', () => {
  const maxBufferBytes = 65_536;
  // Ten of these fill the buffer to the last byte but six.
  const message = `"${'x'.repeat(Math.floor(maxBufferBytes / 10) - MESSAGE_OVERHEAD_BYTES - 2)}"`;

  test('refuses the whole frame, keeps what it has, and leaves the sequences alone', () => {
    const { pipeline, receive } = pipelineWith({ maxBufferBytes });
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
    expect(pipeline.stats()).toEqual({ ...before, refused: { buffer_full: 2, invalid_json: 1 } });

    expect(receive(producer, message)).toMatchObject({ accepted: 1, isFull: false });
    expect(receive(producer, '1')).toMatchObject({ accepted: 0, isFull: true });
    expect(pipeline.fill).toBeGreaterThan(0.999);
    expect(pipeline.stats()).toMatchObject({ received: 10, buffered: 10, flushed: 0 });
  });

  test('is full at its last byte, and not one before', () => {
    const { pipeline, receive } = pipelineWith({ maxBufferBytes });
    const producer = startProducer('p', 1);
    const filling = (bytes: number) => `"${'x'.repeat(bytes - MESSAGE_OVERHEAD_BYTES - 2)}"`;
    expect(receive(producer, filling(maxBufferBytes + 1)).accepted).toBe(0);
    expect(receive(producer, filling(maxBufferBytes - 1_000)).accepted).toBe(1);
    expect(receive(producer, filling(1_001)).isFull).toBe(true);
    expect(receive(producer, filling(1_000)).accepted).toBe(1);
    expect(pipeline.fill).toBe(1);
  });

  test('counts what is in flight too: what the database has not committed takes room', () => {
    const { pipeline, receive } = pipelineWith({ maxBufferBytes, batchRows: 1 });
    const producer = startProducer('p', 1);
    for (let n = 0; n < 10; n += 1) receive(producer, message);
    expect(pipeline.isWriting).toBe(true);
    expect(receive(producer, '1').isFull).toBe(true);
  });

  test('answers a frame of nothing but bad messages as any other', () => {
    const { receive } = pipelineWith({ maxBufferBytes });
    const producer = startProducer('p', 1);
    for (let n = 0; n < 10; n += 1) receive(producer, message);
    const receipt = receive(producer, '{');
    expect(receipt.isFull).toBe(false);
    expect(JSON.parse(receipt.errorFrame as string)).toMatchObject({ errors: [{ code: 'invalid_json' }] });
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

  test.each(WRITER_MODES)(
    '%s brings every message of many producers in, each in its order where it promises so',
    async (writer) => {
      const { table, read } = await tableFor();
      const { pipeline, receive } = pipelineWith({ writer, batchRows: 50 }, () => database.open(), table);
      const producers = Array.from({ length: 7 }, (_, n) => startProducer(`p${n}`, 1));
      for (let n = 0; n < 60; n += 6) {
        for (const producer of producers) {
          expect(receive(producer, lines(n, n + 6)).accepted).toBe(6);
          const { received, flushed, buffered } = pipeline.stats();
          expect(received).toBe(flushed + buffered);
        }
      }
      pipeline.flush();
      await pipeline.drained();
      expect(pipeline.stats()).toMatchObject({
        received: 420,
        flushed: 420,
        buffered: 0,
        bufferedBytes: 0,
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

  test('a database that is away for a while costs nothing but time', async () => {
    const { table, read } = await tableFor();
    let tries = 0;
    const { pipeline, receive } = pipelineWith(
      { writer: 'copy', connections: 2, batchRows: 10 },
      async () => {
        tries += 1;
        if (tries <= 4) throw new Error(`away ${tries}`);
        return database.open();
      },
      table,
    );
    const producers = ['a', 'b', 'c', 'd'].map((name) => startProducer(name, 1));
    for (let n = 0; n < 50; n += 5) for (const producer of producers) receive(producer, lines(n, n + 5));
    const drained = pipeline.drained();
    while (pipeline.stats().failures < 4) {
      pipeline.flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(pipeline.stats()).toMatchObject({ received: 200, flushed: 0, buffered: 200 });
    expect(pipeline.stats().lastError).toMatch(/^away \d$/);
    pipeline.flush();
    // What was cut into several batches goes out one after another, without further help.
    await drained;
    expect(pipeline.stats()).toMatchObject({ flushed: 200, buffered: 0, failures: 4, failuresInARow: 0 });
    const rows = await read();
    for (const { name } of producers) {
      expect(rows.filter(({ producer }) => producer === name).map(({ n }) => n)).toEqual(
        Array.from({ length: 50 }, (_, n) => n),
      );
    }
  });
});
