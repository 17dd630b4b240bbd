import { expect, test } from 'vitest';
import { Producers } from '../../../src/outbox/producers.ts';

test('a new producer begins at the time of day in microseconds', () => {
  expect(new Producers().connect('a', 1_000).nextSequence).toBe(1_000_000);
});

test('two sockets of one producer share its sequences', () => {
  const producers = new Producers();
  const first = producers.connect('a', 1_000);
  first.nextSequence += 5;
  const second = producers.connect('a', 1_000);
  expect(second).toBe(first);
  expect(second.nextSequence).toBe(1_000_005);
  expect(producers.connect('b', 1_000)).not.toBe(first);
});

test('a producer that comes back before the clock has passed its last sequence goes on behind it', () => {
  const producers = new Producers();
  producers.connect('a', 1_000).nextSequence += 200_000;
  expect(producers.connect('a', 1_100).nextSequence).toBe(1_200_000);
  expect(producers.connect('a', 5_000).nextSequence).toBe(5_000_000);
});

test('the producer that connected longest ago is forgotten first', () => {
  const producers = new Producers(2);
  const [a, b] = [producers.connect('a', 1), producers.connect('b', 1)];
  producers.connect('a', 1);
  producers.connect('c', 1);
  expect(producers.connect('a', 1)).toBe(a);
  expect(producers.connect('b', 1)).not.toBe(b);
});
