/** The history: steps that are made of finer ones, that are pruned, and that never take more than they may. */

import { describe, expect, test } from 'vitest';
import { NO_BUCKETS, percentileMs } from '../../../src/monitor/buckets.ts';
import { History, TIERS } from '../../../src/monitor/history.ts';
import { historyView } from '../../../src/monitor/history-view.ts';
import { POINT_PEAKS, POINT_SUMS, type Point, readPoint, writePoint } from '../../../src/monitor/point.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

const DAY_MS = 86_400_000;
/** A whole hour. */
const START_MS = Date.UTC(2026, 10, 1);

function pointOf(parts: Partial<Point> = {}): Point {
  const empty = Object.fromEntries([...POINT_SUMS, ...POINT_PEAKS].map((name) => [name, 0]));
  return { ...(empty as unknown as Point), ack: NO_BUCKETS, flush: NO_BUCKETS, ...parts };
}

describe('points', () => {
  test('are the same when they are read back', () => {
    const point = pointOf({
      received: 123_456_789_012,
      committed: 5,
      oldestMs: 71,
      ack: { indexes: [100, 101, 131], counts: [1, 70, 3] },
      flush: { indexes: [0], counts: [9] },
    });
    expect(readPoint(writePoint(point))).toEqual(point);
    expect(readPoint(writePoint(pointOf()))).toEqual(pointOf());
  });

  test('with a wide histogram stay small, lose no count, and keep percentiles within the width of a joined bucket', () => {
    const indexes = Array.from({ length: 300 }, (_, index) => index - 200);
    const wide = { indexes, counts: indexes.map(() => 3) };
    const text = writePoint(pointOf({ ack: wide }));
    expect(text.length).toBeLessThan(150);
    const read = readPoint(text).ack;
    expect(read.counts.reduce((sum, count) => sum + count, 0)).toBe(900);
    const [exact, joined] = [percentileMs(wide, 0.5), percentileMs(read, 0.5)] as [number, number];
    // Sixteen buckets of a sixteenth of an octave are one octave.
    expect(joined / exact).toBeGreaterThan(1 / 2);
    expect(joined / exact).toBeLessThan(2);
    // What was joined once is joined in the same way again.
    expect(readPoint(writePoint(pointOf({ ack: read }))).ack).toEqual(read);
  });
});

describe('the history', () => {
  test('has a day in steps of 10 s, 14 days in minutes and a year in hours, and no more', () => {
    const sqlite = new NodeSqlite();
    const history = new History(sqlite);
    // Two points an hour, so that a year of them is quickly there.
    for (let hour = 0; hour < 400 * 24; hour += 1) {
      const atMs = START_MS + hour * 3_600_000;
      history.add(1, atMs, pointOf({ received: 1, queueMessages: hour % 2 }));
      history.add(1, atMs + 60_000, pointOf({ received: 2, queueMessages: 7 }));
    }
    const nowMs = START_MS + 400 * DAY_MS;
    history.add(1, nowMs, pointOf());
    const rows = sqlite.run<{ tier: number; count: number; first: number }>(
      'select tier, count(*) as count, min(at_s) as first from history group by tier order by tier',
    );
    expect(rows.map(({ tier }) => tier)).toEqual([0, 1, 2]);
    rows.forEach(({ first }, tier) => {
      const { keepMs } = TIERS[tier] as (typeof TIERS)[number];
      expect(first * 1_000).toBeGreaterThanOrEqual(nowMs - keepMs);
      expect(first * 1_000, 'the control: it was not pruned too early').toBeLessThan(
        nowMs - keepMs + 3_600_001,
      );
    });
    const hours = history.read(1, 2, nowMs - 10 * 3_600_000, nowMs);
    expect(hours).toHaveLength(10);
    for (const { point } of hours) expect(point).toMatchObject({ received: 3, queueMessages: 7 });
  });

  test('shows steps that are not over yet, from the finer ones', () => {
    const history = new History(new NodeSqlite());
    history.add(1, START_MS + 5_000, pointOf({ received: 1 }));
    history.add(1, START_MS + 15_000, pointOf({ received: 10 }));
    history.add(1, START_MS + 75_000, pointOf({ received: 100 }));
    const toMs = START_MS + 80_000;
    const received = (tier: number): [number, number][] =>
      history.read(1, tier, START_MS, toMs).map(({ atMs, point }) => [atMs - START_MS, point.received]);
    expect(received(0)).toEqual([
      [0, 1],
      [10_000, 10],
      [70_000, 100],
    ]);
    expect(received(1)).toEqual([
      [0, 11],
      [60_000, 100],
    ]);
    expect(received(2)).toEqual([[0, 111]]);
  });

  test('adds up what comes within one step, also after a restart', () => {
    const sqlite = new NodeSqlite();
    new History(sqlite).add(1, START_MS, pointOf({ received: 1, oldestMs: 9 }));
    new History(sqlite).add(1, START_MS + 9_999, pointOf({ received: 2, oldestMs: 4 }));
    const read = new History(sqlite).read(1, 0, START_MS, START_MS + 10_000);
    expect(read).toMatchObject([{ point: { received: 3, oldestMs: 9 } }]);
  });

  test('of a shard stays below its limit: the oldest of the finest steps go first', () => {
    const sqlite = new NodeSqlite();
    const history = new History(sqlite, 100_000);
    const point = pointOf({ received: 1_000_000, ack: { indexes: [1, 31], counts: [1_000, 1_000] } });
    for (let step = 0; step < 8_000; step += 1) history.add(1, START_MS + step * 10_000, point);
    const [size] = sqlite.run<{ bytes: number }>('select sum(length(point) + 16) as bytes from history');
    expect(size?.bytes).toBeLessThanOrEqual(100_000);
    const [fine] = sqlite.run<{ first: number }>('select min(at_s) as first from history where tier = 0');
    expect(fine?.first).toBeGreaterThan(START_MS / 1_000);
    const [hour] = sqlite.run<{ first: number }>('select min(at_s) as first from history where tier = 2');
    expect(hour?.first, 'the control: the coarse steps are there').toBe(START_MS / 1_000);
  });

  test('costs one row for each step of 10 s, and one for each minute and hour', () => {
    const sqlite = new NodeSqlite();
    const history = new History(sqlite);
    history.add(1, START_MS, pointOf());
    const before = sqlite.rowsWritten;
    for (let step = 1; step <= 360; step += 1) history.add(1, START_MS + step * 10_000, pointOf());
    expect(sqlite.rowsWritten - before).toBe(360 + 60 + 1);
  });
});

describe('a chart', () => {
  test('adds up shards, takes the oldest message of any, and percentiles of all acks', () => {
    const history = new History(new NodeSqlite());
    history.add(
      1,
      START_MS,
      pointOf({ received: 100, oldestMs: 5, sockets: 2, ack: { indexes: [100], counts: [99] } }),
    );
    history.add(
      2,
      START_MS,
      pointOf({ received: 300, oldestMs: 9, sockets: 1, ack: { indexes: [200], counts: [1] } }),
    );
    const { series, stepMs, fromMs } = historyView(history, [1, 2], { range: '15m' }, START_MS, []);
    expect(stepMs).toBe(10_000);
    expect(fromMs + series.received.length * stepMs).toBe(START_MS + 10_000);
    expect(series.received.at(-1)).toBe(40);
    expect(series.received.slice(0, -1).every((value) => value === null)).toBe(true);
    expect(series.oldestMs.at(-1)).toBe(9);
    expect(series.sockets.at(-1)).toBe(3);
    expect(series.ackP50Ms.at(-1)).toBe(percentileMs({ indexes: [100], counts: [1] }, 0.5));
    expect(series.ackP99Ms.at(-1)).toBe(percentileMs({ indexes: [100], counts: [1] }, 0.5));
  });

  test.each([
    ['15m', 90],
    ['6h', 360],
    ['7d', 168],
    ['1y', 365],
  ] as const)('of %s has %d steps, whatever was written', (range, steps) => {
    const history = new History(new NodeSqlite());
    for (let hour = 0; hour < 48; hour += 1)
      history.add(1, START_MS + hour * 3_600_000, pointOf({ received: 3_600 * 24 }));
    const { series } = historyView(history, [1], { range }, START_MS + 47 * 3_600_000 + 5_000, []);
    expect(series.received).toHaveLength(steps);
    expect(series.received.at(-1)).toBeGreaterThan(0);
  });

  test('of more than one question may read is refused', () => {
    const shards = Array.from({ length: 1_000 }, (_, index) => index);
    const history = new History(new NodeSqlite());
    expect(() => historyView(history, shards, { range: '6h' }, START_MS, [])).toThrow('name one sink');
    expect(() => historyView(history, shards, { range: '15m' }, START_MS, []), 'the control').not.toThrow();
  });
});
