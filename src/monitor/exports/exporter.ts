/** Who carries figures elsewhere. */

import type { MonitorMetricName } from '../metrics.ts';
import type { DatabaseReport, Sample, StoredReport } from '../shard-report.ts';

/** What is new since the last time, and what the monitor says of itself. */
export interface NewFigures {
  nowMs: number;
  version: string;
  /** The latest report of each shard that has reported since. */
  reports: readonly StoredReport[];
  databases: readonly DatabaseReport[];
  own: readonly Sample<MonitorMetricName>[];
}

/** Since the exporter was started. */
export interface ExportCounts {
  sent: number;
  /** Points that the receiver did not want, or that could not be brought to it. */
  lost: number;
}

export interface Exporter {
  /** For the label of the metrics about it: `otlp`, `analytics`. */
  readonly name: string;
  readonly counts: Readonly<ExportCounts>;
  /** Takes figures, at once and in bounded memory. Resolves when they are sent or given up; never rejects. */
  push(figures: NewFigures): Promise<void>;
}
