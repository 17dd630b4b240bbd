import { bigint, doublePrecision, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import { defineSink, fromMessage, fromProducer, fromReceivedAt } from 'sluice';

export const readings = pgTable('readings', {
  id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  device: text().notNull(),
  celsius: doublePrecision(),
  receivedAt: timestamp('received_at', { withTimezone: true }).notNull(),
});

export const readingsSink = defineSink('readings', {
  table: readings,
  columns: {
    device: fromProducer,
    // The text that Postgres reads the column from; null for NULL.
    celsius: fromMessage(({ payload }) => {
      const { celsius } = JSON.parse(payload) as { celsius?: unknown };
      return typeof celsius === 'number' ? String(celsius) : null;
    }),
    receivedAt: fromReceivedAt,
  },
  options: { writer: 'copy', lingerMs: 50 },
});
