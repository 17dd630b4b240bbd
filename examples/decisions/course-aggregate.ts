/** An aggregate and its repository, on an event store without streams (dcb.events, "Event-sourced aggregate"). */

import type { EventStore } from 'sluice/events';

type CourseEvent =
  | { type: 'CourseDefined'; data: { courseId: string; title: string; capacity: number } }
  | { type: 'CourseCapacityChanged'; data: { courseId: string; newCapacity: number } }
  | { type: 'StudentSubscribedToCourse'; data: { courseId: string; studentId: string } };

export class CourseAggregate {
  #recorded: CourseEvent[] = [];
  #version = 0n;
  #id = '';
  #capacity = 0;
  #subscriptions = 0;

  static create(courseId: string, title: string, capacity: number): CourseAggregate {
    const course = new CourseAggregate();
    course.#record({ type: 'CourseDefined', data: { courseId, title, capacity } });
    return course;
  }

  static reconstitute(events: readonly (CourseEvent & { position: bigint })[]): CourseAggregate {
    const course = new CourseAggregate();
    for (const event of events) {
      course.#apply(event);
      course.#version = event.position;
    }
    return course;
  }

  get id(): string {
    return this.#id;
  }

  /** Position of the last event that it was made of. */
  get version(): bigint {
    return this.#version;
  }

  changeCapacity(newCapacity: number): void {
    if (newCapacity === this.#capacity)
      throw new Error(`Course "${this.#id}" already has a capacity of "${newCapacity}`);
    if (newCapacity < this.#subscriptions)
      throw new Error(
        `Course "${this.#id}" already has ${this.#subscriptions} active subscriptions, can't set the capacity below that`,
      );
    this.#record({ type: 'CourseCapacityChanged', data: { courseId: this.#id, newCapacity } });
  }

  subscribeStudent(studentId: string): void {
    if (this.#subscriptions === this.#capacity)
      throw new Error(`Course "${this.#id}" is already fully booked`);
    this.#record({ type: 'StudentSubscribedToCourse', data: { courseId: this.#id, studentId } });
  }

  pullRecordedEvents(): CourseEvent[] {
    const recorded = this.#recorded;
    this.#recorded = [];
    return recorded;
  }

  #record(event: CourseEvent): void {
    this.#recorded.push(event);
    this.#apply(event);
  }

  #apply(event: CourseEvent): void {
    if (event.type === 'CourseDefined') {
      this.#id = event.data.courseId;
      this.#capacity = event.data.capacity;
    } else if (event.type === 'CourseCapacityChanged') {
      this.#capacity = event.data.newCapacity;
    } else {
      this.#subscriptions += 1;
    }
  }
}

export class CourseRepository {
  readonly #store: EventStore;

  constructor(store: EventStore) {
    this.#store = store;
  }

  async load(courseId: string): Promise<CourseAggregate> {
    const events = await this.#store.read([{ tags: [`course:${courseId}`] }], { limit: 'unlimited' });
    return CourseAggregate.reconstitute(events as never);
  }

  /** Fails where events were added since it was loaded. */
  async save(course: CourseAggregate): Promise<void> {
    const tags = [`course:${course.id}`];
    const events = course.pullRecordedEvents().map((event) => ({ ...event, tags }));
    await this.#store.append(events, { failIfEventsMatch: [{ tags }], after: course.version });
  }
}
