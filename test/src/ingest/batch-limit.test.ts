import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../../src/core/errors.ts';
import { BatchLimit, isTooLarge } from '../../../src/ingest/batch-limit.ts';

/** Writes batches, as large as they may be, to a database that takes `fits` rows in time. Returns their sizes. */
function sizes(
  limit: BatchLimit,
  batches: number,
  fits: (batch: number) => number,
  maxRows = 5_000,
): number[] {
  return Array.from({ length: batches }, (_, batch) => {
    const rows = Math.min(maxRows, limit.rows);
    if (rows > fits(batch)) limit.shrink(rows);
    else limit.written(rows, maxRows);
    return rows;
  });
}

describe('the size of batches', () => {
  test('has no limit while all of them fit', () => {
    const limit = new BatchLimit();
    expect(sizes(limit, 3, () => 5_000)).toEqual([5_000, 5_000, 5_000]);
    expect(limit.rows).toBe(Number.POSITIVE_INFINITY);
  });

  test('becomes smaller until a batch fits', () => {
    expect(sizes(new BatchLimit(), 9, () => 1)).toEqual([5_000, 1_250, 312, 78, 19, 4, 1, 2, 1]);
  });

  test('of one row cannot become smaller', () => {
    const limit = new BatchLimit();
    expect(limit.shrink(1)).toBe(false);
    expect(limit.rows).toBe(Number.POSITIVE_INFINITY);
    expect(limit.shrink(2)).toBe(true);
    expect(limit.rows).toBe(1);
  });

  test('grows again, below what was too large', () => {
    expect(sizes(new BatchLimit(), 9, () => 1_000)).toEqual([
      5_000, 1_250, 312, 624, 1_248, 312, 624, 624, 624,
    ]);
  });

  test('is tried again after some batches, and has no limit once the fault is over', () => {
    const limit = new BatchLimit();
    const written = sizes(limit, 100, (batch) => (batch < 10 ? 1_000 : 5_000));
    expect(written.slice(-5)).toEqual([5_000, 5_000, 5_000, 5_000, 5_000]);
    expect(limit.rows).toBe(Number.POSITIVE_INFINITY);
    // The control: while the fault lasts, a batch that is too large is rare.
    const failed = sizes(new BatchLimit(), 1_000, () => 1_000).filter((rows) => rows > 1_000);
    expect(failed.length).toBeLessThan(40);
  });

  test('a batch that is smaller than the limit says nothing', () => {
    const limit = new BatchLimit();
    limit.shrink(4_000);
    limit.written(10, 5_000);
    expect(limit.rows).toBe(1_000);
  });

  test('always finds a size that fits, whatever fits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 1_000_000 }),
        (phases, maxRows) => {
          const limit = new BatchLimit();
          for (const fits of phases) {
            const written = sizes(limit, 12, () => fits, maxRows);
            expect(written.some((rows) => rows <= fits)).toBe(true);
            expect(written.every((rows) => rows >= 1 && rows <= maxRows)).toBe(true);
          }
        },
      ),
    );
  });
});

describe('what a smaller batch may not meet', () => {
  const server = (code: string): Error => Object.assign(new Error('canceling'), { code, severity: 'ERROR' });

  test.each(['57014', '25P03', '25P04', '53200'])('%s of the server', (code) => {
    expect(isTooLarge(server(code))).toBe(true);
    expect(isTooLarge(new Error('Drizzle', { cause: server(code) }))).toBe(true);
  });

  test('our own time limit', () => {
    expect(isTooLarge(new SluiceError('time_limit', 'It took too long'))).toBe(true);
  });

  test.each([
    ['a value that is refused', server('22P02')],
    ['a lock that was not to be had', server('55P03')],
    ['a lost connection', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })],
    ['a database that cannot be reached', new SluiceError('database_unreachable', 'no')],
  ])('not %s', (_, error) => {
    expect(isTooLarge(error)).toBe(false);
  });
});
