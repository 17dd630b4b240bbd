/** The table of the sink `messages`: what a shard writes unless it is told otherwise. */

import { sql } from 'drizzle-orm';
import { bigint, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core';

export const messages = pgTable('messages', {
  /** Given by Postgres in the order of writing. */
  id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  /** Who sent the message: `?producer=` of the socket, or a name that was given to it. */
  producer: text().notNull(),
  /**
   * Numbers the producer's runs: (producer, epoch, sequence) names a message of `sluice.v1` for ever. 0 for raw
   * sockets, and for rows that are older than this column.
   */
  epoch: bigint({ mode: 'bigint' }).notNull().default(sql`0`),
  /** Orders the messages of a producer within an epoch. Gaps are normal: a raw socket's numbers begin at its connection time in µs. */
  sequence: bigint({ mode: 'bigint' }).notNull(),
  /** The message itself. */
  payload: jsonb().notNull(),
  /** When the shard received it. */
  receivedAt: timestamp('received_at', { withTimezone: true }).notNull(),
});
