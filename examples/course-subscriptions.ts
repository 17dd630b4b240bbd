import { decide, EventStore, projection, SqliteEventEngine } from 'sluice/events';
import { NodeSqlite } from 'sluice/node';

type CourseDefined = { type: 'CourseDefined'; data: { capacity: number } };

const store = new EventStore(new SqliteEventEngine(new NodeSqlite()));

const capacity = (course: string) =>
  projection({
    query: [{ types: ['CourseDefined'], tags: [course] }],
    initial: undefined as number | undefined,
    apply: (_capacity, event: CourseDefined) => event.data.capacity,
  });

const subscriptions = (...tags: string[]) =>
  projection({
    query: [{ types: ['StudentSubscribedToCourse'], tags }],
    initial: 0,
    apply: (count) => count + 1,
  });

async function subscribe(student: string, course: string): Promise<string> {
  const projections = {
    capacity: capacity(course),
    ofCourse: subscriptions(course),
    ofStudent: subscriptions(student),
    ofBoth: subscriptions(student, course),
  };
  await decide(store, projections, ({ capacity, ofCourse, ofStudent, ofBoth }) => {
    if (capacity === undefined) throw new Error(`There is no ${course}`);
    if (ofCourse >= capacity) throw new Error(`${course} is fully booked`);
    if (ofBoth > 0) throw new Error(`${student} is in ${course} already`);
    if (ofStudent >= 5) throw new Error(`${student} is in five courses already`);
    return { type: 'StudentSubscribedToCourse', tags: [student, course] };
  });
  return `${student} is in ${course}`;
}

await store.append({ type: 'CourseDefined', tags: ['course:c1'], data: { capacity: 2 } });
const answers = await Promise.allSettled(
  ['student:s1', 'student:s2', 'student:s3'].map((student) => subscribe(student, 'course:c1')),
);
for (const answer of answers)
  console.log(answer.status === 'fulfilled' ? answer.value : answer.reason.message);
