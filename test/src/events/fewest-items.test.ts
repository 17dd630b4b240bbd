import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QueryItem } from '../../../src/events/engine.ts';
import { fewestItems } from '../../../src/events/fewest-items.ts';
import { matches } from '../../../src/events/query.ts';

const item = (types: string[], tags: string[]): QueryItem => ({ types, tags });

describe('fewestItems', () => {
  test.each([
    [
      'joins types of the same tags',
      [item(['A'], ['x', 'y']), item(['B'], ['y', 'x'])],
      [item(['A', 'B'], ['x', 'y'])],
    ],
    ['any type is any type', [item(['A'], ['x']), item([], ['x'])], [item([], ['x'])]],
    ['any type is any type, whichever comes first', [item([], ['x']), item(['A'], ['x'])], [item([], ['x'])]],
    [
      'leaves out what another covers',
      [item(['A'], ['x', 'y']), item(['A', 'B'], ['x'])],
      [item(['A', 'B'], ['x'])],
    ],
    ['leaves out one of two that are equal', [item(['A'], ['x']), item(['A'], ['x'])], [item(['A'], ['x'])]],
    [
      'never joins types and tags at once',
      [item(['A'], ['x']), item(['B'], ['y'])],
      [item(['A'], ['x']), item(['B'], ['y'])],
    ],
    [
      'keeps an item with more types than the one with fewer tags has',
      [item(['A', 'B'], ['x', 'y']), item(['A'], ['x'])],
      [item(['A', 'B'], ['x', 'y']), item(['A'], ['x'])],
    ],
  ])('%s', (_what, items, expected) => expect(fewestItems(items)).toEqual(expected));

  test('keeps to the types that an item may have', () => {
    const types = Array.from({ length: 150 }, (_, index) => `T${index}`);
    const items = fewestItems(types.map((type) => item([type], ['x'])));
    expect(items.map((each) => each.types.length)).toEqual([100, 50]);
    expect(items.flatMap((each) => each.types)).toEqual(types);
    expect(fewestItems([...items, item([], ['x'])])).toEqual([item([], ['x'])]);
  });

  test('matches what any of the items matches, with no more of them', () => {
    const types = fc.uniqueArray(fc.constantFrom('A', 'B', 'C'), { maxLength: 3 });
    const tags = fc.uniqueArray(fc.constantFrom('x', 'y', 'z'), { maxLength: 3 });
    const items = fc.array(fc.record({ types, tags }), { minLength: 1, maxLength: 6 });
    const events = ['A', 'B', 'C', 'D'].flatMap((type) =>
      Array.from({ length: 8 }, (_, bits) => ({
        type,
        tags: ['x', 'y', 'z'].filter((_tag, index) => (bits >> index) % 2 === 1),
      })),
    );
    fc.assert(
      fc.property(items, (given) => {
        const fewest = fewestItems(given);
        expect(fewest.length).toBeLessThanOrEqual(given.length);
        for (const event of events)
          expect({ event, isMatch: matches(fewest, event) }).toEqual({
            event,
            isMatch: matches(given, event),
          });
        // Nothing is left to leave out.
        expect(fewestItems(fewest)).toEqual(fewest);
      }),
      { numRuns: 500 },
    );
  });
});
