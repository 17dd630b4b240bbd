/**
 * What a shard does with the frames it receives. The shard itself only adapts the platform's events to this
 * interface; what is behind it runs anywhere.
 */

import type { RefusalCode } from '../protocol/frame.ts';
import type { FlusherStats } from './flusher.ts';
import type { HistogramSnapshot } from './latency-histogram.ts';

/** A producer as its shard knows it. */
export interface Producer {
  readonly name: string;
  /** The sequence that its next message gets. */
  nextSequence: number;
}

/** What became of a frame. */
export interface Receipt {
  /** Messages taken. */
  accepted: number;
  /** The frame that answers refusals, ready to be sent; undefined where all was taken. */
  errorFrame: string | undefined;
  /** True when the buffer had no room: the socket is to be closed. */
  isFull: boolean;
}

/** Figures of one shard since its object was last started. */
export interface IntakeStats extends FlusherStats {
  /** Messages accepted. Always `flushed + buffered`. */
  received: number;
  /** Messages accepted and not yet committed, and what they count for in the buffer's limit. */
  buffered: number;
  bufferedBytes: number;
  /** Messages refused, by reason. */
  refused: Partial<Record<RefusalCode, number>>;
  /** How long the batches took to be written. */
  latency: HistogramSnapshot;
}

export interface Intake {
  /** Takes a frame that arrived at `nowMs`. Synchronous: handlers interleave at every await, and order must hold. */
  receive(producer: Producer, frame: string | ArrayBuffer, nowMs: number): Receipt;
  /** True while messages wait for Postgres. */
  readonly isBusy: boolean;
  /** Share of the buffer in use, 0 to 1. */
  readonly fill: number;
  /** True while a batch is on its way to Postgres. */
  readonly isWriting: boolean;
  /** Tries to flush everything now, whatever its age and whatever failed before. */
  flush(): void;
  /** Resolves when nothing is buffered any more. */
  drained(): Promise<void>;
  stats(): IntakeStats;
}

/**
 * A producer that has just connected. Its sequences begin at the time of day in microseconds: one producer sends
 * less than a million messages a second for hours on end, so they grow over reconnects, hibernation and restarts of
 * the shard without any storage.
 */
export function startProducer(name: string, nowMs: number): Producer {
  return { name, nextSequence: nowMs * 1000 };
}
