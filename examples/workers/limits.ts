import { pgTable, text } from 'drizzle-orm/pg-core';
import { createSluice } from 'sluice/worker';

const notes = pgTable('notes', { text: text().notNull() });

const sluice = createSluice({
  sinks: { notes: { table: notes } },
  authorize: 'open',
  limits: {
    tenant: { messagesPerSecond: 5_000, connections: 200, outboxShare: 0.25 },
    producer: { messagesPerSecond: 500, bytesPerSecond: 100_000 },
    address: { connections: 50, requestsPerSecond: 20 },
  },
});

export default sluice;
export class Shard extends sluice.Shard {}
