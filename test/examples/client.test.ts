import { sql } from 'drizzle-orm';
import { expect, inject, test } from 'vitest';
import { reportTemperatures } from '../../examples/client.ts';
import { reportWithToken } from '../../examples/client-token.ts';
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

test('the example with a token connects and sends', async () => {
  // A deployment that is open passes the token over.
  const worker = await startWorker({ bindings: { AUTHORIZE: 'open', DATABASE_URL: inject('databaseUrl') } });
  try {
    let asked = 0;
    const client = reportWithToken(worker.url.origin, async () => {
      asked += 1;
      return `token-${asked}`;
    });
    await client.send({ celsius: 21.5 });
    expect([asked, (await client.close()).unacked]).toEqual([1, 0]);
  } finally {
    await worker.stop();
  }
});
