import { describe, expect, test } from 'vitest';
import { pointLines, pointsOf } from '../../../../lab/suites/stress/points.ts';
import { iteration, ramp } from './fixtures.ts';

describe('the points of a ramp', () => {
  test('of OK, OK, FAIL_WRITE, OK: it breaks at the third, is stable to the second', () => {
    const points = pointsOf(ramp('OK', 'OK', 'FAIL_WRITE', 'OK'), false);
    expect(points).toMatchObject({ breaking: 30_000, stability: 20_000 });
    // Of the same seconds, the largest is the fastest: also one behind the breaking point, as in the Postgres stress test.
    expect(points.optimal).toEqual({ epochs: 40_000, epochsPerSecond: 20_000 });
  });

  test('of a ramp that holds: its largest iteration, and no breaking point', () => {
    expect(pointsOf(ramp('OK', 'OK', 'OK'), false)).toMatchObject({ breaking: null, stability: 30_000 });
  });

  test('of a ramp that fails at once: nothing is confirmed', () => {
    expect(pointsOf(ramp('FAIL_READ'), false)).toEqual({ breaking: 10_000, stability: null, optimal: null });
  });

  test('of none', () => {
    expect(pointsOf([], false)).toEqual({ breaking: null, stability: null, optimal: null });
  });

  test('the optimal one has the most epochs per second, the first of equals', () => {
    const fast = iteration(2, { writeSeconds: 0.1, readSeconds: 0.1 });
    expect(pointsOf([iteration(1), fast, { ...fast, iteration: 3 }, iteration(4)], false).optimal).toEqual({
      epochs: 20_000,
      epochsPerSecond: 100_000,
    });
  });

  test('in mode async the epochs of all rows that were written count', () => {
    const wide = iteration(1, { concurrency: 10, successWrites: 10 });
    expect(pointsOf([wide], true).optimal?.epochsPerSecond).toBe(50_000);
    expect(pointsOf([wide], false).optimal?.epochsPerSecond).toBe(5_000);
  });

  test('are told in the words of the Postgres stress test', () => {
    expect(pointLines(pointsOf(ramp('OK', 'FAIL_WRITE'), false))).toEqual([
      '- Breaking Point: `20000`',
      '- Stability Point: `10000`',
      '- Conclusion: stable write/read behavior is confirmed up to `10000` epochs.',
      '- Optimal efficiency point: `10000` epochs (5000.00 epochs/sec).',
    ]);
    expect(pointLines(pointsOf([], false))).toEqual([
      '- Breaking Point: not reached in tested range.',
      '- Stability Point: not confirmed.',
      '- Conclusion: increase retries/resources and re-run to confirm stability.',
    ]);
  });
});
