import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  MAX_CREDIT_BYTES,
  MAX_CREDIT_MESSAGES,
  MIN_CREDIT_BYTES,
  MIN_CREDIT_MESSAGES,
  SHARD_WINDOW_BYTES,
  SHARD_WINDOW_MESSAGES,
} from '../../../src/core/limits.ts';
import type { Usage } from '../../../src/ingest/capacity.ts';
import { creditOf, NO_CREDIT } from '../../../src/ingest/credit.ts';

const WIDE: Usage = { rows: 0, maxRows: 10_000_000, bytes: 0, maxBytes: 1024 ** 3 };

describe('the credit of a session', () => {
  test.each([
    [1, MAX_CREDIT_MESSAGES, MAX_CREDIT_BYTES],
    [8, MAX_CREDIT_MESSAGES, MAX_CREDIT_BYTES],
    [16, SHARD_WINDOW_MESSAGES / 16, SHARD_WINDOW_BYTES / 16],
    [512, SHARD_WINDOW_MESSAGES / 512, SHARD_WINDOW_BYTES / 512],
    [10_000, MIN_CREDIT_MESSAGES, MIN_CREDIT_BYTES],
  ])('among %i is its share of the shard’s window, within bounds', (sessions, messages, bytes) => {
    expect(creditOf(WIDE, sessions)).toEqual({ messages, bytes });
  });

  test('shrinks as the room does', () => {
    const room = { ...WIDE, maxRows: 1_000 };
    expect(creditOf({ ...room, rows: 500 }, 1).messages).toBe(400);
    expect(creditOf({ ...room, rows: 500 }, 4).messages).toBe(100);
    expect(creditOf({ ...room, rows: 899 }, 1).messages).toBe(1);
    const tight = { ...WIDE, maxBytes: 100_000 };
    expect(creditOf({ ...tight, bytes: 50_000 }, 1).bytes).toBe(40_000);
    expect(creditOf({ ...tight, bytes: 50_000 }, 4).bytes).toBe(10_000);
  });

  test.each([
    { ...WIDE, rows: WIDE.maxRows * 0.9 },
    { ...WIDE, rows: WIDE.maxRows },
    { ...WIDE, rows: 2 * WIDE.maxRows },
    { ...WIDE, bytes: WIDE.maxBytes * 0.9 },
    { ...WIDE, bytes: 2 * WIDE.maxBytes },
  ])('is nothing from nine tenths of a limit on: %j', (room) => {
    expect(creditOf(room, 1)).toEqual(NO_CREDIT);
    expect(creditOf(room, 1_000)).toEqual(NO_CREDIT);
  });

  test('is whole, never negative, nothing at all or something of both, and something wherever there is room', () => {
    const room = fc.record({
      rows: fc.nat({ max: 20_000_000 }),
      maxRows: fc.integer({ min: 1_000, max: 100_000_000 }),
      bytes: fc.nat({ max: 2 ** 31 }),
      maxBytes: fc.integer({ min: 65_536, max: 2 ** 33 }),
    });
    fc.assert(
      fc.property(room, fc.integer({ min: 1, max: 100_000 }), (given, sessions) => {
        const { messages, bytes } = creditOf(given, sessions);
        expect(Number.isSafeInteger(messages) && Number.isSafeInteger(bytes)).toBe(true);
        const hasRoom = given.rows <= given.maxRows * 0.9 - 1 && given.bytes <= given.maxBytes * 0.9 - 1;
        expect([messages > 0, bytes > 0]).toEqual([hasRoom, hasRoom]);
        expect(messages).toBeLessThanOrEqual(MAX_CREDIT_MESSAGES);
        expect(bytes).toBeLessThanOrEqual(MAX_CREDIT_BYTES);
        // More room is never less credit.
        const wider = creditOf({ ...given, rows: given.rows / 2, bytes: given.bytes / 2 }, sessions);
        expect(wider.messages).toBeGreaterThanOrEqual(messages);
        expect(wider.bytes).toBeGreaterThanOrEqual(bytes);
      }),
    );
  });
});
