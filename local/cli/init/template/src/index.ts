import { createSluice, tokens } from 'sluice/worker';
import { readings } from './schema';

// GET /ws/readings is a WebSocket: what comes in there becomes rows of the table `readings`.
const sluice = createSluice({
  sinks: { readings: { table: readings } },
  // Who may send: clients with a token of this secret. `npx sluice dev` lets everybody in.
  authorize: tokens((env) => env.INGEST_TOKENS),
});

export default sluice;

// The Durable Object that takes messages in and writes them to Postgres. wrangler.toml binds it as SHARD.
export class Shard extends sluice.Shard {}

// The Durable Object that keeps what the shards report: /dashboard, /metrics and alerts. Bound as MONITOR.
export class Monitor extends sluice.Monitor {}
