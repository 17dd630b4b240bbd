/** The event store as the suite `dcb` measures it. */

import { PostgresEventEngine } from '../../../src/events/engines/postgres-engine.ts';
import { SqliteEventEngine } from '../../../src/events/engines/sqlite-engine.ts';
import { EventStore } from '../../../src/events/event-store.ts';
import { eventSchema } from '../../../src/events/sql/schema.ts';
import { messageSchema } from '../../../src/messages/sql/schema.ts';
import { createStatements } from '../../../src/store/store-schema.ts';
import type { BenchedStore } from '../../jobs/store-under-test.ts';
import { directStore } from './bench-store.ts';
import type { BenchedEvents } from './fixture.ts';
import { EVENT_FLOOR, type EventRow } from './floor.ts';
import { type DcbJob, dcbTargetOf } from './job.ts';
import { DcbPlan } from './plan.ts';

function both(events: EventStore): BenchedEvents {
  return { events, store: directStore(events) };
}

export const EVENT_STORE: BenchedStore<DcbJob, BenchedEvents, EventRow> = {
  name: 'dcb',
  onSqlite: (sqlite) => both(new EventStore(new SqliteEventEngine(sqlite))),
  onPostgres: (place) =>
    both(new EventStore(new PostgresEventEngine({ ...place, preparesStatements: true }))),
  // As many as a namespace of the Worker has: appends go in groups on one of them, reads run beside.
  connections: 4,
  schemaStatements: (schema) => createStatements(schema, [messageSchema, eventSchema]),
  settledTables: ['events', 'event_postings'],
  floor: EVENT_FLOOR,
  plan: (engine) => new DcbPlan(engine),
  targetOf: dcbTargetOf,
};
