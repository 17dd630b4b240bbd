import { bigint, doublePrecision, pgTable, text, timestamp } from 'drizzle-orm/pg-core';

/** A row for each message. Members of a message go into the columns of the same names; Postgres gives the id. */
export const readings = pgTable('readings', {
  id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  sensor: text().notNull(),
  celsius: doublePrecision().notNull(),
  takenAt: timestamp('taken_at', { withTimezone: true }).notNull().defaultNow(),
});
