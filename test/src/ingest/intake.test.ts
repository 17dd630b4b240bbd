import { expect, test } from 'vitest';
import { startProducer } from '../../../src/ingest/intake.ts';

test('a producer’s sequences begin at the time in microseconds, below 2^53 for centuries', () => {
  const nowMs = Date.UTC(2026, 0, 1);
  expect(startProducer('p', nowMs)).toEqual({ name: 'p', nextSequence: nowMs * 1000 });
  expect(Number.isSafeInteger(startProducer('p', Date.UTC(2250, 0, 1)).nextSequence + 1e12)).toBe(true);
});

test('a producer that comes back a second later begins above a million messages of before', () => {
  const before = startProducer('p', 1_000);
  before.nextSequence += 999_999;
  expect(startProducer('p', 2_000).nextSequence).toBeGreaterThan(before.nextSequence);
});
