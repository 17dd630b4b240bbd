/**
 * What the suite `dcb` reads of a data set, and what must come back. The queries are chosen by the set's seed: with
 * queries of chance, as go-crablet has them, no two runs measure the same.
 */

import type { QueryItem } from '../../../src/events/engine.ts';
import { derivedSeed, type Random, seededRandom, shuffled } from '../../run/random.ts';
import {
  below,
  COURSE_DEFINED,
  courseTag,
  type DataSet,
  STUDENT_ENROLLED,
  STUDENT_REGISTERED,
  studentTag,
} from './data-set.ts';

/** Queries of each kind; a repetition goes through them again and again. */
const QUERIES = 100;

export interface SetQuery {
  items: readonly QueryItem[];
  /** The events that must come back, by their numbers in the set, ascending; never none. */
  expected: readonly number[];
}

/** What a decision about an enrolment has to know, and what must come of it. */
export interface SetDecision {
  course: string;
  student: string;
  expected: {
    capacity: number;
    /** Students of the course. */
    enrolled: number;
    year: number;
    /** Courses of the student. */
    courses: number;
    isEnrolled: boolean;
  };
}

/** Everything about one course: its definition and its students. */
export function simpleQueries(set: DataSet): SetQuery[] {
  const { courses } = set.size;
  const random = seededRandom(derivedSeed(set.seed, 'dcb simple queries'));
  return withExpected(
    set,
    Array.from({ length: queriesOf(set) }, () => [{ types: [], tags: [courseTag(below(courses, random))] }]),
  );
}

/** What an enrolment is decided by: a course, its students; a student, their courses; and another enrolment. */
export function complexQueries(set: DataSet): SetQuery[] {
  const random = seededRandom(derivedSeed(set.seed, 'dcb complex queries'));
  return withExpected(
    set,
    Array.from({ length: queriesOf(set) }, () => {
      const { course, student } = drawEnrolment(set, random);
      const other = drawEnrolment(set, random);
      return [
        { types: [COURSE_DEFINED, STUDENT_ENROLLED], tags: [course] },
        { types: [STUDENT_REGISTERED], tags: [student] },
        { types: [STUDENT_ENROLLED], tags: [student] },
        { types: [STUDENT_ENROLLED], tags: [other.course, other.student] },
      ];
    }),
  );
}

/** Enrolments that are in the set, and what is known about their course and their student. */
export function setDecisions(set: DataSet): SetDecision[] {
  const { enrolledStudents, enrolledCourses, enrolled, years, size } = set;
  const courses = new Uint32Array(size.students);
  for (const student of enrolledStudents) courses[student] = (courses[student] as number) + 1;
  const random = seededRandom(derivedSeed(set.seed, 'dcb decisions'));
  return Array.from({ length: queriesOf(set) }, () => {
    const enrolment = below(size.enrolments, random);
    const course = enrolledCourses[enrolment] as number;
    const student = enrolledStudents[enrolment] as number;
    return {
      course: courseTag(course),
      student: studentTag(student),
      expected: {
        capacity: size.capacity,
        enrolled: enrolled[course] as number,
        year: years[student] as number,
        courses: courses[student] as number,
        isEnrolled: true,
      },
    };
  });
}

/**
 * Tags of so many different courses, for conditions on their own scopes. Where the set has fewer courses, or none,
 * some of them are of courses that nobody has defined.
 */
export function scopeTags(set: DataSet, count: number): string[] {
  const { courses } = set.size;
  const random = seededRandom(derivedSeed(set.seed, 'dcb scopes'));
  const order = shuffled([...new Array(courses).keys()], random);
  return Array.from({ length: count }, (_, scope) => courseTag(order[scope] ?? scope));
}

/** So many queries of one kind; a small set has no more than it has courses. */
function queriesOf({ size }: DataSet): number {
  return Math.min(QUERIES, size.courses);
}

function drawEnrolment(set: DataSet, random: Random): { course: string; student: string } {
  const enrolment = below(set.size.enrolments, random);
  return {
    course: courseTag(set.enrolledCourses[enrolment] as number),
    student: studentTag(set.enrolledStudents[enrolment] as number),
  };
}

/** Answers the queries from the set itself, in one pass over its events. */
function withExpected(set: DataSet, queries: readonly (readonly QueryItem[])[]): SetQuery[] {
  // By one tag of each item, so that a pass has few items to look at for an event.
  const byTag = new Map<string, { query: number; item: QueryItem }[]>();
  for (const [query, items] of queries.entries()) {
    for (const item of items) {
      const tag = item.tags[0] as string;
      byTag.set(tag, [...(byTag.get(tag) ?? []), { query, item }]);
    }
  }
  const expected = queries.map(() => new Set<number>());
  for (let index = 0; index < set.events; index += 1) {
    const { type, tags } = set.event(index);
    for (const tag of tags) {
      for (const { query, item } of byTag.get(tag) ?? []) {
        const isOfType = item.types.length === 0 || item.types.includes(type);
        if (isOfType && item.tags.every((wanted) => tags.includes(wanted))) expected[query]?.add(index);
      }
    }
  }
  return queries.map((items, query) => ({ items, expected: [...(expected[query] ?? [])] }));
}

/** The queries again and again, whatever the number of the attempt. */
export function pick<Item>(items: readonly Item[], attempt: number): Item {
  return items[attempt % items.length] as Item;
}
