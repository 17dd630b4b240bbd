/** The public surface of `sluice/worker`. */

export {
  createSluice,
  type DurableObjectClass,
  type LabClasses,
  type Sluice,
  type SluiceOptions,
  type SluicePart,
  type SluiceWorker,
  type StoreClasses,
} from './create-sluice.ts';
export type { SinkInput } from './sinks.ts';
/** A Durable Object's own SQLite, for the engines of the stores. */
export { DurableObjectSqlite } from './sqlite.ts';
export { stores } from './stores.ts';
