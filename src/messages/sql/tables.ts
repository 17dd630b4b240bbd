/** The tables of the message store, and the indexes, which appends pay for. */

import { quoteName } from '../../core/sql-text.ts';

/** One index for each order in which messages are read, and one that keeps ids unique. */
export function messageTables(schema: string): string[] {
  const own = quoteName(schema);
  return [
    // Names in byte order: the same everywhere, cheap to compare, and prefixes are ranges of the index.
    `create table ${own}.messages (
  global_position bigint not null,
  "position" bigint not null,
  "time" timestamptz not null,
  cardinal_hash bigint,
  id uuid not null,
  stream_name text collate "C" not null,
  category text collate "C" not null,
  type text not null,
  data jsonb not null,
  metadata jsonb,
  correlation text collate "C",
  constraint messages_global_position primary key (global_position),
  constraint messages_stream unique (stream_name, "position"),
  constraint messages_id unique (id)
)`,
    `create index messages_category on ${own}.messages (category, global_position)`,
    `create table ${own}.append_lock ()`,
    `comment on table ${own}.append_lock is 'Locked by whoever appends; always empty'`,
  ];
}
