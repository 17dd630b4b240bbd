/** What the suite `dcb` projects: what has to be known to decide about an enrolment. None of it is empty. */

import type { EventStore } from '../../../src/events/event-store.ts';
import { project, projection } from '../../../src/events/projection.ts';
import { COURSE_DEFINED, STUDENT_ENROLLED, STUDENT_REGISTERED } from './data-set.ts';
import type { DcbOperation } from './job.ts';
import type { SetDecision } from './set-queries.ts';

/** How many students a course has. */
function enrolledIn(course: string) {
  return projection<number>({
    query: [{ types: [STUDENT_ENROLLED], tags: [course] }],
    initial: 0,
    apply: (count) => count + 1,
  });
}

/** Reads what an operation projects, and returns it by the names of `SetDecision.expected`. */
export async function projectOnce(
  operation: DcbOperation,
  store: EventStore,
  { course, student }: SetDecision,
): Promise<Partial<SetDecision['expected']>> {
  if (operation === 'project-1') {
    const { state } = await project(store, enrolledIn(course));
    return { enrolled: state };
  }
  const { state } = await project(store, {
    capacity: projection<number>({
      query: [{ types: [COURSE_DEFINED], tags: [course] }],
      initial: 0,
      apply: (_, { data }) => (data as { capacity: number }).capacity,
    }),
    enrolled: enrolledIn(course),
    year: projection<number>({
      query: [{ types: [STUDENT_REGISTERED], tags: [student] }],
      initial: 0,
      apply: (_, { data }) => (data as { year: number }).year,
    }),
    courses: projection<number>({
      query: [{ types: [STUDENT_ENROLLED], tags: [student] }],
      initial: 0,
      apply: (count) => count + 1,
    }),
    isEnrolled: projection<boolean>({
      query: [{ types: [STUDENT_ENROLLED], tags: [course, student] }],
      initial: false,
      apply: () => true,
    }),
  });
  return state;
}

/** What must come of it; no value is that of a projection that saw no event. */
export function expectedStates(
  operation: DcbOperation,
  { expected }: SetDecision,
): Partial<SetDecision['expected']> {
  return operation === 'project-1' ? { enrolled: expected.enrolled } : expected;
}

/** How many events one run of it reads: each once, though the enrolment itself matches three of the queries. */
export function projectedEvents(operation: DcbOperation, { expected }: SetDecision): number {
  const { enrolled, courses } = expected;
  return operation === 'project-1' ? enrolled : 1 + enrolled + 1 + courses - 1;
}

/** How many states are those that must come, and how many are not. A state that is missing or empty is wrong. */
export function compareStates(
  states: Readonly<Record<string, unknown>>,
  expected: Readonly<Record<string, unknown>>,
): { right: number; wrong: number } {
  const names = new Set([...Object.keys(expected), ...Object.keys(states)]);
  let right = 0;
  for (const name of names) {
    const value = states[name];
    const isEmpty = value === 0 || value === false || value === undefined;
    if (!isEmpty && value === expected[name]) right += 1;
  }
  return { right, wrong: names.size - right };
}
