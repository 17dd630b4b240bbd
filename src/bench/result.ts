/** The result of a bench run as data: what the JSON file holds, and all that reports are made from. */

import type { JudgedTarget } from './targets.ts';

/** What a repetition proved about its rows. */
export interface Audit {
  /** Messages sent. */
  sent: number;
  /** Messages that were answered with an error frame. */
  refused: number;
  /** Rows found. */
  found: number;
  /** Messages sent, not refused, and not found. */
  lost: number;
  /** Rows beyond the first of a message, and rows that nobody sent. */
  duplicated: number;
  /** Rows whose message was sent before the message of an earlier row of the same producer. */
  outOfOrder: number;
}

/** One repetition of one variant. */
export interface RepResult {
  units: number;
  elapsedMs: number;
  /** Further figures by name; null where there is none. */
  metrics: Record<string, number | null>;
  /** Null for floors that leave no rows. */
  audit: Audit | null;
}

export interface VariantResult {
  name: string;
  role: 'measured' | 'floor';
  description: string;
  /** What else tells it from the others: column titles and texts. */
  labels?: Readonly<Record<string, string>>;
  /** Floors that it is shown as a multiple of, by the titles of their columns. */
  floors?: Readonly<Record<string, string>>;
  reps: (RepResult & { perSecond: number; order: number })[];
  summary: {
    perSecond: Spread;
    elapsedMs: Spread;
    /** Medians of the metrics over the repetitions that have them. */
    metrics: Record<string, number | null>;
    /** Sums over all repetitions. */
    audit: Audit | null;
  };
}

/** A median and the extremes it lies between. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface BenchResult {
  schemaVersion: 1;
  suite: string;
  title: string;
  unit: string;
  /** `invalid`: a repetition lost or doubled messages, so no figure of this run counts. */
  state: 'complete' | 'aborted' | 'invalid';
  startedAt: string;
  durationMs: number;
  tool: Record<string, string>;
  machine: Record<string, string | number>;
  database: Record<string, string>;
  config: Record<string, unknown>;
  variants: VariantResult[];
  /** What the suite demands, and whether it was met; only for suites that demand something. */
  targets?: JudgedTarget[];
  notes: string[];
}

/**
 * True where no message was lost and none doubled. The order of rows is judged for suites that promise it; of the
 * others, not every writer does, and it is only shown.
 */
export function passes(audit: Audit, { keepsOrder = false }: { keepsOrder?: boolean } = {}): boolean {
  return audit.lost === 0 && audit.duplicated === 0 && (!keepsOrder || audit.outOfOrder === 0);
}
