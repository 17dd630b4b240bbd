import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EventQuery, QueryItem } from '../../../src/events/engine.ts';
import { anyOf, matches, queryUnits, toQuery } from '../../../src/events/query.ts';

const upTo = (end: number): number[] => Array.from({ length: end }, (_, index) => index + 1);

const label = fc.constantFrom('a', 'b', 'c', 'a,b');
const labels = fc.array(label, { maxLength: 4 });
const items: fc.Arbitrary<QueryItem[]> = fc.array(fc.record({ types: labels, tags: labels }), {
  minLength: 1,
  maxLength: 5,
});
const events = fc.record({ type: label, tags: labels });

/** What a query means before it was brought into any form. */
const means = (query: readonly QueryItem[], event: { type: string; tags: readonly string[] }): boolean =>
  query.some(
    ({ types, tags }) =>
      (types.length === 0 || types.includes(event.type)) && tags.every((tag) => event.tags.includes(tag)),
  );

describe('a query', () => {
  test('is brought into one form: without repetitions, all lists there', () => {
    expect(toQuery('all')).toBe('all');
    expect(toQuery([{}])).toBe('all');
    expect(toQuery([{ types: ['A'] }, { types: [], tags: [] }])).toBe('all');
    expect(toQuery({ items: [{ tags: ['x', 'y', 'x'] }] })).toEqual([{ types: [], tags: ['x', 'y'] }]);
    expect(
      toQuery([
        { types: ['A', 'B'], tags: ['x', 'y'] },
        { types: ['B', 'A', 'B'], tags: ['y', 'x'] },
        { types: ['A'], tags: ['x', 'y'] },
      ]),
    ).toEqual([
      { types: ['A', 'B'], tags: ['x', 'y'] },
      { types: ['A'], tags: ['x', 'y'] },
    ]);
  });

  test('does not change what it was given, and does not change with it', () => {
    const tags = ['x', 'y'];
    const given = [{ tags }];
    const query = toQuery(given);
    expect(given).toEqual([{ tags: ['x', 'y'] }]);
    tags.push('z');
    expect(query).toEqual([{ types: [], tags: ['x', 'y'] }]);
  });

  test('means the same in its form as before', () => {
    fc.assert(
      fc.property(items, events, (query, event) => {
        expect(matches(toQuery(query), event)).toBe(means(query, event));
      }),
    );
    // The control: the property is not about queries that match nothing, or everything.
    const sample = fc.sample(fc.tuple(items, events), 500).map(([query, event]) => means(query, event));
    expect(sample).toContain(true);
    expect(sample).toContain(false);
  });

  test('types whose texts could be taken for each other stay apart', () => {
    const query = toQuery([{ types: ['a,b'] }, { types: ['a', 'b'] }, { types: ['a'], tags: ['b'] }]);
    expect(query).toHaveLength(3);
  });

  test('knows the size of its texts', () => {
    expect(queryUnits('all')).toBe(0);
    expect(queryUnits(toQuery([{ types: ['ab'], tags: ['cde'] }, { tags: ['🌍'] }]))).toBe(7);
  });
});

describe('the query of any of several', () => {
  const queries = fc.array(items, { minLength: 1, maxLength: 4 });

  test('matches what one of them matches, and nothing else', () => {
    fc.assert(
      fc.property(queries, events, (several, event) => {
        const joined = anyOf(several.map((query) => toQuery(query)));
        expect(matches(joined, event)).toBe(several.some((query) => means(query, event)));
      }),
    );
  });

  test('is “all” where one of them is', () => {
    expect(anyOf([toQuery([{ types: ['A'] }]), 'all'])).toBe('all');
    expect(anyOf(['all', toQuery([{ types: ['A'] }])])).toBe('all');
  });

  // go-crablet's CombineProjectorQueries made [A] of "any type" and [A].
  test('does not merge items of the same tags', () => {
    const any: EventQuery = [{ types: [], tags: ['x'] }];
    const one: EventQuery = [{ types: ['A'], tags: ['x'] }];
    for (const order of [
      [any, one],
      [one, any],
    ]) {
      const joined = anyOf(order);
      expect(matches(joined, { type: 'B', tags: ['x'] })).toBe(true);
      expect(matches(joined, { type: 'B', tags: ['y'] })).toBe(false);
    }
  });

  test('has each item once, and no more than a query may have', () => {
    const queryOf = (numbers: readonly number[]): EventQuery =>
      toQuery(numbers.map((n) => ({ types: [`T${n}`] })));
    const hundred = queryOf(upTo(100));
    expect(anyOf([hundred, queryOf([7]), hundred])).toHaveLength(100);
    expect(() => anyOf([hundred, queryOf([101])])).toThrow(
      expect.objectContaining({ code: 'invalid_query', message: expect.stringContaining('100') }),
    );
    expect(() => anyOf([])).toThrow(expect.objectContaining({ code: 'invalid_query' }));
  });
});
