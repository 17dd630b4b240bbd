import { bigint, doublePrecision, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import { fromMessage, fromProducer, fromReceivedAt } from 'sluice';
import { createSluice } from 'sluice/worker';

export const readings = pgTable('readings', {
  id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  device: text().notNull(),
  celsius: doublePrecision(),
  room: text().notNull().default('unknown'),
  receivedAt: timestamp('received_at', { withTimezone: true }).notNull(),
});

const sluice = createSluice({
  sinks: {
    readings: {
      table: readings,
      columns: {
        device: fromProducer,
        receivedAt: fromReceivedAt,
        // The text that Postgres reads the column from; null for NULL.
        celsius: fromMessage(({ payload }) => {
          const { celsius } = JSON.parse(payload) as { celsius?: unknown };
          return typeof celsius === 'number' ? String(celsius) : null;
        }),
        // `room` is not named here: it gets the member `room` of the message, or its default.
      },
      options: { writer: 'copy', lingerMs: 50 },
    },
  },
});

export default sluice;
export class Shard extends sluice.Shard {}
