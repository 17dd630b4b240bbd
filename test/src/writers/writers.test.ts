import { describe, expect, test } from 'vitest';
import { DRIVERS } from '../../../src/database/target.ts';
import { resolveSinkOptions } from '../../../src/sinks/sink-options.ts';
import { WRITER_MODES } from '../../../src/sinks/writer-mode.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import { writerContract } from './contract.ts';

describe.each(DRIVERS)('over the driver %s', (driver) => {
  writerContract(driver);
});

test('each mode names its own writer', () => {
  expect(Object.keys(WRITERS)).toEqual([...WRITER_MODES]);
  for (const mode of WRITER_MODES) expect(WRITERS[mode].mode).toBe(mode);
});

test('only buffered gives up the order, and only where it has several connections', () => {
  const workers = (mode: (typeof WRITER_MODES)[number], count: number) =>
    WRITERS[mode].plan(resolveSinkOptions({ writer: mode, workers: count, connections: 3 })).workersPerLane;
  expect(WRITER_MODES.map((mode) => workers(mode, 4))).toEqual([1, 4, 1, 1, 1]);
  expect(workers('buffered', 1)).toBe(1);
});

test('connections 0 means four lanes for naive and one for the others; any other number is taken', () => {
  const lanes = (connections: number) =>
    WRITER_MODES.map((mode) => WRITERS[mode].plan(resolveSinkOptions({ writer: mode, connections })).lanes);
  expect(lanes(0)).toEqual([4, 1, 1, 1, 1]);
  expect(lanes(3)).toEqual([3, 1, 3, 3, 3]);
});

test('naive and buffered write message by message; copy alone takes more than batchRows at once', () => {
  const options = resolveSinkOptions({ batchRows: 300, lingerMs: 70 });
  const plans = WRITER_MODES.map((mode) => WRITERS[mode].plan(options));
  expect(plans.map(({ triggerRows }) => triggerRows)).toEqual([1, 1, 300, 300, 300]);
  expect(plans.map(({ lingerMs }) => lingerMs)).toEqual([0, 0, 70, 70, 70]);
  expect(plans.map(({ maxRows }) => maxRows <= 300)).toEqual([true, true, true, true, false]);
});
