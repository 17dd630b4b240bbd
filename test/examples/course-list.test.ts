import { afterAll, expect, test } from 'vitest';
import { courses, listCourses } from '../../examples/course-list.ts';
import {
  ConnectionPool,
  createNamespaceSchema,
  EventStore,
  eventSchema,
  openConnection,
  PostgresEventEngine,
  schemaOfNamespace,
  systemTimers,
} from '../../src/events/index.ts';
import { freshName, rowsOf } from '../support/connect.ts';
import { ownDatabase } from '../support/own-database.ts';
import { eventually } from '../support/patience.ts';

const own = ownDatabase();
const pools: ConnectionPool[] = [];
afterAll(() => {
  for (const pool of pools) pool.close();
});

test('the handler of the page lists each course once, also after it began again', async () => {
  const namespace = freshName('example');
  await createNamespaceSchema(own.connection, namespace, [eventSchema]);
  await rowsOf(own.connection, 'create table courses (title text not null)');
  const connections = new ConnectionPool({ open: () => openConnection(own.target), timers: systemTimers });
  pools.push(connections);
  const store = new EventStore(
    new PostgresEventEngine({ connections, schema: schemaOfNamespace(namespace) }),
  );
  for (const title of ['Latin', 'Greek']) {
    await store.append({ type: 'CourseDefined', data: { title } });
    const stop = new AbortController();
    const running = listCourses(store, connections, stop.signal);
    await eventually(async () => {
      const listed = await own.connection.db.select().from(courses);
      expect(listed.at(-1)).toEqual({ title });
    });
    stop.abort();
    await running;
  }
  expect(await own.connection.db.select().from(courses)).toEqual([{ title: 'Latin' }, { title: 'Greek' }]);
  expect(await own.tables()).toContain('sluice_bookmarks');
});
