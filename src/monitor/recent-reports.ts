/** The last minute of a shard's reports, from which the present rates and percentiles are made. In memory alone: bounded and lost without harm. */

import { type Buckets, bucketsSince, NO_BUCKETS } from './buckets.ts';
import { ACK_LEVELS, bucketsOf, sampleValue } from './report-samples.ts';
import { REPORT_MS, type ShardReport } from './shard-report.ts';

/** Rates are those of this long, where there are reports of it. */
const RATE_MS = 5_000;
/** Percentiles are those of this long. */
const SPREAD_MS = 60_000;
/** A report that is older than this says nothing of the present. */
const STALE_MS = 2.5 * REPORT_MS;

interface Counted {
  atMs: number;
  received: number;
  committed: number;
}

interface Spread {
  atMs: number;
  sinceMs: number;
  ack: Buckets;
  flush: Buckets;
}

export interface Recent {
  receivedPerSecond: number;
  committedPerSecond: number;
  ack: Buckets;
  flush: Buckets;
}

const NOTHING: Recent = { receivedPerSecond: 0, committedPerSecond: 0, ack: NO_BUCKETS, flush: NO_BUCKETS };

export class RecentReports {
  #counted: Counted[] = [];
  #spreads: Spread[] = [];

  add(report: ShardReport): void {
    const { counters, sentAtMs, sinceMs } = report;
    this.#counted.push({
      atMs: sentAtMs,
      received: sampleValue(counters, 'messages_received_total'),
      committed: sampleValue(counters, 'messages_committed_total'),
    });
    // One before the time that counts is kept: the difference to it is what is shown.
    while ((this.#counted[1]?.atMs ?? sentAtMs) < sentAtMs - RATE_MS) this.#counted.shift();
    const last = this.#spreads.at(-1);
    // Those of each second would be large, and say no more.
    if (last !== undefined && last.sinceMs === sinceMs && sentAtMs - last.atMs < REPORT_MS / 2) return;
    const ack = bucketsOf(report, 'ack_duration_seconds', ACK_LEVELS);
    this.#spreads.push({ atMs: sentAtMs, sinceMs, ack, flush: bucketsOf(report, 'flush_duration_seconds') });
    while ((this.#spreads[1]?.atMs ?? sentAtMs) < sentAtMs - SPREAD_MS) this.#spreads.shift();
  }

  /** @param latest the shard's latest report */
  at(nowMs: number, latest: ShardReport): Recent {
    if (nowMs - latest.sentAtMs > STALE_MS) return NOTHING;
    const first = this.#counted[0];
    const last = this.#counted.at(-1);
    const seconds = ((last?.atMs ?? 0) - (first?.atMs ?? 0)) / 1_000;
    const perSecond = (name: 'received' | 'committed'): number =>
      first === undefined || last === undefined || seconds <= 0
        ? 0
        : Math.max(0, last[name] - first[name]) / seconds;
    const before = this.#spreads.find(({ sinceMs }) => sinceMs === latest.sinceMs);
    const isFirst = before?.atMs === latest.sentAtMs;
    return {
      receivedPerSecond: perSecond('received'),
      committedPerSecond: perSecond('committed'),
      ack: bucketsSince(
        isFirst ? undefined : before?.ack,
        bucketsOf(latest, 'ack_duration_seconds', ACK_LEVELS),
      ),
      flush: bucketsSince(isFirst ? undefined : before?.flush, bucketsOf(latest, 'flush_duration_seconds')),
    };
  }
}
