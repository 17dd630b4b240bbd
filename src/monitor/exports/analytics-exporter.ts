/** Writes figures to Workers Analytics Engine: one point for each shard that reports, once a minute. */

import { reportKey } from '../report-key.ts';
import type { ShardReport, StoredReport } from '../shard-report.ts';
import { type AnalyticsPoint, analyticsPoint } from './analytics-point.ts';
import type { ExportCounts, Exporter, NewFigures } from './exporter.ts';

/** How far apart the points of a shard are: each is billed. A shard's last word before it sleeps is written at once. */
export const ANALYTICS_MS = 60_000;
/** Points of one call: what Analytics Engine has taken of one invocation from the start. It takes more by now, and not everywhere. */
export const MAX_POINTS_AT_ONCE = 25;
/** Shards whose last point is known. */
const MAX_SHARDS = 2_048;

/** As the platform's `AnalyticsEngineDataset`. */
export interface AnalyticsDataset {
  writeDataPoint(point: AnalyticsPoint): void;
}

interface Written {
  report: ShardReport;
  atMs: number;
}

export class AnalyticsExporter implements Exporter {
  readonly name = 'analytics';
  readonly #dataset: AnalyticsDataset;
  readonly #counts: ExportCounts = { sent: 0, lost: 0 };
  /** The report of each shard's last point, the one that was written first in front. */
  readonly #written = new Map<string, Written>();
  /** Reports whose point is not due, or for which there was no room. */
  readonly #waiting = new Map<string, StoredReport>();

  /** @param known what the shards reported before the monitor was started: their points are taken to be written up to there */
  constructor(dataset: AnalyticsDataset, known: readonly StoredReport[]) {
    this.#dataset = dataset;
    for (const { report } of known)
      this.#written.set(reportKey(report), { report, atMs: Number.NEGATIVE_INFINITY });
  }

  get counts(): Readonly<ExportCounts> {
    return this.#counts;
  }

  async push({ nowMs, reports }: NewFigures): Promise<void> {
    for (const stored of reports) this.#waiting.set(reportKey(stored.report), stored);
    // Shards that are not seen again: what they have counted is in no point.
    for (const key of this.#waiting.keys()) if (this.#waiting.size > MAX_SHARDS) this.#waiting.delete(key);
    const due = [...this.#waiting]
      .map(([key, stored]) => ({ key, stored, before: this.#written.get(key) }))
      .filter(
        ({ stored, before }) => stored.report.isLast || nowMs - (before?.atMs ?? -Infinity) >= ANALYTICS_MS,
      )
      // Those that have waited for longest. What there is no room for is counted in a later point.
      .sort((a, b) => (a.before?.atMs ?? -Infinity) - (b.before?.atMs ?? -Infinity))
      .slice(0, MAX_POINTS_AT_ONCE);
    for (const { key, stored, before } of due) {
      this.#waiting.delete(key);
      this.#write(key, stored, before?.report, nowMs);
    }
  }

  #write(key: string, stored: StoredReport, before: ShardReport | undefined, nowMs: number): void {
    try {
      this.#dataset.writeDataPoint(analyticsPoint(before, stored));
      this.#counts.sent += 1;
    } catch {
      this.#counts.lost += 1;
    }
    this.#written.delete(key);
    this.#written.set(key, { report: stored.report, atMs: nowMs });
    const [first] = this.#written.keys();
    if (this.#written.size > MAX_SHARDS && first !== undefined) this.#written.delete(first);
  }
}
