import { pgTable, text } from 'drizzle-orm/pg-core';
import { createSluice } from 'sluice/worker';

const notes = pgTable('notes', { text: text().notNull() });

const sluice = createSluice({
  sinks: { notes: { table: notes } },
  authorize: 'open',
  alerts: {
    url: 'https://ingest.example.com',
    rules: {
      SluiceQueueOld: { above: 30 },
      SluiceAckSlow: { above: 0.5, for: '10m', severity: 'page' },
      SluiceDeadLetters: false,
    },
  },
});

export default sluice;
export class Shard extends sluice.Shard {}
export class Monitor extends sluice.Monitor {}
