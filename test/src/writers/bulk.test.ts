import { sql } from 'drizzle-orm';
import { bigint, pgTable, text } from 'drizzle-orm/pg-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { MAX_STATEMENT_PARAMETERS } from '../../../src/core/limits.ts';
import { type Connection, sqlState } from '../../../src/database/connection.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import {
  fromPayload,
  fromProducer,
  fromReceivedAt,
  fromSequence,
} from '../../../src/sinks/column-sources.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { batchOf, write } from './contract.ts';

const COLUMNS = 5;
const MOST_ROWS = MAX_STATEMENT_PARAMETERS / COLUMNS;

describe.each(DRIVERS)('bulk at the parameter limit, over the driver %s', (driver) => {
  const database = testDatabase(driver);
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
  });

  async function fiveColumns(): Promise<TableSink> {
    const table = pgTable(freshName('bulk'), {
      producer: text(),
      sequence: bigint({ mode: 'bigint' }),
      payload: text(),
      at: text(),
      again: text(),
    });
    await rowsOf(
      connection,
      sql`create table ${table} (producer text, sequence bigint check (sequence >= 0), payload text, at text, again text)`,
    );
    return defineSink('five', {
      table,
      columns: {
        producer: fromProducer,
        sequence: fromSequence,
        payload: fromPayload,
        at: fromReceivedAt,
        again: fromProducer,
      },
    });
  }

  /** How many rows there are, how many transactions wrote them, and how many statements. */
  async function traces({ quotedTable }: TableSink): Promise<unknown> {
    const [row] = await rowsOf(
      connection,
      `select count(*)::int as rows, count(distinct sequence)::int as distinct,
         count(distinct xmin::text)::int as transactions, count(distinct (xmin::text, cmin::text))::int as statements
       from ${quotedTable}`,
    );
    return row;
  }

  const numbered = (rows: number) => batchOf(Array.from({ length: rows }, (_, sequence) => ({ sequence })));

  test('five columns times 13,107 rows are 65,535 parameters, and one statement', async () => {
    expect(MOST_ROWS).toBe(13_107);
    const sink = await fiveColumns();
    await write('bulk', sink, numbered(MOST_ROWS), connection);
    expect(await traces(sink)).toEqual({ rows: 13_107, distinct: 13_107, transactions: 1, statements: 1 });
  });

  test('one row more makes two statements in one transaction', async () => {
    const sink = await fiveColumns();
    await write('bulk', sink, numbered(MOST_ROWS + 1), connection);
    expect(await traces(sink)).toEqual({ rows: 13_108, distinct: 13_108, transactions: 1, statements: 2 });
  });

  test('a refused row in the second statement takes the first one back', async () => {
    const sink = await fiveColumns();
    const batch = numbered(MOST_ROWS + 1);
    batch.columns.sequences[MOST_ROWS] = -1;
    await expect(write('bulk', sink, batch, connection).catch(sqlState)).resolves.toBe('23514');
    expect(await traces(sink)).toMatchObject({ rows: 0 });
    await write('bulk', sink, numbered(3), connection);
    expect(await traces(sink)).toMatchObject({ rows: 3 });
  });
});
