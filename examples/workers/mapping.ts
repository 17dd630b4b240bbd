import { bigint, doublePrecision, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import { createSluice } from 'sluice/worker';
import * as v from 'valibot';

export const orders = pgTable('orders', {
  id: bigint({ mode: 'bigint' }).primaryKey(),
  customer: text().notNull(),
  extra: jsonb(),
});

export const measurements = pgTable('measurements', {
  device: text().notNull(),
  celsius: doublePrecision(),
  measuredAt: timestamp('measured_at', { withTimezone: true }).notNull(),
});

// Numbers that JavaScript cannot hold exactly are bigint here.
const Measurement = v.object({
  device: v.pipe(v.string(), v.toLowerCase()),
  fahrenheit: v.number(),
  at: v.union([v.number(), v.bigint()]),
});

const sluice = createSluice({
  sinks: {
    // Members of other names are kept in `extra`, as a JSON object.
    orders: { table: orders, rest: 'extra' },
    measurements: {
      table: measurements,
      // Asked before a message is stored: its client hears at once what is wrong.
      schema: Measurement,
      // One function for the whole row. `json` is the message as the schema has made it.
      row: ({ json }) => ({
        device: json.device,
        celsius: (json.fahrenheit - 32) / 1.8,
        measuredAt: json.at,
      }),
    },
  },
});

export default sluice;
export class Shard extends sluice.Shard {}
