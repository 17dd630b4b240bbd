import { describe, expect, test } from 'vitest';
import { TRIM_BYTES, TRIM_INTERVAL_MS } from '../../../src/core/limits.ts';
import { KeptGroups } from '../../../src/outbox/kept-groups.ts';

const MANY = 1024 * 1024 * 1024;

describe('groups that are kept', () => {
  test('are given up by a commit that comes long enough after them, and by no other', () => {
    const kept = new KeptGroups({ keepMs: 5_000, maxBytes: MANY });
    kept.add(10n, 100, 0);
    kept.add(20n, 200, 3_000);
    expect([kept.release(4_999), kept.bytes]).toEqual([undefined, 300]);
    expect([kept.release(5_000), kept.bytes]).toEqual([10n, 200]);
    expect(kept.release(7_999)).toBeUndefined();
    expect([kept.release(1_000_000), kept.bytes]).toEqual([20n, 0]);
    expect(kept.release(1_000_000)).toBeUndefined();
  });

  test('beyond the bytes are given up at once, the oldest first', () => {
    const kept = new KeptGroups({ keepMs: 5_000, maxBytes: 250 });
    kept.add(10n, 100, 0);
    kept.add(20n, 100, 1_000);
    kept.add(30n, 100, 2_000);
    expect([kept.release(2_000), kept.bytes]).toEqual([10n, 200]);
    kept.add(40n, 1_000, 3_000);
    expect([kept.release(3_000), kept.bytes], 'more than all that may be kept').toEqual([40n, 0]);
  });

  test.each([
    { keepMs: 0, maxBytes: MANY },
    { keepMs: 5_000, maxBytes: 0 },
  ])('are none where %j says so', (options) => {
    const kept = new KeptGroups(options);
    expect(kept.isKeeping).toBe(false);
    kept.add(10n, 100, 0);
    expect([kept.release(0), kept.bytes]).toEqual([10n, 0]);
  });

  test('of about the same time are given up together, so that a busy lane has few entries', () => {
    const kept = new KeptGroups({ keepMs: 5_000, maxBytes: MANY });
    const ends = new Set<bigint>();
    const count = 10_000;
    for (let group = 1; group <= count; group += 1) {
      kept.add(BigInt(group), 10, group);
      const end = kept.release(group);
      if (end !== undefined) ends.add(end);
    }
    expect(ends.size).toBeGreaterThan(1);
    expect(ends.size).toBeLessThanOrEqual(count / TRIM_INTERVAL_MS);
    expect(kept.bytes).toBeLessThanOrEqual((5_000 + TRIM_INTERVAL_MS) * 10);
  });

  test('that are large have their own entries, so that the bound gives up no more than it has to', () => {
    const kept = new KeptGroups({ keepMs: 5_000, maxBytes: 10 * TRIM_BYTES });
    for (let group = 1; group <= 20; group += 1) {
      kept.add(BigInt(group), TRIM_BYTES, 0);
      kept.release(0);
    }
    expect(kept.bytes).toBe(10 * TRIM_BYTES);
  });
});
