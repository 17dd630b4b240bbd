/** The event store as the suite `dcb` measures it. */

import { PostgresEventEngine } from '../../../src/events/engines/postgres-engine.ts';
import { createEventStatements } from '../../../src/events/engines/postgres-schema.ts';
import { SqliteEventEngine } from '../../../src/events/engines/sqlite-engine.ts';
import { EventStore } from '../../../src/events/event-store.ts';
import { createSchemaStatements } from '../../../src/messages/engines/postgres-schema.ts';
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
  schemaStatements: (schema) => [...createSchemaStatements(schema), ...createEventStatements(schema)],
  settledTables: ['events', 'event_postings'],
  floor: EVENT_FLOOR,
  plan: (engine) => new DcbPlan(engine),
  targetOf: dcbTargetOf,
};
