/** The table of dead letters: what the shards of sinks with `deadLetters: 'table'` have in their lists, for SQL. */

import { bigint, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';

/**
 * One row for each letter that is in a shard's list. The list is the truth: rows follow it, and a row goes when its letter is
 * retried or dropped. To change or delete a row changes nothing in the list.
 */
export const deadLetters = pgTable(
  'sluice_dead_letters',
  {
    /** The sink's name. */
    sink: text().notNull(),
    /** The shard's name. */
    shard: text().notNull(),
    /** Names one life of the shard's list: a storage that was lost begins to count its letters again. */
    list: text().notNull(),
    /** The letter's id in its shard, as commands and routes take it. */
    id: bigint({ mode: 'bigint' }).notNull(),
    producer: text().notNull(),
    epoch: bigint({ mode: 'bigint' }).notNull(),
    sequence: bigint({ mode: 'bigint' }).notNull(),
    receivedAt: timestamp('received_at', { withTimezone: true }).notNull(),
    failedAt: timestamp('failed_at', { withTimezone: true }).notNull(),
    /** Who refused it: `postgres`, `mapping`, `schema` or `sink`. */
    by: text(),
    sqlState: text('sql_state'),
    reason: text().notNull(),
    detail: text(),
    hint: text(),
    table: text('table_name'),
    column: text('column_name'),
    constraint: text('constraint_name'),
    /** The message's own text. It is JSON: `payload::jsonb` reads it. */
    payload: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.sink, table.shard, table.list, table.id] })],
);
