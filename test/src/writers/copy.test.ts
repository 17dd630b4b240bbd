import { pgTable, text } from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { benchSink } from '../../../lab/suites/ingest/bench-sink.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { faultClassOf } from '../../../src/database/fault-class.ts';
import { fromMessage, fromPayload, fromProducer } from '../../../src/sinks/column-sources.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { copyStatement, encodeCopyText } from '../../../src/writers/copy.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { anyText, batchOf, write } from './contract.ts';

describe('copy', () => {
  const database = testDatabase('tcp');
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
  });

  test('what Postgres reads back is what was written, for any text but NUL, and null, in two columns', async () => {
    await rowsOf(
      connection,
      'create temporary table any_text (place bigint generated always as identity, one text, two text)',
    );
    const table = pgTable('any_text', { one: text(), two: text() });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(anyText, anyText), { minLength: 1 }), async (pairs) => {
        const sink = defineSink('any', {
          table,
          columns: {
            one: fromMessage(({ sequence }) => pairs[sequence]?.[0] ?? null),
            two: fromMessage(({ sequence }) => pairs[sequence]?.[1] ?? null),
          },
        });
        await rowsOf(connection, 'truncate any_text');
        await write('copy', sink, batchOf(pairs.map((_, sequence) => ({ sequence }))), connection);
        const rows = await rowsOf<{ one: string; two: string }>(
          connection,
          'select one, two from any_text order by place',
        );
        expect(rows.map(({ one, two }) => [one, two])).toEqual(pairs);
      }),
      { numRuns: 150 },
    );
  });

  test('a table that Postgres refuses COPY for is named with the writer that works, which does', async () => {
    const name = freshName('secured');
    const role = freshName('role');
    await rowsOf(
      connection,
      `create table ${name} (value text); alter table ${name} enable row level security`,
    );
    await rowsOf(connection, `create policy everybody on ${name} using (true) with check (true)`);
    await rowsOf(connection, `create view ${name}_view as select * from ${name}`);
    await rowsOf(connection, `create role ${role}; grant insert, select on ${name}, ${name}_view to ${role}`);
    const batch = batchOf([{ producer: 'a' }]);
    const columns = { value: fromProducer };
    const table = defineSink('secured', { table: pgTable(name, { value: text() }), columns });
    const view = defineSink('view', { table: pgTable(`${name}_view`, { value: text() }), columns });
    await rowsOf(connection, `set role ${role}`);
    try {
      for (const [sink, reason] of [
        [table, 'row security'],
        [view, 'not a table'],
      ] as const) {
        const error = await write('copy', sink, batch, connection).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({
          code: 'database_refused',
          message: expect.stringMatching(`${reason}.*writer: 'unnest' } of the sink ${sink.name}`),
        });
        expect(faultClassOf(error)).toBe('pause');
        await write('unnest', sink, batch, connection);
      }
    } finally {
      await rowsOf(connection, 'reset role');
    }
    // A role that owns the table bypasses its security.
    await write('copy', table, batch, connection);
    expect(await rowsOf(connection, `select count(*)::int as rows from ${name}`)).toEqual([{ rows: 3 }]);
  });

  test('a text with NUL is refused by Postgres as a whole batch, and the same without it is taken', async () => {
    await rowsOf(connection, 'create temporary table nul_text (value text)');
    const table = pgTable('nul_text', { value: text() });
    const sinkOf = (value: string) =>
      defineSink('nul', { table, columns: { value: fromMessage(() => value) } });
    await expect(write('copy', sinkOf('a\0b'), batchOf([{}, {}]), connection)).rejects.toThrow();
    expect(await rowsOf(connection, 'select * from nul_text')).toEqual([]);
    await write('copy', sinkOf('ab'), batchOf([{}, {}]), connection);
    expect(await rowsOf(connection, 'select * from nul_text')).toEqual([{ value: 'ab' }, { value: 'ab' }]);
  });
});

const decoder = new TextDecoder();

describe('encodeCopyText', () => {
  const { columns } = defineSink('raw', {
    table: pgTable('raw', { producer: text(), payload: text() }),
    columns: { producer: fromProducer, payload: fromPayload },
  });

  test('escapes backslash, tab and line ends, and nothing else', () => {
    const batch = batchOf([
      { payload: '"\\n"' },
      { payload: '[1,\t2\r]' },
      { payload: '"\'{}\u007f\u2028😀"' },
    ]);
    const text = [...encodeCopyText({ columns }, batch)].map((chunk) => decoder.decode(chunk)).join('');
    expect(text).toBe('p\t"\\\\n"\np\t[1,\\t2\\r]\np\t"\'{}\u007f\u2028😀"\n');
  });

  test('ends each chunk with a row, and gives every row once, whatever the run', () => {
    const batch = batchOf(Array.from({ length: 2_000 }, (_, n) => ({ payload: String(n) })));
    for (const [from, to] of [
      [0, 2_000],
      [0, 512],
      [0, 513],
      [511, 1_025],
      [700, 700],
      [1_999, 2_000],
    ] as const) {
      const chunks = [...encodeCopyText({ columns }, { ...batch, from, to })].map((chunk) =>
        decoder.decode(chunk),
      );
      for (const chunk of chunks) expect(chunk.endsWith('\n')).toBe(true);
      const expected = Array.from({ length: to - from }, (_, index) => `p\t${from + index}\n`);
      expect(chunks.join('')).toBe(expected.join(''));
    }
  });
});

test('the statement names the table and the columns, quoted', () => {
  const sink = benchSink({ table: 'x"y', column: 'text', options: {} });
  expect(copyStatement(sink)).toBe(
    'copy "sluice_bench_x""y" ("producer", "epoch", "sequence", "payload", "received_at") from stdin',
  );
});
