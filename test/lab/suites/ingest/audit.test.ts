import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, test } from 'vitest';
import { passes } from '../../../../lab/result.ts';
import { type AuditInput, auditTable, compareRows } from '../../../../lab/suites/ingest/audit.ts';
import {
  BENCH_COLUMNS,
  type BenchColumn,
  benchTableName,
  createBenchTable,
  dropBenchTable,
} from '../../../../lab/suites/ingest/bench-sink.ts';
import { benchPayload, benchProducer } from '../../../../lab/suites/ingest/payload.ts';
import { rowsOf } from '../../../support/connect.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const RUN = 'run1';
const CLEAN = { sent: 20, refused: 0, found: 20, lost: 0, duplicated: 0, outOfOrder: 0 };

describe('rows sent against rows found', () => {
  const INPUT: AuditInput = { table: 'copy', run: RUN, clients: 2, messagesPerClient: 10, refused: 0 };

  function rows(producer: string, more: Partial<Parameters<typeof compareRows>[0][number]> = {}) {
    return { producer, rows: 10, distinct: 10, lowest: 0, highest: 9, out_of_order: 0, ...more };
  }
  const first = rows(`${RUN}-0`);
  const second = rows(`${RUN}-1`);

  test('are clean where each message has its row', () => {
    expect(compareRows([first, second], INPUT)).toEqual(CLEAN);
    expect(passes(compareRows([first, second], INPUT))).toBe(true);
  });

  test.each([
    {
      what: 'a producer without rows is lost',
      found: [first],
      audit: { found: 10, lost: 10, duplicated: 0 },
    },
    { what: 'an empty table is lost', found: [], audit: { found: 0, lost: 20, duplicated: 0 } },
    {
      what: 'a message without its row is lost',
      found: [first, rows(`${RUN}-1`, { rows: 9, distinct: 9 })],
      audit: { found: 19, lost: 1, duplicated: 0 },
    },
    {
      what: 'a second row of a message is doubled',
      found: [first, rows(`${RUN}-1`, { rows: 12 })],
      audit: { found: 22, lost: 0, duplicated: 2 },
    },
    {
      what: 'a lost message and a doubled one do not make up for each other',
      found: [first, rows(`${RUN}-1`, { rows: 10, distinct: 9 })],
      audit: { found: 20, lost: 1, duplicated: 1 },
    },
    {
      what: 'rows of another run are doubled, and replace none of this one',
      found: [first, rows('run0-1')],
      audit: { found: 20, lost: 10, duplicated: 10 },
    },
    {
      what: 'rows of a client beyond the last are doubled',
      found: [first, second, rows(`${RUN}-2`)],
      audit: { found: 30, lost: 0, duplicated: 10 },
    },
  ])('$what', ({ found, audit }) => {
    const compared = compareRows(found, INPUT);
    expect(compared).toMatchObject(audit);
    expect(passes(compared)).toBe(false);
  });

  test.each([
    ['after the last', { highest: 10 }],
    ['before the first', { lowest: -1 }],
  ])('a producer with a message number %s does not pass', (_, more) => {
    expect(passes(compareRows([first, rows(`${RUN}-1`, more)], INPUT))).toBe(false);
  });

  test('refused messages are not lost, but one that is missing beside them is', () => {
    const missing = rows(`${RUN}-1`, { rows: 8, distinct: 8 });
    expect(compareRows([first, missing], { ...INPUT, refused: 2 })).toMatchObject({ refused: 2, lost: 0 });
    expect(compareRows([first, missing], { ...INPUT, refused: 1 })).toMatchObject({ refused: 1, lost: 1 });
  });

  test('the order is counted over all producers, and not judged', () => {
    const audit = compareRows(
      [rows(`${RUN}-0`, { out_of_order: 3 }), rows(`${RUN}-1`, { out_of_order: 1 })],
      INPUT,
    );
    expect(audit).toEqual({ ...CLEAN, outOfOrder: 4 });
    expect(passes(audit)).toBe(true);
  });
});

describe.each(BENCH_COLUMNS)('the audit of a real table with a column of type %s', (column: BenchColumn) => {
  const database = ownDatabase();
  const input: AuditInput = { table: 'audited', run: RUN, clients: 2, messagesPerClient: 10, refused: 0 };
  const table = benchTableName(input.table);

  async function insert(producer: string, n: number): Promise<void> {
    await database.connection.db.execute(
      sql`insert into ${sql.raw(table)} (producer, sequence, payload, received_at)
        values (${producer}, ${n}, ${benchPayload(producer, n)}, now())`,
    );
  }

  // The producers take turns, as they do in a run.
  beforeEach(async () => {
    await database.connection.db.execute(dropBenchTable(input.table));
    await database.connection.db.execute(createBenchTable(input.table, column));
    for (let n = 0; n < 10; n += 1) {
      for (const client of [0, 1]) await insert(benchProducer(RUN, client), n);
    }
    expect(await auditTable(database.connection.db, input)).toEqual(CLEAN);
  });

  test('finds a missing row', async () => {
    await rowsOf(database.connection, `delete from ${table} where id = 8`);
    expect(await auditTable(database.connection.db, input)).toEqual({ ...CLEAN, found: 19, lost: 1 });
  });

  test('finds the missing rows at the ends, which leave no gap', async () => {
    await rowsOf(database.connection, `delete from ${table} where id in (1, 20)`);
    expect(await auditTable(database.connection.db, input)).toEqual({ ...CLEAN, found: 18, lost: 2 });
  });

  test('finds a message that stands in the row of another producer', async () => {
    await rowsOf(
      database.connection,
      `update ${table} set producer = '${benchProducer(RUN, 1)}', sequence = 10 where id = 19`,
    );
    expect(await auditTable(database.connection.db, input)).toEqual({ ...CLEAN, lost: 1, duplicated: 1 });
  });

  test('finds a doubled row', async () => {
    await rowsOf(
      database.connection,
      `insert into ${table} (producer, sequence, payload, received_at)
        select producer, sequence, payload, received_at from ${table} where id = 20`,
    );
    expect(await auditTable(database.connection.db, input)).toEqual({ ...CLEAN, found: 21, duplicated: 1 });
  });

  test('finds a row that nobody sent', async () => {
    await insert('someone-else', 0);
    expect(await auditTable(database.connection.db, input)).toEqual({ ...CLEAN, found: 21, duplicated: 1 });
  });

  test('finds a swapped pair, and takes the turns of producers for no disorder', async () => {
    // Rows 5 and 7 are messages 2 and 3 of client 0.
    await rowsOf(
      database.connection,
      `update ${table} as a set payload = b.payload from ${table} as b where (a.id, b.id) in ((5, 7), (7, 5))`,
    );
    expect(await auditTable(database.connection.db, input)).toEqual({ ...CLEAN, outOfOrder: 1 });
  });

  test('finds an empty table to be all lost', async () => {
    await rowsOf(database.connection, `delete from ${table}`);
    expect(await auditTable(database.connection.db, input)).toEqual({ ...CLEAN, found: 0, lost: 20 });
  });
});
