import { describe, expect, it } from 'vitest';
import { WRITER_MODES } from '../../src/sinks/writer-mode.ts';
import { isIncreasing, type Row, TestShard, useDatabase } from './support.ts';

const query = useDatabase();

/** Texts that a writer gets wrong if it escapes too much, too little, or reads them as numbers. In jsonb's own form. */
const SPECIAL = [
  '9007199254740993',
  '{"big": -9007199254740993, "long": 123456789012345678901234567890.0123456789}',
  '"back\\\\slash \\\\n \\\\t \\\\. \\\\N"',
  '"escaped \\n \\t \\r \\b \\f \\" end"',
  "\"quotes ' '' $1 $$ {} {a,b} %s ; -- /* */\"",
  '"äöü ß é 漢字 😀 👩‍👩‍👧‍👦 \u2028 \u007f"',
  '"NULL"',
  '"\\\\N"',
  'null',
  'true',
  '""',
  '[]',
  '{}',
  '{"": {"": [1, 2, {"a": null}]}}',
  `"${'long '.repeat(2_000)}"`,
];

const PRODUCERS = ['a', 'b:c@d', 'x.y-z_0'];
const PER_PRODUCER = 60;

/** The messages of a producer: the special ones among ordinary ones, each marked so that no two are alike. */
function payloadsOf(producer: string): string[] {
  const ordinary = Array.from({ length: PER_PRODUCER }, (_, n) => `{"n": ${n}, "from": "${producer}"}`);
  return ordinary.flatMap((payload, n) => [payload, SPECIAL[n] ?? `[${n}, "${producer}"]`]);
}

const payloads = (rows: readonly Row[]): string[] => rows.map(({ payload }) => payload);

describe.each(WRITER_MODES)('the writer %s inside workerd', (writer) => {
  it.each(['text', 'jsonb'] as const)('writes every message once and exactly, into %s', async (column) => {
    const shard = await new TestShard(query, { writer, batchRows: 25, lingerMs: 5 }, column).createTable();
    for (const producer of PRODUCERS) {
      const client = await shard.connect(producer);
      const messages = payloadsOf(producer);
      for (let from = 0; from < messages.length; from += 7)
        client.send(messages.slice(from, from + 7).join('\n'));
      await client.close();
    }
    const total = PRODUCERS.length * PER_PRODUCER * 2;
    await shard.received(total);
    const stats = await shard.drain();
    expect(stats).toMatchObject({ committed: total, buffered: 0, failures: 0, lastError: null });

    const rows = await shard.rows();
    expect(rows).toHaveLength(total);
    for (const producer of PRODUCERS) {
      const own = rows.filter((row) => row.producer === producer);
      // The sequence tells the order of sending, whatever the order of writing.
      const bySequence = own.toSorted((a, b) => (a.sequence < b.sequence ? -1 : 1));
      expect(isIncreasing(bySequence.map(({ sequence }) => sequence))).toBe(true);
      expect(payloads(bySequence)).toEqual(payloadsOf(producer));
      // Four connections empty the queue of `buffered`: it promises no order.
      if (writer !== 'buffered') expect(payloads(own)).toEqual(payloads(bySequence));
    }
  });
});

describe.each(WRITER_MODES.filter((mode) => mode !== 'buffered'))('the writer %s', (writer) => {
  it('keeps the order of each producer over several connections', async () => {
    const options = { writer, connections: 3, batchRows: 10, lingerMs: 0 };
    const shard = await new TestShard(query, options).createTable();
    const clients = await Promise.all(['p', 'q', 'r', 's', 't'].map((producer) => shard.connect(producer)));
    for (let n = 0; n < 80; n += 1) for (const client of clients) client.send(`${n}`);
    await shard.received(400);
    expect(await shard.drain()).toMatchObject({ committed: 400, failures: 0 });
    const rows = await shard.rows();
    for (const producer of ['p', 'q', 'r', 's', 't']) {
      expect(payloads(rows.filter((row) => row.producer === producer))).toEqual(
        Array.from({ length: 80 }, (_, n) => `${n}`),
      );
    }
    for (const client of clients) await client.close();
  });
});

describe.each(['bulk', 'unnest', 'copy'] as const)('the writer %s', (writer) => {
  it('writes 20,000 rows in one flush: more than one statement has parameters for', async () => {
    const shard = await new TestShard(query, {
      writer,
      batchRows: 50_000,
      lingerMs: 60_000,
      alarmMs: 600_000,
    }).createTable();
    const client = await shard.connect('many');
    for (let from = 0; from < 20_000; from += 1_000) {
      client.send(Array.from({ length: 1_000 }, (_, n) => `${from + n}`).join('\n'));
    }
    const before = await shard.received(20_000);
    expect(before).toMatchObject({ flushes: 0, buffered: 20_000 });
    expect(await shard.drain()).toMatchObject({ flushes: 1, committed: 20_000, failures: 0 });
    const rows = await shard.rows();
    expect(payloads(rows)).toEqual(Array.from({ length: 20_000 }, (_, n) => `${n}`));
    expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
    await client.close();
  });
});
