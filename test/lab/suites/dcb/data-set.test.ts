import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  COURSE_DEFINED,
  DataSet,
  SET_NAMES,
  type SetName,
  STUDENT_ENROLLED,
  STUDENT_REGISTERED,
  setEvents,
} from '../../../../lab/suites/dcb/data-set.ts';

function hashOf(name: SetName, seed: number): string {
  const set = new DataSet(name, seed);
  const hash = createHash('sha256');
  for (let index = 0; index < set.events; index += 1) hash.update(JSON.stringify(set.event(index)));
  return hash.digest('hex').slice(0, 16);
}

/** Shares of the values in an array. */
function share(values: ArrayLike<number>, isCounted: (value: number) => boolean): number {
  return Array.from(values).filter(isCounted).length / values.length;
}

describe('a data set', () => {
  test.each([
    ['fresh', 0],
    ['tiny', 5 + 10 + 20],
    ['small', 1_000 + 10_000 + 50_000],
    ['100k', 100_000],
    ['medium', 5_000 + 50_000 + 250_000],
  ] as const)('%s has %d events', (name, events) => {
    expect(setEvents(name)).toBe(events);
    expect(new DataSet(name, 1).events).toBe(events);
  });

  // The figures of two versions are of the same events only as long as this stands.
  test.each([
    ['tiny', '9f2bae77cbf26dff'],
    ['small', 'aa28d6aa84c5dbca'],
    ['100k', 'e609deaa5a5fd1ef'],
    ['medium', '616d6f085d998836'],
  ] as const)('%s is the same with the same seed, on every machine', (name, hash) => {
    expect(hashOf(name, 1)).toBe(hash);
    expect(hashOf(name, 2), 'the control').not.toBe(hash);
  });

  test('has other events than another set with the same seed', () => {
    expect(new Set(SET_NAMES.map((name) => hashOf(name, 1))).size).toBe(SET_NAMES.length);
  });

  test.each(['tiny', 'small', 'medium'] as const)(
    'of the size %s enrols nobody twice, and none beyond capacity',
    (name) => {
      const set = new DataSet(name, 3);
      const pairs = new Set<string>();
      const enrolled = new Map<number, number>();
      for (const [index, course] of set.enrolledCourses.entries()) {
        pairs.add(`${course} ${set.enrolledStudents[index]}`);
        enrolled.set(course, (enrolled.get(course) ?? 0) + 1);
      }
      expect(pairs.size).toBe(set.size.enrolments);
      expect(Math.max(...enrolled.values())).toBeLessThanOrEqual(set.size.capacity);
      for (const [course, count] of enrolled) expect(set.enrolled[course]).toBe(count);
    },
  );

  test('has courses of three degrees of popularity, students of four years, and a few courses for each', () => {
    const set = new DataSet('small', 1);
    const { years, enrolled, enrolledStudents, size } = set;
    for (const [index, expected] of [0.4, 0.3, 0.2, 0.1].entries()) {
      expect(share(years, (year) => year === index + 1)).toBeCloseTo(expected, 6);
    }
    const courses = new Uint32Array(size.students);
    for (const student of enrolledStudents) courses[student] = (courses[student] as number) + 1;
    expect([Math.min(...courses), Math.max(...courses)]).toEqual([3, 8]);
    for (let count = 3; count <= 8; count += 1) {
      expect(share(courses, (taken) => taken === count)).toBeGreaterThan(0.05);
    }
    // Popular courses draw two to ten times as many students as those that are less so.
    const sorted = [...enrolled].toSorted((left, right) => left - right);
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(sorted.slice(-200))).toBeGreaterThan(3 * mean(sorted.slice(0, 200)));
    expect(mean(sorted)).toBe(50);
  });

  test('gives a student of the smallest set one to three courses, since it has no more enrolments', () => {
    const { enrolledStudents } = new DataSet('tiny', 1);
    const counts = Array.from(
      { length: 10 },
      (_, student) => enrolledStudents.filter((enrolled) => enrolled === student).length,
    );
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...counts)).toBeLessThanOrEqual(3);
  });

  test('defines courses and registers students before it enrols them', () => {
    const set = new DataSet('tiny', 1);
    const events = Array.from({ length: set.events }, (_, index) => set.event(index));
    expect(events.map(({ type }) => type)).toEqual([
      ...new Array(5).fill(COURSE_DEFINED),
      ...new Array(10).fill(STUDENT_REGISTERED),
      ...new Array(20).fill(STUDENT_ENROLLED),
    ]);
    const known = new Set(events.slice(0, 15).flatMap(({ tags }) => tags));
    for (const { tags } of events.slice(15)) {
      expect(tags).toHaveLength(2);
      for (const tag of tags) expect(known).toContain(tag);
    }
    expect(events[0]).toEqual({
      type: COURSE_DEFINED,
      tags: ['course:c0'],
      data: { name: 'Course 0', capacity: 50 },
    });
  });
});
