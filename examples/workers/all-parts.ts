import { pgTable, text } from 'drizzle-orm/pg-core';
import { lab } from 'sluice/lab';
import { createSluice, stores } from 'sluice/worker';

const notes = pgTable('notes', { text: text().notNull() });
const sluice = createSluice({ sinks: { notes: { table: notes } }, stores, lab });

export default sluice;
export class Shard extends sluice.Shard {}
// Keeps what the shards report: /dashboard, /metrics and alerts. Bound as MONITOR.
export class Monitor extends sluice.Monitor {}
// Of the stores: /rpc, /subscribe, /append and others. Bound as NAMESPACE and REGISTRY.
export class Namespace extends sluice.Namespace {}
export class Registry extends sluice.Registry {}
// Of the lab: /bench. Bound as BENCH_SHARD, BENCH_OBJECT and LOAD_OBJECT.
export class BenchShard extends sluice.BenchShard {}
export class BenchObject extends sluice.BenchObject {}
export class LoadObject extends sluice.LoadObject {}
