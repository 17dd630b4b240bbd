/**
 * What the alerts remember of a shard's last minutes: enough for a slope, a share and a percentile. In memory only, and bounded: 31
 * samples of six numbers and two histograms. What has to outlive the object is in its tables.
 */

import { type Buckets, bucketsSince, percentileMs } from '../buckets.ts';
import type { HistogramSample, ShardReport, StoredReport } from '../shard-report.ts';
import { sampleSum } from './alert-input.ts';

/** How far back rates and slopes look. */
export const WINDOW_MS = 300_000;
/** Samples closer to each other than this say nothing new. */
const SPACING_MS = 9_500;
/** The shortest time that a slope or a share is made from. */
const MIN_SPAN_MS = 60_000;
/** Failures below which a share is not looked at: one of fifty is two percent, and no pattern. */
const MIN_FAILED = 10;
/** Acks below which a percentile is a single message. */
const MIN_ACKS = 20;
/** How long a histogram is kept before the next one takes its place. */
const HISTOGRAM_MS = 60_000;

/** What the last minutes say. Undefined: not known, as after a restart; then an alert stays as it is. */
export interface RecentFigures {
  /** When the queue is full at the rate of the last minutes; Infinity where it does not grow. */
  fullInMs: number | undefined;
  /** The share of messages that became dead letters or were refused for good, 0 to 1. */
  errorShare: number | undefined;
  failed: number;
  /** Of the level whose acks were slowest. */
  ackP99Ms: number | undefined;
}

interface Sample {
  atMs: number;
  bytesFill: number;
  messagesFill: number;
  received: number;
  failed: number;
}

/** Reasons that ask the client to come again: nothing is lost by them, and other rules tell of what causes them. */
export const TEMPORARY_REFUSALS = ['buffer_full', 'memory_full', 'rate_limited', 'over_credit'] as const;
const TEMPORARY: ReadonlySet<string> = new Set(TEMPORARY_REFUSALS);

export class ShardMemory {
  #samples: Sample[] = [];
  #sinceMs = 0;
  #reportedAtMs = Number.NEGATIVE_INFINITY;
  #older: Acks | undefined;
  #newer: Acks | undefined;
  #latest: Acks | undefined;

  /** Takes in a report; one that it has seen changes nothing. */
  note({ report, receivedAtMs }: StoredReport): void {
    if (receivedAtMs <= this.#reportedAtMs) return;
    this.#reportedAtMs = receivedAtMs;
    this.#noteAcks(report, receivedAtMs);
    const sample = sampleOf(report, receivedAtMs);
    const last = this.#samples.at(-1);
    // Storage that was lost begins to count from 0 again.
    if (last !== undefined && (sample.received < last.received || sample.failed < last.failed))
      this.#samples = [];
    else if (last !== undefined && sample.atMs - last.atMs < SPACING_MS) return;
    this.#samples.push(sample);
    while ((this.#samples[0] as Sample).atMs < receivedAtMs - WINDOW_MS) this.#samples.shift();
  }

  figures(nowMs: number): RecentFigures {
    // Nothing has come for as long as these figures look back: nothing has happened.
    if (nowMs - this.#reportedAtMs >= WINDOW_MS)
      return { fullInMs: Number.POSITIVE_INFINITY, errorShare: 0, failed: 0, ackP99Ms: 0 };
    return { ...this.#shares(), fullInMs: this.#fullInMs(), ackP99Ms: this.#ackP99Ms() };
  }

  #shares(): Pick<RecentFigures, 'errorShare' | 'failed'> {
    const [first, last] = this.#span();
    if (first === undefined || last === undefined) return { errorShare: undefined, failed: 0 };
    const failed = last.failed - first.failed;
    const received = Math.max(last.received - first.received, failed);
    return { failed, errorShare: failed < MIN_FAILED ? 0 : failed / received };
  }

  #fullInMs(): number | undefined {
    const [first, last] = this.#span();
    if (first === undefined || last === undefined) return undefined;
    return Math.min(
      timeToFull(this.#samples, (sample) => sample.bytesFill),
      timeToFull(this.#samples, (sample) => sample.messagesFill),
    );
  }

  #span(): [Sample?, Sample?] {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs - first.atMs < MIN_SPAN_MS) return [];
    return [first, last];
  }

  #noteAcks(report: ShardReport, atMs: number): void {
    // A new object counts from 0: everything in its histograms is new.
    if (report.sinceMs !== this.#sinceMs) {
      this.#sinceMs = report.sinceMs;
      this.#older = undefined;
      this.#newer = undefined;
    }
    this.#latest = { atMs, levels: acksOf(report.histograms) };
    if (this.#newer === undefined) {
      this.#newer = this.#latest;
    } else if (atMs - this.#newer.atMs >= HISTOGRAM_MS) {
      this.#older = this.#newer;
      this.#newer = this.#latest;
    }
  }

  // Between the latest histogram and one that is one to two minutes older: what was slow before is forgotten soon.
  #ackP99Ms(): number | undefined {
    const [latest, older] = [this.#latest, this.#older];
    if (latest === undefined || older === undefined) return undefined;
    let slowest = 0;
    for (const [level, histogram] of latest.levels) {
      const p99 = p99Between(older.levels.get(level), histogram);
      if (p99 > slowest) slowest = p99;
    }
    return slowest;
  }
}

interface Acks {
  atMs: number;
  levels: ReadonlyMap<string, Buckets>;
}

function acksOf(histograms: readonly HistogramSample[]): Map<string, Buckets> {
  const acks = histograms.filter(([metric]) => metric === 'ack_duration_seconds');
  return new Map(acks.map(([, level, histogram]) => [level, histogram]));
}

function p99Between(older: Buckets | undefined, newer: Buckets): number {
  const since = bucketsSince(older, newer);
  const count = since.counts.reduce((sum, one) => sum + one, 0);
  return count < MIN_ACKS ? 0 : (percentileMs(since, 0.99) ?? 0);
}

function sampleOf({ counters, gauges }: ShardReport, atMs: number): Sample {
  const share = (used: string, limit: string): number => {
    const most = sampleSum(gauges, limit);
    return most > 0 ? sampleSum(gauges, used) / most : 0;
  };
  return {
    atMs,
    bytesFill: share('queue_bytes', 'queue_limit_bytes'),
    messagesFill: share('queue_messages', 'queue_limit_messages'),
    received: sampleSum(counters, 'messages_received_total'),
    failed:
      sampleSum(counters, 'messages_dead_total') +
      sampleSum(counters, 'messages_refused_total', (reason) => !TEMPORARY.has(reason)),
  };
}

/** By the straight line that fits best, so that one burst is no trend. */
function timeToFull(samples: readonly Sample[], fillOf: (sample: Sample) => number): number {
  const count = samples.length;
  const last = samples.at(-1) as Sample;
  const ages = samples.map((sample) => sample.atMs - last.atMs);
  const fills = samples.map(fillOf);
  const middleAge = ages.reduce((sum, one) => sum + one, 0) / count;
  const middleFill = fills.reduce((sum, one) => sum + one, 0) / count;
  let both = 0;
  let square = 0;
  ages.forEach((age, at) => {
    both += (age - middleAge) * ((fills[at] as number) - middleFill);
    square += (age - middleAge) ** 2;
  });
  const perMs = both / square;
  return perMs > 0 ? Math.max(0, (1 - fillOf(last)) / perMs) : Number.POSITIVE_INFINITY;
}
