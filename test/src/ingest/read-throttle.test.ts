import { describe, expect, test } from 'vitest';
import { ReadThrottle } from '../../../src/ingest/read-throttle.ts';

const OPTIONS = { startFill: 0.25, maxPauseMs: 50, reliefMs: 15, floodFrames: 5 };

describe('the pause', () => {
  const pauseAt = (fill: number) => new ReadThrottle(OPTIONS).pauseMs(1_000, fill, false);

  test('is none below the start, where nothing is being written', () => {
    expect([pauseAt(0), pauseAt(0.2499)]).toEqual([undefined, undefined]);
  });

  test('begins with 1 ms at the start, and is the longest at a full buffer and beyond', () => {
    expect([pauseAt(0.25), pauseAt(1), pauseAt(1.5)]).toEqual([1, 50, 50]);
  });

  test('grows by equal factors for equal shares', () => {
    const pauses = [0.25, 0.5, 0.75, 1].map((fill) => pauseAt(fill) as number);
    const factors = pauses.slice(1).map((pause, index) => pause / (pauses[index] as number));
    for (const factor of factors) expect(factor).toBeCloseTo(50 ** (1 / 3), 9);
  });

  test('takes no time at all while a flush is under way, and comes once per relief time', () => {
    const throttle = new ReadThrottle(OPTIONS);
    expect(throttle.pauseMs(1_000, 0, true)).toBe(0);
    throttle.began();
    throttle.ended(1_000);
    expect(throttle.pauseMs(1_014, 0, true)).toBeUndefined();
    expect(throttle.pauseMs(1_015, 0, true)).toBe(0);
    expect(throttle.pauseMs(1_015, 0, false)).toBeUndefined();
  });

  test('comes in a flood too, whatever is written, and once per relief time', () => {
    const throttle = new ReadThrottle(OPTIONS);
    const flood = (frames: number) => {
      for (let frame = 0; frame < frames; frame += 1) throttle.countFrame(1);
    };
    flood(4);
    expect(throttle.pauseMs(1_000, 0, false)).toBeUndefined();
    flood(1);
    expect(throttle.pauseMs(1_000, 0, false)).toBe(0);
    throttle.began();
    throttle.ended(1_000);
    flood(5);
    expect(throttle.pauseMs(1_014, 0, false)).toBeUndefined();
    expect(throttle.pauseMs(1_015, 0, false)).toBe(0);
  });

  test('is not needed where a timer went off meanwhile: the process has looked by itself', () => {
    const throttle = new ReadThrottle(OPTIONS);
    throttle.timerFired(1_000);
    expect(throttle.pauseMs(1_014, 0, true)).toBeUndefined();
    expect(throttle.pauseMs(1_015, 0, true)).toBe(0);
  });

  test('for a full buffer does not wait for the relief time', () => {
    const throttle = new ReadThrottle(OPTIONS);
    throttle.began();
    throttle.ended(1_000);
    expect(throttle.pauseMs(1_000, 1, true)).toBe(50);
  });
});

describe('a round', () => {
  test('is over each time that there were as many frames as sockets', () => {
    const throttle = new ReadThrottle(OPTIONS);
    expect([1, 2, 3, 4, 5, 6].map(() => throttle.countFrame(3))).toEqual([
      false,
      false,
      true,
      false,
      false,
      true,
    ]);
  });

  test('begins again with a pause, and is not over before the pause is', () => {
    const throttle = new ReadThrottle(OPTIONS);
    throttle.countFrame(1);
    throttle.began();
    expect([throttle.countFrame(2), throttle.countFrame(2), throttle.countFrame(2)]).toEqual([
      false,
      false,
      false,
    ]);
    throttle.ended(0);
    expect(throttle.countFrame(2)).toBe(true);
  });
});
