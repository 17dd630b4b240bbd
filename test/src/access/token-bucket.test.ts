import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TokenBucket } from '../../../src/access/token-bucket.ts';

describe('a token bucket', () => {
  test('begins full, and holds no more', () => {
    const bucket = new TokenBucket({ perSecond: 10 }, 1_000);
    expect(bucket.level(1_000)).toBe(10);
    expect(bucket.level(60_000)).toBe(10);
    expect(bucket.isFull(60_000)).toBe(true);
  });

  test('fills at its rate, without an error of rounding', () => {
    const bucket = new TokenBucket({ perSecond: 7, burst: 1e9 }, 0);
    bucket.take(1e9, 0);
    for (let nowMs = 1; nowMs <= 1_000_000; nowMs += 1) bucket.level(nowMs);
    expect(bucket.level(1_000_000)).toBe(7_000);
  });

  test('goes into debt as far as it may, and says when it is out of it', () => {
    const bucket = new TokenBucket({ perSecond: 10, debt: 5 }, 0);
    expect(bucket.allows(15, 0)).toBe(true);
    expect(bucket.allows(16, 0)).toBe(false);
    bucket.take(15, 0);
    expect(bucket.level(0)).toBe(-5);
    expect(bucket.allows(1, 0)).toBe(false);
    expect(bucket.msUntilAllowed(1, 0)).toBe(100);
    expect(bucket.msUntil(1, 0)).toBe(600);
    expect(bucket.allows(1, 99)).toBe(false);
    expect(bucket.allows(1, 100)).toBe(true);
    expect(bucket.msUntilAllowed(16, 100)).toBe(Number.POSITIVE_INFINITY);
  });

  test('a rate below one a second still lets one through at once', () => {
    const bucket = new TokenBucket({ perSecond: 0.1, debt: 0 }, 0);
    expect(bucket.allows(1, 0)).toBe(true);
    bucket.take(1, 0);
    expect(bucket.msUntil(1, 0)).toBe(10_000);
  });

  test('a clock that goes back gives nothing and takes nothing', () => {
    const bucket = new TokenBucket({ perSecond: 10 }, 100_000);
    bucket.take(10, 100_000);
    expect(bucket.level(50_000)).toBe(0);
    expect(bucket.level(50_100)).toBe(1);
  });

  test('another size keeps what it holds, and its debt', () => {
    const bucket = new TokenBucket({ perSecond: 10 }, 0);
    bucket.take(15, 0);
    bucket.resize({ perSecond: 100 }, 0);
    expect(bucket.level(0)).toBe(-5);
    bucket.resize({ perSecond: 1 }, 100);
    expect(bucket.level(100)).toBe(1);
  });

  const size = fc.record({
    perSecond: fc.integer({ min: 1, max: 1_000 }),
    burst: fc.integer({ min: 1, max: 1_000 }),
    debt: fc.integer({ min: 0, max: 1_000 }),
  });
  const asks = fc.array(
    fc.record({ passMs: fc.integer({ min: 0, max: 3_000 }), amount: fc.integer({ min: 0, max: 500 }) }),
    { maxLength: 200 },
  );

  test('never gives more than its rate over any time allows', () => {
    fc.assert(
      fc.property(size, asks, ({ perSecond, burst, debt }, asked) => {
        const bucket = new TokenBucket({ perSecond, burst, debt }, 0);
        let nowMs = 0;
        const given: { atMs: number; amount: number }[] = [];
        for (const { passMs, amount } of asked) {
          nowMs += passMs;
          if (!bucket.allows(amount, nowMs)) continue;
          bucket.take(amount, nowMs);
          given.push({ atMs: nowMs, amount });
          expect(bucket.level(nowMs)).toBeGreaterThanOrEqual(-debt);
        }
        for (const [first, { atMs: fromMs }] of given.entries()) {
          let sum = 0;
          for (const { atMs, amount } of given.slice(first)) {
            sum += amount;
            expect(sum).toBeLessThanOrEqual(burst + debt + (perSecond * (atMs - fromMs)) / 1000 + 1e-6);
          }
        }
      }),
    );
  });

  test('control: one that asks nobody goes beyond it', () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 1, debt: 1 }, 0);
    for (let index = 0; index < 5; index += 1) bucket.take(1, 0);
    expect(bucket.level(0)).toBeLessThan(-1);
  });

  test('what it says to wait is enough, and no more than a millisecond too much', () => {
    fc.assert(
      fc.property(size, asks, ({ perSecond, burst, debt }, asked) => {
        const bucket = new TokenBucket({ perSecond, burst, debt }, 0);
        let nowMs = 0;
        for (const { passMs, amount } of asked) {
          nowMs += passMs;
          const waitMs = bucket.msUntilAllowed(amount, nowMs);
          if (waitMs === Number.POSITIVE_INFINITY) {
            expect(bucket.allows(amount, nowMs + 1e9)).toBe(false);
            return;
          }
          if (waitMs > 1) {
            const before = new TokenBucket({ perSecond, burst, debt }, nowMs);
            before.take(burst - bucket.level(nowMs), nowMs);
            expect(before.allows(amount, nowMs + waitMs - 2)).toBe(false);
          }
          nowMs += waitMs;
          expect(bucket.allows(amount, nowMs)).toBe(true);
          bucket.take(amount, nowMs);
        }
      }),
    );
  });
});
