import { bigint, doublePrecision, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { fromPayload } from 'sluice';
import { createSluice } from 'sluice/worker';

export const trades = pgTable('trades', {
  symbol: text().notNull(),
  price: doublePrecision().notNull(),
  volume: bigint({ mode: 'bigint' }).notNull(),
});
export const quotes = pgTable('quotes', {
  symbol: text().notNull(),
  bid: doublePrecision(),
  ask: doublePrecision(),
});
export const received = pgTable('received', { message: jsonb().notNull() });

const sluice = createSluice({
  sinks: {
    market: {
      routes: {
        trades: { table: trades, when: ({ json }) => json.kind === 'trade' },
        quotes: { table: quotes, when: ({ json }) => json.kind === 'quote' },
        // Without `when`: every message.
        received: { table: received, columns: { message: fromPayload } },
      },
    },
  },
});

export default sluice;
export class Shard extends sluice.Shard {}
