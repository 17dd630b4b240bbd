import { expect, test } from 'vitest';
import { exactLatencyRecord, latencyRecord } from '../../../lab/measure/latency-record.ts';
import { WindowCounter } from '../../../lab/measure/window-counter.ts';
import { WINDOW_MS } from '../../../lab/result.ts';
import { Histogram } from '../../../lab/statistics/histogram.ts';
import { ExponentialHistogram } from '../../../src/core/exponential-histogram.ts';

test('units are counted in the window in which they were done, empty windows included', () => {
  let nowMs = 5_000;
  const counter = new WindowCounter(() => nowMs, 7);
  counter.reached(17);
  nowMs += WINDOW_MS - 1;
  counter.reached(22);
  nowMs += 1;
  counter.reached(22);
  nowMs += 1;
  counter.reached(47);
  nowMs += 2 * WINDOW_MS;
  counter.reached(47);
  expect(counter.windows).toEqual([15, 25, 0, 0]);
});

test('a count that goes back, as that of an object that began again, takes nothing away', () => {
  let nowMs = 0;
  const counter = new WindowCounter(() => nowMs);
  counter.reached(10);
  nowMs += WINDOW_MS;
  counter.reached(3);
  counter.reached(5);
  expect(counter.windows).toEqual([10, 2]);
});

test('units that are told of rarely are spread over the windows since the last time', () => {
  let nowMs = 0;
  const counter = new WindowCounter(() => nowMs);
  for (let told = 1; told <= 6; told += 1) {
    nowMs = told * 2 * WINDOW_MS - 1;
    counter.reached(told * 200);
  }
  expect(counter.windows).toHaveLength(12);
  for (const units of counter.windows) expect(units).toBeCloseTo(100, -1);
  expect(counter.windows.reduce((sum, units) => sum + units, 0)).toBe(1_200);
});

test('windows are bounded, however long it takes', () => {
  let nowMs = 0;
  const counter = new WindowCounter(() => nowMs);
  counter.reached(1);
  nowMs = 1e9;
  counter.reached(2);
  expect(counter.windows).toEqual([1]);
});

test('a latency becomes a record in microseconds, near what was measured; none becomes none', () => {
  const latency = new ExponentialHistogram();
  for (let ms = 1; ms <= 100; ms += 1) latency.record(ms / 1_000);
  const record = latencyRecord(latency);
  expect(record?.count).toBe(100);
  expect(Math.abs((record?.p50Us ?? 0) / 50_000 - 1)).toBeLessThan(0.025);
  expect(Math.abs((record?.maxUs ?? 0) / 100_000 - 1)).toBeLessThan(0.05);
  expect(latencyRecord(new ExponentialHistogram())).toBeUndefined();
});

test('durations that are all known become a record with exact percentiles, of which a histogram can be made', () => {
  const sortedMs = Float64Array.from({ length: 1_000 }, (_, index) => (index + 0.5) / 100);
  const record = exactLatencyRecord(sortedMs);
  expect(record).toMatchObject({
    count: 1_000,
    minUs: 5,
    p50Us: 5_005,
    p90Us: 9_005,
    p99Us: 9_905,
    p999Us: 9_995,
  });
  expect(record).toMatchObject({ maxUs: 9_995, meanUs: expect.closeTo(5_000, 3) });
  const read = Histogram.fromRecord(record);
  expect(read.count).toBe(1_000);
  expect(Math.abs(read.percentile(99) / 9_905 - 1)).toBeLessThan(0.002);
});
