import { pgTable, text } from 'drizzle-orm/pg-core';
import { type Authorize, createSluice, jwt, tickets, tokens } from 'sluice/worker';

const notes = pgTable('notes', { text: text().notNull() });

// Your own: it knows a request by whatever the request has. undefined means: somebody else may know it.
const partner: Authorize = (request) =>
  request.headers.get('x-partner') === 'acme' ? { tenant: 'acme', producers: ['press-*'] } : undefined;

const sluice = createSluice({
  sinks: { notes: { table: notes } },
  // Asked in this order, until one knows who it is.
  authorize: [
    jwt((env) => ({ secret: env.JWT_SECRET, audience: 'notes' })),
    tokens((env) => env.INGEST_TOKENS),
    tickets((env) => env.TICKET_SECRETS),
    partner,
  ],
});

export default sluice;
export class Shard extends sluice.Shard {}
