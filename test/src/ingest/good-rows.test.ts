import { expect, test } from 'vitest';
import { GoodRows } from '../../../src/ingest/good-rows.ts';
import { type Message, messageAt } from '../../../src/sinks/message-batch.ts';
import { batchOf } from '../writers/contract.ts';

const payloadsOf = (rows: readonly Message[]): string[] => rows.map(({ payload }) => payload);

test('the last row of each of the last four producers, those of others first, the latest first', () => {
  const good = new GoodRows();
  for (const producer of ['a', 'b', 'c', 'd', 'e', 'c']) {
    const payload = JSON.stringify(producer);
    good.note(batchOf([{ producer: 'first' }, { producer, payload }]));
  }
  expect(payloadsOf(good.besides('e'))).toEqual(['"c"', '"d"', '"b"', '"e"']);
  expect(payloadsOf(good.besides('x'))).toEqual(['"c"', '"e"', '"d"', '"b"']);
});

test('a batch of nothing and a very long message leave it as it is', () => {
  const good = new GoodRows();
  good.note(batchOf([{ payload: '1' }]));
  good.note(batchOf([]));
  good.note(batchOf([{ payload: `"${'x'.repeat(64 * 1024)}"` }]));
  expect(payloadsOf(good.besides('p'))).toEqual(['1']);
});

test('where none is known, some are read from storage; where one is known, none are', () => {
  let reads = 0;
  const stored = [messageAt(batchOf([{ payload: '1' }]).columns, 0)];
  const good = new GoodRows(() => {
    reads += 1;
    return stored;
  });
  expect(payloadsOf(good.besides('p'))).toEqual(['1']);
  expect(payloadsOf(good.besides('p'))).toEqual(['1']);
  expect(reads).toBe(1);
});
