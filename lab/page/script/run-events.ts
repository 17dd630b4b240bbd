/** What the events of a run say, and runs as the Worker lists them. */

import type { BenchResult } from '../../result.ts';
import type { RunStatus, StoredRun } from '../../run/run-store.ts';

export type { RunStatus, StoredRun };

/** A run with what it has shown so far, and the names of its suite's own files. */
export interface ShownRun extends StoredRun {
  result: BenchResult;
  files: string[];
}

export interface StateEvent {
  status: RunStatus;
  taken: number;
  total: number;
  /** Once the warm-up is over. */
  warmUpMs?: number;
}

export interface RepetitionEvent {
  taken: number;
  total: number;
  variant: string;
  rep: number;
  reps: number;
  perSecond: number;
  audit: { lost: number; duplicated: number } | null;
  broken?: string;
}

export interface RunProgressEvent {
  variant: string;
  rep: number;
  reps: number;
  done: number;
  total: number;
  steps: { taken: number; total: number };
}

export interface EndEvent {
  status: RunStatus;
  error?: string;
}

export function isUnderWay({ status }: { status: RunStatus }): boolean {
  return status === 'queued' || status === 'running';
}
