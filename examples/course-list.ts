import { pgTable, text } from 'drizzle-orm/pg-core';
import {
  type ConnectionPool,
  type EventStore,
  PostgresHandlerDatabase,
  runHandler,
  type Stored,
} from 'sluice/events';

type CourseDefined = { type: 'CourseDefined'; data: { title: string } };

export const courses = pgTable('courses', { title: text().notNull() });

export const listCourses = (store: EventStore, connections: ConnectionPool, signal: AbortSignal) =>
  runHandler({
    store,
    database: new PostgresHandlerDatabase({ connections }),
    name: 'course list',
    query: [{ types: ['CourseDefined'] }],
    handle: (event: Stored<CourseDefined>, transaction) =>
      transaction.insert(courses).values({ title: event.data.title }),
    signal,
  });
