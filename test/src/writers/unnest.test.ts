import { type SQL, sql } from 'drizzle-orm';
import { boolean, PgDialect, pgTable, text } from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { benchSink, createBenchTable } from '../../../lab/suites/ingest/bench-sink.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { fromMessage } from '../../../src/sinks/column-sources.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { anyText, batchOf, write } from './contract.ts';

describe('unnest', () => {
  const database = testDatabase('tcp');
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
  });

  test('sends the same text whatever the rows, with one parameter per column', async () => {
    const table = freshName('unnest');
    await rowsOf(connection, createBenchTable(table, 'jsonb'));
    const sink = benchSink({ table, column: 'jsonb', options: {} });
    const executed = vi.spyOn(connection.db, 'execute');
    await write('unnest', sink, batchOf([{}]), connection);
    await write(
      'unnest',
      sink,
      batchOf(Array.from({ length: 1_000 }, () => ({ payload: '"\'\\\\"' }))),
      connection,
    );
    const statements = executed.mock.calls
      .map(([query]) => new PgDialect().sqlToQuery(query as SQL))
      // Before them, the table's types were asked for.
      .filter((query) => query.sql.startsWith('insert'));
    executed.mockRestore();
    expect(statements).toHaveLength(2);
    expect(statements[1]?.sql).toBe(statements[0]?.sql);
    expect(statements.map(({ params }) => params.length)).toEqual([5, 5]);
    expect(await rowsOf(connection, sql`select count(*)::int as rows from ${sink.table}`)).toEqual([
      { rows: 1_001 },
    ]);
  });

  test('keeps any text but NUL, and null, in a column that may hold anything', async () => {
    await rowsOf(
      connection,
      'create temporary table any_text (place bigint generated always as identity, value text)',
    );
    const table = pgTable('any_text', { value: text() });
    await fc.assert(
      fc.asyncProperty(fc.array(anyText, { minLength: 1 }), async (values) => {
        const sink = defineSink('any', {
          table,
          columns: { value: fromMessage(({ sequence }) => values[sequence] as string | null) },
        });
        await rowsOf(connection, 'truncate any_text');
        await write('unnest', sink, batchOf(values.map((_, sequence) => ({ sequence }))), connection);
        const rows = await rowsOf<{ value: string | null }>(
          connection,
          'select value from any_text order by place',
        );
        expect(rows.map((row) => row.value)).toEqual(values);
      }),
      { numRuns: 100 },
    );
  });

  test('casts a computed text to the type of its column', async () => {
    const table = pgTable(freshName('flags'), { flag: boolean() });
    await rowsOf(connection, sql`create table ${table} (flag boolean)`);
    const sink = defineSink('flags', {
      table,
      columns: { flag: fromMessage(({ sequence }) => String(sequence > 0)) },
    });
    await write('unnest', sink, batchOf([{ sequence: 0 }, { sequence: 1 }]), connection);
    expect(await rowsOf(connection, sql`select flag from ${table}`)).toEqual([
      { flag: false },
      { flag: true },
    ]);
  });
});
