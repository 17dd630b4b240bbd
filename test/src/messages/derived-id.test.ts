import { expect, test } from 'vitest';
import { isUuid } from '../../../src/core/uuid.ts';
import { DerivedIds } from '../../../src/messages/derived-id.ts';

const TRIPLES = ['a', 'b', 'kitchen'].flatMap((producer) =>
  [0, 1, 1_700_000_000_000].flatMap((epoch) =>
    [0, 1, 255, 256, 1_700_000_000_000_000, Number.MAX_SAFE_INTEGER].map(
      (sequence) => [producer, epoch, sequence] as const,
    ),
  ),
);

test('the id of a message is a UUID of version 8, the same each time, and nobody else has it', () => {
  const ids = TRIPLES.map(([producer, epoch, sequence]) =>
    new DerivedIds('events').idOf(producer, epoch, sequence),
  );
  for (const id of ids) {
    expect(isUuid(id)).toBe(true);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
  expect(new Set(ids).size).toBe(TRIPLES.length);
  // One maker for all of them gives the same.
  const shared = new DerivedIds('events');
  expect(TRIPLES.map(([producer, epoch, sequence]) => shared.idOf(producer, epoch, sequence))).toEqual(ids);
  expect(new DerivedIds('other').idOf('a', 0, 0)).not.toBe(ids[0]);
});

test('a space in a name cannot make it another one', () => {
  const ids = new DerivedIds('events');
  expect(ids.idOf('1 a', 2, 3)).not.toBe(ids.idOf('a', 1, 3));
  expect(ids.idOf('a', 21, 3)).not.toBe(ids.idOf('1 a', 2, 3));
});

test('a producer of the same name is another one for each tenant', () => {
  const ids = new DerivedIds('events');
  const names = ['p', 'acme/p', 'bolt/p', `${'t'.repeat(64)}/${'p'.repeat(128)}`];
  expect(new Set(names.map((name) => ids.idOf(name, 2, 3))).size).toBe(names.length);
});

test('the ids of a producer rise with its sequence', () => {
  const ids = new DerivedIds('events');
  const rising = [0, 1, 9, 10, 255, 4_096, 2 ** 40, 2 ** 53 - 1].map((sequence) =>
    ids.idOf('a', 7, sequence),
  );
  expect(rising.toSorted()).toEqual(rising);
});

// Ids are stored: how they are made may not change.
test('an id is what it always was', () => {
  expect(new DerivedIds('events').idOf('kitchen', 1_700_000_000_000, 42)).toBe(
    '5ab2dba3-2ea6-8c1a-b100-00000000002a',
  );
});
