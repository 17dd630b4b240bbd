/** Messages of the bench that share a key, and the audit of their table. */

import { sql } from 'drizzle-orm';
import { describe, expect, test } from 'vitest';
import { passes } from '../../../../lab/result.ts';
import type { AuditInput } from '../../../../lab/suites/ingest/audit.ts';
import { benchSink, benchTableName, createBenchTable } from '../../../../lab/suites/ingest/bench-sink.ts';
import { benchPayload, benchProducer } from '../../../../lab/suites/ingest/payload.ts';
import { auditUpserts } from '../../../../lab/suites/ingest/upsert-audit.ts';
import { readingOf, survivors } from '../../../../lab/suites/ingest/upsert-keys.ts';
import { batchOf, write } from '../../../src/writers/contract.ts';
import { freshName, rowsOf } from '../../../support/connect.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const RUN = 'run1';
const MESSAGES = 20_500;

describe.each([0, 10, 50])('with %i duplicates of a hundred', (duplicates) => {
  test('so many messages have the key of an earlier one, and no key is made of nothing', () => {
    const seen = new Set<number>();
    let known = 0;
    let far = 0;
    for (let n = 0; n < 40_000; n += 1) {
      const key = readingOf(n, duplicates);
      expect(key).toBeLessThanOrEqual(n);
      if (key === n) seen.add(key);
      else {
        known += Number(seen.has(key));
        far += Number(n - key > 10_000);
      }
    }
    // The first hundred are new. Half of the duplicates from 20,000 on are of messages long before.
    expect(known).toBe(399 * duplicates);
    expect(far).toBe((199 * duplicates) / 2);
    expect(survivors(40_000, { action: 'ignore', duplicates }).size).toBe(seen.size);
  });
});

describe.each(['ignore', 'update'] as const)('the audit of %s', (action) => {
  const database = ownDatabase();
  const upsert = { action, duplicates: 10 };
  const rows = survivors(MESSAGES, upsert).size;

  test('is clean after the writer, and finds what is missing, stale, or of nobody', async () => {
    const { connection } = database;
    const table = freshName('upserts');
    await rowsOf(connection, createBenchTable(table, 'jsonb', upsert));
    const sink = benchSink({ table, column: 'jsonb', options: {}, upsert });
    for (const client of [0, 1]) {
      const producer = benchProducer(RUN, client);
      const messages = Array.from({ length: MESSAGES }, (_, n) => ({
        producer,
        sequence: n + 1,
        payload: benchPayload(producer, n),
      }));
      const batch = batchOf(messages);
      for (const [from, to] of [
        [0, 7_001],
        [7_001, MESSAGES],
      ] as const)
        await write('copy', sink, { ...batch, from, to }, connection);
    }
    const input: AuditInput = { table, run: RUN, clients: 2, messagesPerClient: MESSAGES, refused: 0 };
    const clean = { sent: 2 * MESSAGES, refused: 0, found: 2 * rows, lost: 0, duplicated: 0, outOfOrder: 0 };
    const audit = () => auditUpserts(connection.db, input, upsert);
    expect(await audit()).toEqual(clean);
    expect(passes(await audit())).toBe(true);

    const name = benchTableName(table);
    const producer = benchProducer(RUN, 1);
    await rowsOf(connection, `delete from ${name} where reading = 20250 and producer = '${producer}'`);
    expect(await audit()).toEqual({ ...clean, found: 2 * rows - 1, lost: 1 });
    // Of this key, the other message has to win.
    const [pair] = Array.from({ length: MESSAGES }, (_, n) => n).filter((n) => readingOf(n, 10) !== n);
    const loser = action === 'ignore' ? (pair as number) : readingOf(pair as number, 10);
    await rowsOf(
      connection,
      sql`update ${sql.raw(name)} set payload = ${benchPayload(producer, loser)} where producer = ${producer} and reading = ${readingOf(loser, 10)}`,
    );
    expect(await audit()).toEqual({ ...clean, found: 2 * rows - 1, lost: 2, duplicated: 1 });
    await rowsOf(
      connection,
      `update ${name} set producer = 'someone' where reading = 1 and producer = '${producer}'`,
    );
    expect(await audit()).toEqual({ ...clean, found: 2 * rows - 1, lost: 3, duplicated: 2 });
  });
});
