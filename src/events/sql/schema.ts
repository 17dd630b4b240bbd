/**
 * What the event store of a namespace is in Postgres: tables and functions of the namespace's schema, beside those of
 * the message store. Order, lock and plans are as in the message store's schema (src/messages/sql/schema.ts); the
 * lock is a separate table, so that the two stores do not wait for each other. What a condition is checked against is
 * therefore all that was ever committed, and nothing that was not: what could still commit a match waits for the
 * lock, and no transaction of somebody else hides anything.
 *
 * **Postings** are what conditions and reads go by: `event_postings` has a row for each tag and type of each append, not
 * of each event, with the position of the last event that has them, and how far before it the others of that append
 * lie. The last event of a type with a tag is then the end of one range of one index, whatever the statistics say and
 * however many events have the tag. Every event also counts under the empty tag, which no event can have, so that
 * types without tags are the same look-up. Where an item of a query wants several tags, the postings of one of them,
 * the one with the fewest, are gone along, and each event is looked at. (Measured, 1,000 events with three tags in one
 * append: a row for each event and tag 62k events/s, postings 98k. A GIN index's cost depends on its pending list.)
 *
 * Appends follow each other, so the postings of one tag and type never overlap: in the order of their last positions,
 * their events are in order too.
 */

import { type SqlNames, type StoreSchema, sqlNames } from '../../store/store-schema.ts';
import { appendEvent } from './append-event.ts';
import { appendEvents } from './append-events.ts';
import { clearEvents } from './clear-events.ts';
import { eventPositions } from './event-positions.ts';
import { eventTypes } from './event-types.ts';
import { eventsHead } from './events-head.ts';
import { firstConflict } from './first-conflict.ts';
import { firstEvent } from './first-event.ts';
import { lastEvent } from './last-event.ts';
import { EVENTS_LOCK } from './lock.ts';
import { readAllEvents } from './read-all-events.ts';
import { readEvents } from './read-events.ts';
import { scarcestTag } from './scarcest-tag.ts';
import { eventTables } from './tables.ts';

function functions(names: SqlNames): string[] {
  return [
    eventTypes,
    lastEvent,
    scarcestTag,
    eventPositions,
    firstEvent,
    firstConflict,
    appendEvents,
    appendEvent,
    readAllEvents,
    readEvents,
    eventsHead,
    clearEvents,
  ].map((statement) => statement(names));
}

/** The event store of a namespace in Postgres. */
export const eventSchema: StoreSchema = {
  name: 'events',
  lock: EVENTS_LOCK,
  table: 'events',
  steps: [
    (schema) => [...eventTables(schema), ...functions(sqlNames(schema, 1))],
    // The same functions, by names that carry their version.
    (schema) => functions(sqlNames(schema, 2)),
  ],
};
