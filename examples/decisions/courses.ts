/** Courses with a capacity that students subscribe to, at most five each (dcb.events, "Course subscriptions"). */

import { type DecisionStore, decide, projection } from 'sluice/events';

type CourseDefined = { type: 'CourseDefined'; data: { courseId: string; capacity: number } };
type CourseCapacityChanged = {
  type: 'CourseCapacityChanged';
  data: { courseId: string; newCapacity: number };
};

const MAX_COURSES = 5;

export function courseDefined(courseId: string, capacity: number) {
  return { type: 'CourseDefined', data: { courseId, capacity }, tags: [`course:${courseId}`] };
}

export function capacityChanged(courseId: string, newCapacity: number) {
  return { type: 'CourseCapacityChanged', data: { courseId, newCapacity }, tags: [`course:${courseId}`] };
}

export function studentSubscribed(studentId: string, courseId: string) {
  return {
    type: 'StudentSubscribedToCourse',
    data: { studentId, courseId },
    tags: [`student:${studentId}`, `course:${courseId}`],
  };
}

const courseExists = (courseId: string) =>
  projection({
    query: [{ types: ['CourseDefined'], tags: [`course:${courseId}`] }],
    initial: false,
    apply: () => true,
  });

const courseCapacity = (courseId: string) =>
  projection({
    query: [{ types: ['CourseDefined', 'CourseCapacityChanged'], tags: [`course:${courseId}`] }],
    initial: 0,
    apply: (_capacity, event: CourseDefined | CourseCapacityChanged) =>
      event.type === 'CourseDefined' ? event.data.capacity : event.data.newCapacity,
  });

const subscriptions = (...tags: string[]) =>
  projection({
    query: [{ types: ['StudentSubscribedToCourse'], tags }],
    initial: 0,
    apply: (count) => count + 1,
  });

export function defineCourse(store: DecisionStore<unknown>, courseId: string, capacity: number) {
  return decide(store, { exists: courseExists(courseId) }, ({ exists }) => {
    if (exists) throw new Error(`Course with id "${courseId}" already exists`);
    return courseDefined(courseId, capacity);
  });
}

export function changeCourseCapacity(store: DecisionStore<unknown>, courseId: string, newCapacity: number) {
  const states = { exists: courseExists(courseId), capacity: courseCapacity(courseId) };
  return decide(store, states, ({ exists, capacity }) => {
    if (!exists) throw new Error(`Course "${courseId}" does not exist`);
    if (capacity === newCapacity)
      throw new Error(`New capacity ${newCapacity} is the same as the current capacity`);
    return capacityChanged(courseId, newCapacity);
  });
}

export function subscribeStudent(
  store: DecisionStore<unknown>,
  studentId: string,
  courseId: string,
  options: { retries?: number } = {},
) {
  const states = {
    exists: courseExists(courseId),
    capacity: courseCapacity(courseId),
    ofCourse: subscriptions(`course:${courseId}`),
    ofStudent: subscriptions(`student:${studentId}`),
    ofBoth: subscriptions(`student:${studentId}`, `course:${courseId}`),
  };
  return decide(
    store,
    states,
    ({ exists, capacity, ofCourse, ofStudent, ofBoth }) => {
      if (!exists) throw new Error(`Course "${courseId}" does not exist`);
      if (ofCourse >= capacity) throw new Error(`Course "${courseId}" is already fully booked`);
      if (ofBoth > 0) throw new Error('Student already subscribed to this course');
      if (ofStudent >= MAX_COURSES) throw new Error(`Student already subscribed to ${MAX_COURSES} courses`);
      return studentSubscribed(studentId, courseId);
    },
    options,
  );
}
