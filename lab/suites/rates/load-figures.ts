/** Figures, histograms and warnings of one load of the suite `rates`. */

import { errorText } from '../../../src/core/errors.ts';
import type { IntakeStats } from '../../../src/ingest/intake.ts';
import { flushLatency, latencyRecord } from '../../measure/latency-record.ts';
import type { HistogramRecord, Warning } from '../../result.ts';
import type { Variant } from '../../suite.ts';
import type { ScheduledReport } from './scheduled-load.ts';

/** Beyond it, the event loop of the sender is what is measured. */
const BOUND_LOOP_DELAY_MS = 20;

/** What one load came to, of either kind. */
export interface Load {
  run: string;
  scheduled: ScheduledReport;
  makingUs: number | null;
  loopDelayP99Ms: number | null;
  /** Why the first message failed. */
  failure: unknown;
  shards: IntakeStats[];
}

/** The histograms, without those in which nothing was measured. */
export function histogramsOf({ scheduled, shards }: Load): Record<string, HistogramRecord> {
  const records = {
    due: scheduled.sinceDue,
    sent: scheduled.sinceSent,
    flush: latencyRecord(flushLatency(shards)),
  };
  return Object.fromEntries(
    Object.entries(records).flatMap(([name, record]) =>
      record === undefined || record.count === 0 ? [] : [[name, record]],
    ),
  );
}

/** A latency in milliseconds; null where nothing was measured. */
export function msOf(
  record: ScheduledReport['sinceDue'],
  figure: 'p50Us' | 'p99Us' | 'maxUs',
): number | null {
  return record.count === 0 ? null : record[figure] / 1000;
}

/** Bytes in megabytes of 2^20. */
export function megabytes(bytes: number | null): number | null {
  return bytes === null ? null : bytes / 2 ** 20;
}

/** Why a step broke, with the first failure where messages failed. */
export function withReason(broken: string, failure: unknown): string {
  return failure === undefined || !broken.includes('failed') ? broken : `${broken} (${errorText(failure)})`;
}

/** Says where the sender itself was late. */
export function warningsOf({ name }: Variant, loopDelayP99Ms: number | null): Warning[] {
  if (loopDelayP99Ms === null || loopDelayP99Ms <= BOUND_LOOP_DELAY_MS) return [];
  return [
    {
      code: 'client_bound',
      where: name,
      text: `The event loop of the process that sends was up to ${Math.round(loopDelayP99Ms)} ms late (p99): part of the latency comes from it. Give it another machine, or a lower rate.`,
    },
  ];
}
