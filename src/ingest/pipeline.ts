/** From frames to Postgres, for one shard: decode, number, buffer, flush. */

import type { Connection } from '../database/connection.ts';
import { ConnectionSlot } from '../database/connection-slot.ts';
import { MAX_FRAME_BYTES } from '../limits.ts';
import {
  type DecodedFrame,
  decodeFrame,
  encodeErrorFrame,
  type FrameLimits,
  type RefusalCode,
} from '../protocol/frame.ts';
import { shardOf } from '../protocol/producer.ts';
import type { Sink } from '../sink.ts';
import { WRITERS } from '../writers/writers.ts';
import { emptyFlusherStats, Flusher } from './flusher.ts';
import { FrameHold } from './frame-hold.ts';
import type { Intake, IntakeStats, Producer, Receipt } from './intake.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { MESSAGE_OVERHEAD_BYTES, MemoryBuffer, type MessageBuffer } from './message-buffer.ts';
import type { Timers } from './timers.ts';

export interface PipelineOptions {
  sink: Sink;
  openConnection: () => Promise<Connection>;
  timers: Timers;
  /** A number from 0 to below 1. */
  random: () => number;
  /** Called after each batch that was written or failed. */
  onProgress?: () => void;
  /** Does some work while no frames are delivered. Used for the writes of a shard whose buffer fills up. */
  holdFrames?: (work: () => Promise<void>) => Promise<void>;
}

interface Lane {
  buffer: MessageBuffer;
  flusher: Flusher;
}

export class Pipeline implements Intake {
  readonly #sink: Sink;
  readonly #frameLimits: FrameLimits;
  readonly #lanes: Lane[];
  readonly #refused: Partial<Record<RefusalCode, number>> = {};
  #received = 0;

  constructor({ sink, openConnection, timers, random, onProgress, holdFrames }: PipelineOptions) {
    this.#sink = sink;
    this.#frameLimits = { maxMessageBytes: sink.options.maxMessageBytes, maxFrameBytes: MAX_FRAME_BYTES };
    const writer = WRITERS[sink.options.writer];
    const plan = writer.plan(sink.options);
    const hold =
      holdFrames === undefined ? undefined : new FrameHold({ holdFrames, fill: () => this.fill, timers });
    this.#lanes = Array.from({ length: plan.lanes }, () => {
      const buffer = new MemoryBuffer();
      const workers = Array.from({ length: plan.workersPerLane }, () => ({
        slot: new ConnectionSlot({ open: openConnection, timers }),
        prepare: writer.create(sink),
      }));
      const flusher = new Flusher({
        buffer,
        prepare: (batch, index) => {
          const { slot, prepare } = workers[index] as (typeof workers)[number];
          const write = prepare(batch);
          const send = (): Promise<void> => slot.use(write);
          return () => (hold === undefined ? send() : hold.run(send));
        },
        triggerRows: plan.triggerRows,
        maxRows: plan.maxRows,
        batchBytes: sink.options.batchBytes,
        lingerMs: plan.lingerMs,
        workers: plan.workersPerLane,
        timers,
        random,
        ...(onProgress === undefined ? {} : { onProgress }),
      });
      return { buffer, flusher };
    });
  }

  receive(producer: Producer, frame: string | ArrayBuffer, nowMs: number): Receipt {
    const decoded = decodeFrame(frame, this.#frameLimits);
    const { payloads, plain, refusedCount } = decoded;
    if (refusedCount > 0) this.#countRefusals(decoded);
    if (payloads.length > 0) {
      if (!this.#hasRoomFor(payloads)) return this.#refuseFrame(payloads, refusedCount);
      const { buffer, flusher } = this.#laneOf(producer.name);
      buffer.append({
        producer: producer.name,
        firstSequence: producer.nextSequence,
        payloads,
        plain,
        receivedAtMs: nowMs,
      });
      producer.nextSequence += payloads.length;
      this.#received += payloads.length;
      flusher.notify();
    }
    const errorFrame =
      refusedCount === 0 ? undefined : encodeErrorFrame(decoded.refusals, refusedCount, this.#frameLimits);
    return { accepted: payloads.length, errorFrame, isFull: false };
  }

  #countRefusals({ refusals, refusedCount }: DecodedFrame): void {
    for (const { code } of refusals) this.#countRefused(code, 1);
    // Refusals beyond those spelled out are counted under the last reason given, so that the sums hold.
    const unnamed = refusedCount - refusals.length;
    if (unnamed > 0) this.#countRefused(refusals.at(-1)?.code ?? 'invalid_json', unnamed);
  }

  #refuseFrame(payloads: readonly string[], refusedCount: number): Receipt {
    // A frame that the empty buffer could not hold will never fit: "try again later" would be a lie.
    const isFull = bufferBytesOf(payloads) <= this.#sink.options.maxBufferBytes;
    const code = isFull ? 'buffer_full' : 'frame_too_large';
    this.#countRefused(code, payloads.length);
    const errorFrame = encodeErrorFrame(
      [{ line: 0, code }],
      refusedCount + payloads.length,
      this.#frameLimits,
    );
    return { accepted: 0, errorFrame, isFull };
  }

  get isBusy(): boolean {
    return this.#lanes.some(({ buffer }) => buffer.rows > 0);
  }

  get isWriting(): boolean {
    return this.#lanes.some(({ flusher }) => flusher.isWriting);
  }

  get fill(): number {
    return this.#bufferedBytes() / this.#sink.options.maxBufferBytes;
  }

  flush(): void {
    for (const { flusher } of this.#lanes) flusher.flush();
  }

  async drained(): Promise<void> {
    while (this.isBusy) await Promise.all(this.#lanes.map(({ flusher }) => flusher.drained()));
  }

  stats(): IntakeStats {
    const latency = new LatencyHistogram();
    const sums = emptyFlusherStats();
    for (const { flusher } of this.#lanes) {
      const { stats } = flusher;
      latency.merge(flusher.latency.snapshot());
      sums.flushed += stats.flushed;
      sums.flushes += stats.flushes;
      sums.failures += stats.failures;
      sums.failuresInARow = Math.max(sums.failuresInARow, stats.failuresInARow);
      if (stats.lastErrorAtMs !== null && stats.lastErrorAtMs >= (sums.lastErrorAtMs ?? 0)) {
        sums.lastError = stats.lastError;
        sums.lastErrorAtMs = stats.lastErrorAtMs;
      }
    }
    return {
      ...sums,
      received: this.#received,
      buffered: this.#lanes.reduce((rows, { buffer }) => rows + buffer.rows, 0),
      bufferedBytes: this.#bufferedBytes(),
      refused: { ...this.#refused },
      latency: latency.snapshot(),
    };
  }

  #laneOf(producer: string): Lane {
    return this.#lanes[this.#lanes.length === 1 ? 0 : shardOf(producer, this.#lanes.length)] as Lane;
  }

  #bufferedBytes(): number {
    let bytes = 0;
    for (const { buffer } of this.#lanes) bytes += buffer.bytes;
    return bytes;
  }

  #hasRoomFor(payloads: readonly string[]): boolean {
    return this.#bufferedBytes() + bufferBytesOf(payloads) <= this.#sink.options.maxBufferBytes;
  }

  #countRefused(code: RefusalCode, count: number): void {
    this.#refused[code] = (this.#refused[code] ?? 0) + count;
  }
}

/** What messages count for in the buffer's limit. */
function bufferBytesOf(payloads: readonly string[]): number {
  let bytes = payloads.length * MESSAGE_OVERHEAD_BYTES;
  for (const payload of payloads) bytes += payload.length;
  return bytes;
}
