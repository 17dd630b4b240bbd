import { doublePrecision, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';
import { createSluice } from 'sluice/worker';

export const latest = pgTable(
  'latest',
  {
    device: text().notNull(),
    sensor: text().notNull(),
    celsius: doublePrecision(),
    measuredAt: timestamp('measured_at', { withTimezone: true }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.device, table.sensor] })],
);

const sluice = createSluice({
  sinks: {
    latest: {
      table: latest,
      // One row for each device and sensor, with its newest values, in whatever order they come.
      onConflict: { action: 'update', columns: ['device', 'sensor'], newerBy: 'measuredAt' },
    },
  },
});

export default sluice;
export class Shard extends sluice.Shard {}
