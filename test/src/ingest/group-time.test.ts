import { describe, expect, test } from 'vitest';
import { GroupTime } from '../../../src/ingest/group-time.ts';

/** The time of a group after so many milliseconds at a rate, in groups of the time that is due. */
function timeAfter(groupTime: GroupTime, rowsPerMs: number, forMs: number, fromMs = 0): number {
  for (let nowMs = fromMs; nowMs < fromMs + forMs; ) {
    const groupMs = Math.max(1, groupTime.ms);
    nowMs += groupMs;
    groupTime.stored(rowsPerMs * groupMs, nowMs);
  }
  return groupTime.ms;
}

describe('the time of a group', () => {
  test('is what the sink asks for up to 10,000 messages a second', () => {
    expect([0.001, 1, 5, 10].map((rate) => timeAfter(new GroupTime(2), rate, 1_000))).toEqual([2, 2, 2, 2]);
  });

  test('grows with the square of the rate above it, up to 40 ms', () => {
    expect([20, 30, 45, 1_000].map((rate) => timeAfter(new GroupTime(2), rate, 1_000))).toEqual([
      8, 18, 40, 40,
    ]);
  });

  test('is back within a moment once the flood is over', () => {
    const groupTime = new GroupTime(2);
    expect(timeAfter(groupTime, 100, 1_000)).toBe(40);
    expect(timeAfter(groupTime, 5, 100, 1_000)).toBe(2);
  });

  test('stays as it is for a single large frame: it is no rate', () => {
    const groupTime = new GroupTime(2);
    groupTime.stored(1, 1_000);
    groupTime.stored(400, 1_010);
    expect(groupTime.ms).toBe(2);
    // The control: as many again and again are one.
    for (let nowMs = 1_020; nowMs <= 1_100; nowMs += 10) groupTime.stored(400, nowMs);
    expect(groupTime.ms).toBeGreaterThan(2);
  });

  test('is never shorter than the sink asks for, and 0 stays 0: every frame is a group', () => {
    expect(timeAfter(new GroupTime(1_000), 100, 10_000)).toBe(1_000);
    expect(timeAfter(new GroupTime(0), 100, 1_000)).toBe(0);
  });
});
