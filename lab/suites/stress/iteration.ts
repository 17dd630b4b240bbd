/** An iteration as the reports show it, and how it is found in a result. */

import type { BenchResult, RepRecord, VariantResult } from '../../result.ts';
import { median } from '../../statistics/median.ts';

/** Words of the Postgres stress test; `FAIL` is that of the mode `async`. */
export const STATUSES = ['OK', 'FAIL_WRITE', 'FAIL_READ', 'FAIL'] as const;
export type IterationStatus = (typeof STATUSES)[number];

/** The figures of an iteration, as metrics of a repetition. Times in seconds. Null where the platform does not tell. */
export interface IterationFigures {
  iteration: number;
  epochs: number;
  concurrency: number;
  writeSeconds: number;
  readSeconds: number;
  /** Parts of `writeSeconds` and `readSeconds` in mode `sync`; the rest of them is the database's. */
  generateSeconds: number;
  encodeSeconds: number;
  decodeSeconds: number;
  successWrites: number;
  failedWrites: number;
  successReads: number;
  failedReads: number;
  /** One encoded record. */
  clientPayloadBytes: number;
  /** `pg_column_size` of the payload and of the row. */
  dbPayloadBytes: number;
  dbRowBytes: number;
  /** `pg_total_relation_size`. */
  dbTableBytes: number;
  writePeakBytes: number | null;
  readPeakBytes: number | null;
  writeRssBytes: number | null;
  readRssBytes: number | null;
}

export interface Iteration extends IterationFigures {
  status: IterationStatus;
  /** Empty where there was none. */
  error: string;
}

export function totalSeconds({ writeSeconds, readSeconds }: IterationFigures): number {
  return writeSeconds + readSeconds;
}

/** Epochs of all rows that were written, per second of writing and reading. */
export function epochsPerSecond(iteration: Iteration, isAsync: boolean): number {
  const seconds = totalSeconds(iteration);
  if (seconds <= 0) return 0;
  return ((isAsync ? iteration.successWrites : 1) * iteration.epochs) / seconds;
}

/** How a step of the ladder says that it broke: the status, and the error that it came from. */
export function brokenText(status: IterationStatus, error: string): string {
  return `${status}: ${error}`;
}

function readBroken(broken: string): Pick<Iteration, 'status' | 'error'> {
  const [word = ''] = broken.split(':', 1);
  const status = STATUSES.find((known) => known === word);
  return status === undefined
    ? { status: 'FAIL', error: broken }
    : { status, error: broken.slice(word.length + 1).trim() };
}

/**
 * The iterations of a run, one for each size. With several repetitions the figures are medians; an iteration that
 * failed in one of them failed, and is shown as it was there.
 */
export function iterationsOf({ variants }: Pick<BenchResult, 'variants'>): Iteration[] {
  return variants.filter(({ role }) => role === 'measured').flatMap(iterationOf);
}

function iterationOf({ reps }: VariantResult): Iteration[] {
  const broken = reps.find((rep) => rep.broken !== undefined);
  if (broken?.broken !== undefined) return [{ ...figuresOf([broken]), ...readBroken(broken.broken) }];
  return reps.length === 0 ? [] : [{ ...figuresOf(reps), status: 'OK', error: '' }];
}

function figuresOf(reps: readonly RepRecord[]): IterationFigures {
  const names = new Set(reps.flatMap(({ metrics }) => Object.keys(metrics)));
  const figures: Record<string, number | null> = {};
  for (const name of names) {
    const values = reps.flatMap(({ metrics }) => metrics[name] ?? []);
    figures[name] = values.length === 0 ? null : median(values);
  }
  return figures as unknown as IterationFigures;
}
