/**
 * Tells exporters what shards report: every 10 s while reports come, and at once when a shard says that nothing more comes. So nothing is
 * left to be told later, and nothing waits for a time at which it would wake somebody up.
 */

import type { MonitorMetricName } from '../metrics.ts';
import { reportKey } from '../report-key.ts';
import { type DatabaseReport, REPORT_MS, type Sample, type StoredReport } from '../shard-report.ts';
import type { Exporter, NewFigures } from './exporter.ts';

/** Shards whose reports are kept until the next time. Further ones have theirs told at once. */
const MAX_PENDING = 256;

/** Reports come each 10 s, some a little earlier. */
const EXPORT_MS = REPORT_MS * 0.9;

export interface ExportsPorts {
  /** What the monitor says of itself: asked only when it is told. */
  about: (nowMs: number) => Pick<NewFigures, 'version' | 'own'>;
  /** An exporter failed in a way that it does not handle: a fault of the program. */
  onFault: (fault: unknown) => void;
}

export class Exports {
  readonly #exporters: readonly Exporter[];
  readonly #ports: ExportsPorts;
  readonly #reports = new Map<string, StoredReport>();
  readonly #databases = new Map<string, DatabaseReport>();
  #toldAtMs = Number.NEGATIVE_INFINITY;

  constructor(exporters: readonly Exporter[], ports: ExportsPorts) {
    this.#exporters = exporters;
    this.#ports = ports;
  }

  /** Takes the report of a shard. @returns what resolves when it is told, if it is told now; never rejects */
  async add(stored: StoredReport): Promise<void> {
    if (this.#exporters.length === 0) return;
    const { report, receivedAtMs: nowMs } = stored;
    this.#reports.set(reportKey(report), stored);
    if (report.database !== null) this.#databases.set(report.database.address, report.database);
    const isDue = report.isLast || nowMs - this.#toldAtMs >= EXPORT_MS || this.#reports.size >= MAX_PENDING;
    if (!isDue) return;
    this.#toldAtMs = nowMs;
    const figures = {
      nowMs,
      reports: [...this.#reports.values()],
      databases: [...this.#databases.values()],
      ...this.#ports.about(nowMs),
    };
    this.#reports.clear();
    this.#databases.clear();
    await Promise.all(this.#exporters.map((exporter) => this.#tell(exporter, figures)));
  }

  async #tell(exporter: Exporter, figures: NewFigures): Promise<void> {
    try {
      await exporter.push(figures);
    } catch (fault) {
      this.#ports.onFault(fault);
    }
  }

  /** For the metrics of the monitor. */
  samples(): Sample<MonitorMetricName>[] {
    return this.#exporters.flatMap(({ name, counts }) => [
      ['export_points_sent_total', name, counts.sent] as const,
      ['export_points_lost_total', name, counts.lost] as const,
    ]);
  }
}
