import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_ITERATIONS, rampOf } from '../../../../lab/suites/stress/ramp.ts';

describe('the ramp', () => {
  test.each([
    [{ start: 10, end: 35, step: 10 }, [10, 20, 30, 35]],
    [{ start: 10, end: 30, step: 10 }, [10, 20, 30]],
    [{ start: 10, end: 10, step: 10 }, [10]],
    [{ start: 10, end: 12, step: 100 }, [10, 12]],
  ])('of %j is %j', (bounds, sizes) => expect(rampOf(bounds)).toEqual(sizes));

  test("is the Postgres stress test's with 100 iterations", () => {
    const ramp = rampOf({ start: 10_000, end: 1_000_000, step: 10_000 });
    expect([ramp.length, ramp[0], ramp[1], ramp.at(-1)]).toEqual([100, 10_000, 20_000, 1_000_000]);
  });

  test('rises from start to end, and no further apart than a step', () => {
    const bounds = fc.record({
      start: fc.integer({ min: 1, max: 1_000 }),
      more: fc.integer({ min: 0, max: 1_000 }),
      step: fc.integer({ min: 1, max: 2_000 }),
    });
    fc.assert(
      fc.property(bounds, ({ start, more, step }) => {
        fc.pre(Math.ceil(more / step) + 1 <= MAX_ITERATIONS);
        const ramp = rampOf({ start, end: start + more, step });
        expect(ramp[0]).toBe(start);
        expect(ramp.at(-1)).toBe(start + more);
        for (const [index, size] of ramp.entries()) {
          if (index === 0) continue;
          const rise = size - (ramp[index - 1] as number);
          expect(rise > 0 && rise <= step).toBe(true);
        }
      }),
    );
  });

  test('that ends before it starts is refused in one line', () => {
    expect(() => rampOf({ start: 20, end: 10, step: 1 })).toThrow(
      'Cannot use 10 for end: at least start (20) is allowed',
    );
  });

  test(`of more than ${MAX_ITERATIONS} iterations is refused in one line`, () => {
    expect(rampOf({ start: 1, end: MAX_ITERATIONS, step: 1 })).toHaveLength(MAX_ITERATIONS);
    expect(() => rampOf({ start: 1, end: MAX_ITERATIONS + 1, step: 1 })).toThrow(
      /^Cannot use 1 for step: 1 to 1001 would be 1001 iterations, at most 1000 are allowed$/,
    );
  });
});
