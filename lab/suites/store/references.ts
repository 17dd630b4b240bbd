/**
 * The figures that the store is compared with, as given: those that EventoDB published, and those that it only aimed at.
 * They were taken on another machine, so they are a bar to clear and no comparison.
 */

/** eventodb-hq/eventodb, `golang/internal/store/PERFORMANCE.md`: M3 Ultra, Go, one operation after another. */
export const REFERENCE_SOURCE =
  'eventodb-hq/eventodb, golang/internal/store/PERFORMANCE.md (M3 Ultra); its Postgres figures are targets that were never measured';

/** What the reference has for an engine, in microseconds for one operation. */
export interface Reference {
  /** Write one message to a new stream. */
  write: number;
  /** Read 10 of a stream of 100. */
  read: number;
  /** Read a category of 100. */
  category: number;
  kind: 'measured' | 'target';
}

export const REFERENCES: Readonly<Record<'memory' | 'file' | 'postgres', Reference>> = {
  memory: { write: 22, read: 30, category: 159, kind: 'measured' },
  file: { write: 329, read: 40, category: 169, kind: 'measured' },
  postgres: { write: 10_000, read: 15_000, category: 50_000, kind: 'target' },
};
