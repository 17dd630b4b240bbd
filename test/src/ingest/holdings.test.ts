import { expect, test } from 'vitest';
import { Holdings } from '../../../src/ingest/holdings.ts';
import type { Lane } from '../../../src/outbox/lane.ts';
import type { OutboxLane } from '../../../src/outbox/outbox-lane.ts';
import type { UnsettledRun } from '../../../src/outbox/unsettled-runs.ts';

test.each([
  ['has moved on to a checkpoint of another instance', 1, 0],
  ['stands where it was (the control)', 0, 10],
])('a lane that %s: what is held is known at once, without another batch', (_, moves, rows) => {
  let runs: UnsettledRun[] = [{ producer: 'acme/p', rows: 4, bytes: 40 }];
  const outbox = { generation: 0, unsettled: () => runs };
  const lanes = [{ lane: {} as Lane, outbox: outbox as unknown as OutboxLane }];
  const usage = { rows: 0, bytes: 0, maxRows: 100, maxBytes: 1_000 };
  const holdings = new Holdings({ lanes: () => lanes, usage: () => usage });
  holdings.turnOn();
  holdings.taken('acme/p', 6, 60);
  expect(holdings.of('acme/')).toEqual({ rows: 10, bytes: 100 });
  runs = [];
  outbox.generation += moves;
  for (const key of ['acme/', 'acme/p']) expect(holdings.of(key).rows).toBe(rows);
  expect(holdings.roomOf('acme/', 0.1).rows).toBe(10 - rows);
});
