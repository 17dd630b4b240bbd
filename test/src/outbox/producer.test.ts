import { expect, test } from 'vitest';
import { createProducer, RAW_EPOCH, startProducer, untrackedProducer } from '../../../src/outbox/producer.ts';

test('a producer’s sequences begin at the time in microseconds, below 2^53 for centuries', () => {
  const nowMs = Date.UTC(2026, 0, 1);
  expect(startProducer('p', nowMs)).toMatchObject({
    name: 'p',
    epoch: RAW_EPOCH,
    nextSequence: nowMs * 1000,
  });
  expect(Number.isSafeInteger(startProducer('p', Date.UTC(2250, 0, 1)).nextSequence + 1e12)).toBe(true);
});

test('a producer that comes back a second later begins above a million messages of before', () => {
  const before = startProducer('p', 1_000);
  before.nextSequence += 999_999;
  expect(startProducer('p', 2_000).nextSequence).toBeGreaterThan(before.nextSequence);
});

test('somebody waits for the watermarks of a producer that numbers its messages itself, not for a raw one’s', () => {
  expect(createProducer('p', 7, 5)).toMatchObject({
    epoch: 7,
    nextSequence: 5,
    committed: 4,
    isTracked: true,
  });
  expect(createProducer('p', 7, 5, 2)).toMatchObject({ nextSequence: 5, committed: 2 });
  expect(untrackedProducer('p', 7, 5)).toMatchObject({ epoch: 7, nextSequence: 5, isTracked: false });
  expect(startProducer('p', 1).isTracked).toBe(false);
});
