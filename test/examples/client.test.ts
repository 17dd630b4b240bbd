import { sql } from 'drizzle-orm';
import { expect, inject, test } from 'vitest';
import { reportTemperatures } from '../../examples/client.ts';
import { startWorker } from '../../local/worker.ts';
import { rowsOf, testDatabase } from '../support/connect.ts';

const database = testDatabase('tcp');

test('the example of the page does what it says', async () => {
  const worker = await startWorker({ bindings: { AUTHORIZE: 'open', DATABASE_URL: inject('databaseUrl') } });
  try {
    expect(await reportTemperatures(worker.url.origin)).toBe(0);
  } finally {
    await worker.stop();
  }
  const rows = await rowsOf(
    await database.open(),
    sql`select sequence::int, payload from messages where producer = 'kitchen' order by id`,
  );
  expect(rows).toEqual([
    { sequence: 1, payload: { celsius: 21.5 } },
    { sequence: 2, payload: { celsius: 21.6 } },
    { sequence: 3, payload: { celsius: 21.7 } },
  ]);
});
