import { createSluice, tokens } from 'sluice/worker';
import { readings } from './schema';

// GET /ws/readings is a WebSocket: what comes in there becomes rows of the table `readings`.
const sluice = createSluice({
  sinks: { readings: { table: readings } },
  // Who may send: clients with a token of this secret. `npx sluice dev` lets everybody in.
  authorize: tokens((env) => env.INGEST_TOKENS),
});

export default sluice;

// The Durable Objects, bound in wrangler.toml: SHARD writes messages to Postgres, MONITOR is what /dashboard shows.
export class Shard extends sluice.Shard {}
export class Monitor extends sluice.Monitor {}
