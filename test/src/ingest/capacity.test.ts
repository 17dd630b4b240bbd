import { expect, test } from 'vitest';
import { Capacity } from '../../../src/ingest/capacity.ts';
import type { Lane } from '../../../src/outbox/lane.ts';
import { MESSAGE_OVERHEAD_BYTES } from '../../../src/sinks/message-batch.ts';

const limits = { maxOutboxBytes: 10_000, maxOutboxRows: 50, maxBufferBytes: 2_000 };

/** A lane that holds so much. */
function laneOf(rows: number, bytes: number, storedBytes: number): Lane {
  return { rows, bytes, storedBytes } as Lane;
}

const durable = { lane: laneOf(10, 500, 6_000), isDurable: true };
const memory = { lane: laneOf(5, 1_000, 0), isDurable: false };

/** The most characters that one more message may have. */
function charactersFor(capacity: Capacity): number {
  let characters = 0;
  while (capacity.hasRoomFor(1, characters + 1)) characters += 1;
  return characters;
}

test('with an outbox, its text and its rows count', () => {
  const capacity = new Capacity({ lanes: [durable], hasOutbox: true, limits });
  expect(charactersFor(capacity)).toBe(10_000 - 6_000 - MESSAGE_OVERHEAD_BYTES);
  expect([capacity.hasRoomFor(30, 0), capacity.hasRoomFor(41, 0)]).toEqual([true, false]);
  expect(capacity.usage()).toEqual({ rows: 10, maxRows: 50, bytes: 6_000, maxBytes: 10_000 });
  expect(capacity.free()).toEqual({ rows: 40, bytes: 4_000 });
  expect([capacity.outboxFill(), capacity.memoryFill()]).toEqual([0.6, 0.25]);
});

test('without one, memory counts, and what an outbox from before takes in it', () => {
  const capacity = new Capacity({ lanes: [memory, durable], hasOutbox: false, limits });
  expect(charactersFor(capacity)).toBe(2_000 - 1_500 - MESSAGE_OVERHEAD_BYTES);
  expect(capacity.usage()).toEqual({ rows: 5, maxRows: 50, bytes: 1_500, maxBytes: 2_000 });
  expect(capacity.memoryFill()).toBe(0.75);
});

test('a lane that is opened later counts too', () => {
  const lanes = [memory];
  const capacity = new Capacity({ lanes, hasOutbox: false, limits });
  expect(capacity.memoryFill()).toBe(0.5);
  lanes.push(durable);
  expect(capacity.memoryFill()).toBe(0.75);
});

test('what the empty shard could not hold will never fit', () => {
  const capacity = new Capacity({ lanes: [durable], hasOutbox: true, limits });
  expect([capacity.hasRoomFor(1, 5_000), capacity.couldHold(1, 5_000)]).toEqual([false, true]);
  expect(capacity.couldHold(1, 10_000)).toBe(false);
});
