/** The tables of the event store. */

import { quoteName } from '../../core/sql-text.ts';

export function eventTables(schema: string): string[] {
  const own = quoteName(schema);
  return [
    // Types and tags in byte order: the same everywhere, and cheap to compare.
    `create table ${own}.events (
  "position" bigint not null,
  "time" timestamptz not null,
  id uuid,
  type text collate "C" not null,
  tags text[] collate "C" not null,
  data text not null,
  metadata text,
  constraint events_position primary key ("position")
)`,
    // Events without an id, which are most, do not pay for it.
    `create unique index events_id on ${own}.events (id) where id is not null`,
    // others: last_position minus the position of each of the append's other events, the first one's first.
    `create table ${own}.event_postings (
  tag text collate "C" not null,
  type text collate "C" not null,
  last_position bigint not null,
  others int[],
  constraint event_postings_key primary key (tag, type, last_position)
)`,
    `create table ${own}.events_lock ()`,
    `comment on table ${own}.events_lock is 'Locked by whoever appends events; always empty'`,
  ];
}
