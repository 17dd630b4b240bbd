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
export { stores } from './stores.ts';
