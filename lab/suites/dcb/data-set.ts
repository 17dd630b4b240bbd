/**
 * The data sets of the suite `dcb`: courses, students and enrolments, as go-crablet has them
 * (`internal/benchmarks/setup/dataset.go`), but from a seed, so that two runs measure the same events; and without its
 * faults: nobody is enrolled in a course twice, and no course beyond its capacity.
 */

import { derivedSeed, type Random, seededRandom, shuffled } from '../../run/random.ts';

interface SetSize {
  courses: number;
  students: number;
  enrolments: number;
  /** Students of one course at most. */
  capacity: number;
}

/**
 * `tiny`, `small`, `medium`: the sizes of go-crablet's bench. `fresh`: nothing at all. `100k`: 100,000 events in the
 * proportions of the others, for what a larger table costs an append.
 */
export const SET_SIZES = {
  fresh: { courses: 0, students: 0, enrolments: 0, capacity: 0 },
  tiny: { courses: 5, students: 10, enrolments: 20, capacity: 50 },
  small: { courses: 1_000, students: 10_000, enrolments: 50_000, capacity: 100 },
  '100k': { courses: 1_600, students: 16_400, enrolments: 82_000, capacity: 100 },
  medium: { courses: 5_000, students: 50_000, enrolments: 250_000, capacity: 100 },
} as const satisfies Record<string, SetSize>;

export type SetName = keyof typeof SET_SIZES;
export const SET_NAMES = Object.keys(SET_SIZES) as [SetName, ...SetName[]];

/** How many events a set has. */
export function setEvents(name: SetName): number {
  const { courses, students, enrolments } = SET_SIZES[name];
  return courses + students + enrolments;
}

/** Shares of courses by how popular they are, and what the weight of one lies between (go-crablet). */
const POPULARITY = [
  { share: 0.2, low: 0.7, high: 1 },
  { share: 0.6, low: 0.3, high: 0.7 },
  { share: 0.2, low: 0.1, high: 0.3 },
] as const;

/** Shares of students by their year, from the first. */
const YEARS = [0.4, 0.3, 0.2, 0.1] as const;

/** Courses of one student. `tiny` has fewer enrolments than three for each student. */
const COURSES_OF_STUDENT = { low: 3, high: 8 } as const;
const FEW_COURSES_OF_STUDENT = { low: 1, high: 3 } as const;

/** Draws of a course before the next free one is taken: almost all draws hit one at the first. */
const MAX_DRAWS = 64;

/** An event of a set. */
export interface SetEvent {
  type: (typeof SET_TYPES)[number];
  tags: readonly string[];
  data: { [key: string]: string | number };
}

export const COURSE_DEFINED = 'CourseDefined';
export const STUDENT_REGISTERED = 'StudentRegistered';
export const STUDENT_ENROLLED = 'StudentEnrolledInCourse';
const SET_TYPES = [COURSE_DEFINED, STUDENT_REGISTERED, STUDENT_ENROLLED] as const;

export const courseTag = (course: number): string => `course:c${course}`;
export const studentTag = (student: number): string => `student:s${student}`;

export class DataSet {
  readonly name: SetName;
  readonly seed: number;
  readonly size: SetSize;
  /** Years by student, 1 to 4. */
  readonly years: Uint8Array;
  /** Enrolments in the order of their events: which student, in which course. */
  readonly enrolledStudents: Uint32Array;
  readonly enrolledCourses: Uint32Array;
  /** Enrolments by course. */
  readonly enrolled: Uint32Array;

  /** The same name and the same seed give the same set. */
  constructor(name: SetName, seed: number) {
    this.name = name;
    this.seed = seed;
    this.size = SET_SIZES[name];
    const { courses, students, enrolments } = this.size;
    const random = seededRandom(derivedSeed(seed, 'dcb set', name));
    const cumulative = cumulativeWeights(courses, random);
    this.years = yearsOf(students, random);
    this.enrolled = new Uint32Array(courses);
    const pairs = this.#enrol(coursesOfStudents(students, enrolments, random), cumulative, random);
    // Enrolments of one student, and those of one course, lie apart in the log, as in life.
    const order = Uint32Array.from(shuffled([...pairs.students.keys()], random));
    this.enrolledStudents = order.map((index) => pairs.students[index] as number);
    this.enrolledCourses = order.map((index) => pairs.courses[index] as number);
  }

  /** How many events there are. */
  get events(): number {
    return this.size.courses + this.size.students + this.size.enrolments;
  }

  /** Event `index`, from 0: courses first, then students, then enrolments. */
  event(index: number): SetEvent {
    const { courses, students, capacity } = this.size;
    if (index < courses) {
      return {
        type: COURSE_DEFINED,
        tags: [courseTag(index)],
        data: { name: `Course ${index}`, capacity },
      };
    }
    const student = index - courses;
    if (student < students) {
      return {
        type: STUDENT_REGISTERED,
        tags: [studentTag(student)],
        data: { name: `Student ${student}`, year: this.years[student] as number },
      };
    }
    const enrolment = student - students;
    return {
      type: STUDENT_ENROLLED,
      tags: [
        courseTag(this.enrolledCourses[enrolment] as number),
        studentTag(this.enrolledStudents[enrolment] as number),
      ],
      data: { enrolment },
    };
  }

  /** Draws courses for each student by their weights, none twice and none that is full. */
  #enrol(
    counts: Uint8Array,
    cumulative: Float64Array,
    random: Random,
  ): { students: Uint32Array; courses: Uint32Array } {
    const { enrolments, capacity } = this.size;
    const students = new Uint32Array(enrolments);
    const courses = new Uint32Array(enrolments);
    const total = cumulative.at(-1) ?? 0;
    let next = 0;
    for (const [student, count] of counts.entries()) {
      const first = next;
      const isFree = (course: number): boolean =>
        (this.enrolled[course] as number) < capacity && !courses.subarray(first, next).includes(course);
      for (let taken = 0; taken < count; taken += 1) {
        let course = indexOfWeight(cumulative, random() * total);
        for (let draw = 1; draw < MAX_DRAWS && !isFree(course); draw += 1) {
          course = indexOfWeight(cumulative, random() * total);
        }
        for (let step = 0; step < cumulative.length && !isFree(course); step += 1) {
          course = (course + 1) % cumulative.length;
        }
        if (!isFree(course)) throw new RangeError(`The set ${this.name} has more enrolments than places`);
        students[next] = student;
        courses[next] = course;
        this.enrolled[course] = (this.enrolled[course] as number) + 1;
        next += 1;
      }
    }
    return { students, courses };
  }
}

function cumulativeWeights(courses: number, random: Random): Float64Array {
  const shares = POPULARITY.map(({ share }) => share);
  const groups = shuffled([...quotas(courses, shares)], random);
  let sum = 0;
  return Float64Array.from(groups, (group) => {
    const { low, high } = POPULARITY[group] as (typeof POPULARITY)[number];
    sum += low + random() * (high - low);
    return sum;
  });
}

/** A whole number from 0, below `end`. */
export function below(end: number, random: Random): number {
  return Math.floor(random() * end);
}

/** The first index whose cumulative weight is above `weight`. */
function indexOfWeight(cumulative: Float64Array, weight: number): number {
  let low = 0;
  let high = cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((cumulative[middle] as number) > weight) high = middle;
    else low = middle + 1;
  }
  return low;
}

function yearsOf(students: number, random: Random): Uint8Array {
  return Uint8Array.from(shuffled([...quotas(students, YEARS)], random), (year) => year + 1);
}

/** How many of `count` fall into each share, as the number of the share, in the order of the shares: exact up to one. */
function quotas(count: number, shares: readonly number[]): Uint8Array {
  const groups = new Uint8Array(count);
  let share = 0;
  let end = shares[0] as number;
  for (let index = 0; index < count; index += 1) {
    while (index + 0.5 > end * count && share < shares.length - 1) {
      share += 1;
      end += shares[share] as number;
    }
    groups[index] = share;
  }
  return groups;
}

/** How many courses each student takes: within the bounds, and together exactly as many as there are enrolments. */
function coursesOfStudents(students: number, enrolments: number, random: Random): Uint8Array {
  const { low, high } =
    enrolments >= students * COURSES_OF_STUDENT.low ? COURSES_OF_STUDENT : FEW_COURSES_OF_STUDENT;
  const counts = Uint8Array.from({ length: students }, () => low + below(high - low + 1, random));
  let missing = enrolments - counts.reduce((sum, count) => sum + count, 0);
  while (missing !== 0) {
    const student = below(students, random);
    const changed = (counts[student] as number) + Math.sign(missing);
    if (changed < low || changed > high) continue;
    counts[student] = changed;
    missing -= Math.sign(missing);
  }
  return counts;
}
