/** Figures for the tests of exporters. */

import type { NewFigures } from '../../../../src/monitor/exports/exporter.ts';
import type { ShardReport } from '../../../../src/monitor/shard-report.ts';
import { fullReport, fullSources } from '../full-report.ts';

export function newFigures(
  reports: readonly ShardReport[] = [fullReport()],
  parts: Partial<NewFigures> = {},
): NewFigures {
  return { ...fullSources(reports), version: '1.2.3', ...parts };
}
