import { describe, expect, test } from 'vitest';
import { DataSet } from '../../../../lab/suites/dcb/data-set.ts';
import {
  complexQueries,
  scopeTags,
  setDecisions,
  simpleQueries,
} from '../../../../lab/suites/dcb/set-queries.ts';
import { matches } from '../../../../src/events/query.ts';

const tiny = new DataSet('tiny', 1);
const small = new DataSet('small', 1);

describe('queries of a set', () => {
  test.each([
    ['simple', simpleQueries],
    ['complex', complexQueries],
  ] as const)('that are %s expect what matches them, which is never nothing', (_, queriesOf) => {
    for (const set of [tiny, small]) {
      const events = Array.from({ length: set.events }, (_, index) => set.event(index));
      const queries = queriesOf(set);
      expect(queries).toHaveLength(Math.min(100, set.size.courses));
      for (const { items, expected } of queries.slice(0, 20)) {
        const found = events.flatMap((event, index) => (matches(items, event) ? [index] : []));
        expect(expected).toEqual(found);
        expect(expected.length).toBeGreaterThan(1);
      }
    }
  });

  test('have one tag where they are simple, and several items, one of two tags, where they are complex', () => {
    for (const { items } of simpleQueries(small))
      expect(items).toEqual([{ types: [], tags: [expect.any(String)] }]);
    for (const { items } of complexQueries(small)) {
      expect(items).toHaveLength(4);
      expect(items.map(({ tags }) => tags.length)).toEqual([1, 1, 1, 2]);
    }
  });

  test('are the same with the same seed, and others with another', () => {
    for (const queriesOf of [simpleQueries, complexQueries, setDecisions]) {
      expect(queriesOf(new DataSet('small', 1))).toEqual(queriesOf(small));
      expect(queriesOf(new DataSet('small', 2)), 'the control').not.toEqual(queriesOf(small));
    }
  });
});

describe('decisions of a set', () => {
  test('know what the events say', () => {
    for (const set of [tiny, small]) {
      const events = Array.from({ length: set.events }, (_, index) => set.event(index));
      for (const { course, student, expected } of setDecisions(set).slice(0, 20)) {
        const of = (type: string, ...tags: string[]) =>
          events.filter((event) => matches([{ types: [type], tags }], event));
        expect(expected).toEqual({
          capacity: of('CourseDefined', course)[0]?.data.capacity,
          enrolled: of('StudentEnrolledInCourse', course).length,
          year: of('StudentRegistered', student)[0]?.data.year,
          courses: of('StudentEnrolledInCourse', student).length,
          isEnrolled: of('StudentEnrolledInCourse', course, student).length === 1,
        });
        for (const value of Object.values(expected)) expect(Boolean(value)).toBe(true);
      }
    }
  });
});

describe('scopes', () => {
  test('are different courses, also where there are fewer courses than scopes', () => {
    for (const set of [new DataSet('fresh', 1), tiny, small]) {
      const scopes = scopeTags(set, 100);
      expect(new Set(scopes).size).toBe(100);
      expect(scopeTags(set, 20)).toEqual(scopes.slice(0, 20));
      for (const scope of scopes) expect(scope).toMatch(/^course:c\d+$/);
    }
  });
});
