/** The table of the sink `messages`: what a shard writes unless it is told otherwise. */

import { bigint, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core';

export const messages = pgTable('messages', {
  /** Given by Postgres in the order of writing. */
  id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  /** Who sent the message: `?producer=` of the socket, or a name that was given to it. */
  producer: text().notNull(),
  /** Orders the messages of a producer. Gaps are normal: a raw socket's numbers begin at its connection time in µs. */
  sequence: bigint({ mode: 'bigint' }).notNull(),
  /** The message itself. */
  payload: jsonb().notNull(),
  /** When the shard received it. */
  receivedAt: timestamp('received_at', { withTimezone: true }).notNull(),
});
