/** What the alerts are made from. */

import type { DatabaseReport, StoredReport } from '../shard-report.ts';

export interface AlertInput {
  /** The latest report of each shard. */
  reports: readonly StoredReport[];
  /** The latest view of each database. */
  databases: readonly DatabaseReport[];
}

export type Samples = readonly (readonly [metric: string, label: string, value: number])[];

/** The sum of a metric over its labels, or over those that are meant; 0 where it is not there. */
export function sampleSum(samples: Samples, metric: string, isMeant?: (label: string) => boolean): number {
  let sum = 0;
  for (const [name, label, value] of samples)
    if (name === metric && (isMeant === undefined || isMeant(label))) sum += value;
  return sum;
}
