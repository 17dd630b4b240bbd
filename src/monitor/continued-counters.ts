/**
 * Counters only grow, though a shard that was ended loses what it had counted since its storage was last written (DESIGN.md, "A
 * shard's totals"). Shown as it is, such a step back would pass for a counter that began again, and all of it be counted twice.
 */

import type { CounterName } from './metrics.ts';
import { sampleValue } from './report-samples.ts';
import type { Sample, ShardReport } from './shard-report.ts';

/**
 * A report whose counters are not below those of the one before it. Where the shard's storage was lost, or where it keeps no totals,
 * its counters have begun again, and stay as they are.
 */
export function continuedReport(before: ShardReport | undefined, report: ShardReport): ShardReport {
  if (before === undefined || !isSameStorage(before, report)) return report;
  const known = new Map(before.counters.map((sample) => [keyOf(sample), sample]));
  const counters: Sample<CounterName>[] = report.counters.map((sample) => {
    const key = keyOf(sample);
    const [, , earlier] = known.get(key) ?? sample;
    known.delete(key);
    const [name, label, value] = sample;
    return earlier > value ? [name, label, earlier] : sample;
  });
  // A label that was counted only since the storage was written.
  return { ...report, counters: [...counters, ...known.values()] };
}

// What is stored is known by positions of the outbox: it is exact whatever happened, and falls only with the storage itself.
function isSameStorage(before: ShardReport, report: ShardReport): boolean {
  const stored = sampleValue(before.counters, 'messages_stored_total');
  return stored > 0 && sampleValue(report.counters, 'messages_stored_total') >= stored;
}

function keyOf([name, label]: Sample): string {
  return `${name}|${label}`;
}
