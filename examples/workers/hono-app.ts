import { pgTable, text } from 'drizzle-orm/pg-core';
import { Hono } from 'hono';
import { createSluice } from 'sluice/worker';

const notes = pgTable('notes', { text: text().notNull() });
const sluice = createSluice({ sinks: { notes: { table: notes } } });

const app = new Hono();
app.get('/', (context) => context.text('The application'));
app.route('/sluice', sluice.router); // a socket is then at /sluice/ws/notes

export default app;
export class Shard extends sluice.Shard {}
