/**
 * What a shard notes of its work for those who watch it: at most once for each frame, ack or batch, since the work itself has to
 * stay as fast as without. Who reports reads it (src/monitor/shard-figures.ts).
 */

import { ExponentialHistogram } from '../core/exponential-histogram.ts';
import { LabelledCounts } from '../core/labelled-counts.ts';
import { ConnectionWatch } from '../database/connection-watch.ts';
import { type MessageBatch, rowsOf } from '../sinks/message-batch.ts';

/** A batch is noted in so many parts, each with the age of the message in its middle. */
const AGE_PARTS = 8;

/** After so long without any event an object sleeps, or the platform does not count it as awake. */
const AWAKE_MS = 10_000;

export class Measurements {
  // Counters of this life.
  frames = 0;
  frameBytes = 0;
  socketsOpened = 0;
  sessionsFenced = 0;
  creditStalls = 0;
  requests = 0;
  serialisationMs = 0;
  reportsLost = 0;
  readonly retries = new LabelledCounts();
  readonly dead = new LabelledCounts();
  readonly socketsClosed = new LabelledCounts();
  // Times.
  lastCommitAtMs = 0;
  lastTryAtMs = 0;
  // Spread, in seconds but for `batchMessages`.
  readonly ackStored = new ExponentialHistogram();
  readonly ackCommitted = new ExponentialHistogram();
  readonly batchMessages = new ExponentialHistogram();
  readonly timerDelay = new ExponentialHistogram();
  readonly connections = new ConnectionWatch();
  #awakeMs = 0;
  #touchedAtMs: number;

  constructor(nowMs: number) {
    this.#touchedAtMs = nowMs;
  }

  /** An event has reached the object. */
  touch(nowMs: number): void {
    const restedMs = nowMs - this.#touchedAtMs;
    if (restedMs <= 0) return;
    this.#awakeMs += Math.min(restedMs, AWAKE_MS);
    this.#touchedAtMs = nowMs;
  }

  /** How long the object was at work up to the last event. */
  get awakeMs(): number {
    return this.#awakeMs;
  }

  frame(bytes: number, nowMs: number): void {
    this.frames += 1;
    this.frameBytes += bytes;
    this.touch(nowMs);
  }

  /** A client was told that so many of its messages are stored, the first of which came at `sinceMs`. */
  acked(messages: number, sinceMs: number, nowMs: number): void {
    this.ackStored.record((nowMs - sinceMs) / 1_000, messages);
  }

  /** Postgres has committed a batch: from there on its messages are acked as committed. */
  committed({ columns, from, to }: MessageBatch, nowMs: number): void {
    const rows = to - from;
    this.lastCommitAtMs = nowMs;
    this.batchMessages.record(rows);
    const part = Math.max(1, Math.ceil(rows / AGE_PARTS));
    for (let first = from; first < to; first += part) {
      const end = Math.min(to, first + part);
      const receivedAtMs = columns.receivedAtMs[(first + end) >> 1] as number;
      this.ackCommitted.record((nowMs - receivedAtMs) / 1_000, end - first);
    }
  }

  /** Messages become dead letters, by SQLSTATE or by who refused them. */
  deadLetter(batch: MessageBatch, reason: string): void {
    this.dead.add(reason, rowsOf(batch));
  }
}
