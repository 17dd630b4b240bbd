/**
 * The lanes of a shard: which there are, which one a producer's messages go to, and what all of them together do.
 *
 * What the storage holds decides which are opened, not today's options alone: lanes of the outbox that hold messages are
 * emptied, whatever the sink asks for now.
 */

import { ExponentialHistogram } from '../core/exponential-histogram.ts';
import type { Failpoints } from '../core/failpoints.ts';
import type { Sqlite } from '../database/sqlite.ts';
import type { LaneState } from '../outbox/lane-faults.ts';
import { closedLaneSums, type LaneSums } from '../outbox/lane-totals.ts';
import { MemoryLane } from '../outbox/memory-lane.ts';
import type { MissingChoice, MissingMessages } from '../outbox/missing-messages.ts';
import { OutboxLane } from '../outbox/outbox-lane.ts';
import { createOutboxTables, forgetSettledLanes, lanesInOutbox } from '../outbox/outbox-tables.ts';
import type { Producer } from '../outbox/producer.ts';
import type { ProducerRegistry } from '../outbox/producer-registry.ts';
import { shardOf } from '../protocol/producer.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { Sink } from '../sinks/sink.ts';
import { emptyIntakeStats } from './counting-intake.ts';
import { emptyFlusherStats, type FlusherStats } from './flusher-stats.ts';
import type { IntakeStats } from './intake.ts';
import { LaneWriter, type LaneWriterOptions } from './lane-writer.ts';

export interface LanesOptions extends Omit<LaneWriterOptions, 'batchBytes'> {
  sink: Sink;
  /** Names the shard among those that write to the same database. */
  shard: string;
  /** True where new messages go to the outbox. */
  hasOutbox: boolean;
  producers: ProducerRegistry;
  failpoints: Failpoints;
  /** A text that nobody else ever got. */
  randomId: () => string;
  /** True while a socket of the producer is open. */
  hasSession: (producer: Producer) => boolean;
  /** Called when a producer's `committed` has moved. */
  onCommitted: (producer: Producer) => void;
  /** The shard's figures, as JSON text. */
  counts: () => string;
  /** Called before a batch is settled. */
  onSettling: (batch: MessageBatch) => void;
  /** Called when memory holds another amount, but for what is gathered. */
  onHeld: () => void;
  /** True where a lane with so many bytes in memory may keep more there that are in its storage too. */
  mayKeep: (memoryBytes: number, laneBytes: number) => boolean;
}

export class Lanes {
  readonly #options: LanesOptions;
  readonly #hasOutbox: boolean;
  readonly #producers: ProducerRegistry;
  readonly #lanes: LaneWriter[] = [];
  /** Lanes that producers are assigned to; further ones are only emptied. */
  readonly #openLanes: number;
  /**
   * True while messages in memory wait for those that an outbox holds from before `durability` was set to `memory`. Those
   * are older, and have to be written first.
   */
  #isEmptyingOutbox = false;
  /** What lanes have dealt with that are not opened any more. */
  #closed: LaneSums = { stored: 0, dead: 0, rewritten: 0 };
  #resuming: Promise<unknown> = Promise.resolve();

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#hasOutbox = options.hasOutbox;
    this.#producers = options.producers;
    this.#openLanes = options.writing.plan.lanes;
    const { sqlite } = options;
    if (!this.#hasOutbox)
      for (let number = 0; number < this.#openLanes; number += 1) this.#openInMemory(number);
    if (sqlite !== undefined) this.#openOutbox(sqlite);
    if (!this.#hasOutbox && this.rows > 0) this.#holdMemory(true);
  }

  #openOutbox(sqlite: Sqlite): void {
    const lanesWithMessages = lanesInOutbox(sqlite);
    // One that an older version has left may lack a table.
    if (this.#hasOutbox || lanesWithMessages > 0) createOutboxTables(sqlite);
    const lanes = this.#hasOutbox ? Math.max(this.#openLanes, lanesWithMessages) : lanesWithMessages;
    forgetSettledLanes(sqlite, lanes);
    for (let number = 0; number < lanes; number += 1) this.#openDurable(sqlite, number);
    this.#closed = closedLaneSums(sqlite, lanes);
  }

  #openInMemory(number: number): void {
    const { onCommitted, onSettling, onHeld } = this.#options;
    this.#open(new MemoryLane(onCommitted, onSettling, onHeld), number);
  }

  #openDurable(sqlite: Sqlite, number: number): LaneWriter {
    const { sink, writing, failpoints, timers, randomId, hasSession, onCommitted } = this.#options;
    const { onSettling, onHeld, mayKeep, counts } = this.#options;
    const { maxBufferBytes, keepSettledMs, keepSettledBytes } = sink.options;
    const lane = new OutboxLane({
      sqlite,
      lane: number,
      producers: this.#producers,
      failpoints,
      // Beside messages that are only in memory, it has half of it.
      maxMemoryBytes: (this.#hasOutbox ? maxBufferBytes : maxBufferBytes / 2) / this.#openLanes,
      isFenced: writing.isExactlyOnce,
      keep: { keepMs: keepSettledMs, maxBytes: keepSettledBytes / this.#openLanes },
      now: () => timers.now(),
      randomId,
      counts,
      onCommitted,
      onSettling,
      onHeld,
      mayKeep,
      hasSession,
    });
    return this.#open(lane, number);
  }

  #open(lane: OutboxLane | MemoryLane, number: number): LaneWriter {
    const { sink, shard } = this.#options;
    const key = { table: sink.checkpointTable, sink: sink.name, shard, lane: number };
    const { batchBytes } = sink.options;
    const opened = new LaneWriter(lane, key, { ...this.#options, batchBytes });
    this.#lanes.push(opened);
    return opened;
  }

  /** All of them. The list may grow. */
  get all(): readonly LaneWriter[] {
    return this.#lanes;
  }

  /**
   * The lane of a producer. One with messages in another lane, as after a deployment with another number of connections, stays
   * there until they are settled: younger ones would be written before them, and be acked as if those were.
   */
  of(producer: Producer): LaneWriter {
    const { name, isTracked, pendingRuns, run } = producer;
    if (!this.#hasOutbox || !isTracked) producer.lane = this.#openLaneOf(name);
    else if (pendingRuns === 0 && run === undefined) {
      // What an older epoch has in a lane goes first.
      producer.lane = this.#producers.laneInUse(producer) ?? this.#openLaneOf(name);
    }
    return this.#lanes[producer.lane] as LaneWriter;
  }

  #openLaneOf(name: string): number {
    return this.#openLanes === 1 ? 0 : shardOf(name, this.#openLanes);
  }

  /**
   * A lane of the outbox where new messages stay in memory; messages in memory wait until it is empty. Undefined where new
   * messages go to the outbox anyway, or where there is no storage.
   */
  openDurableBesideMemory(): LaneWriter | undefined {
    const { sqlite } = this.#options;
    if (this.#hasOutbox || sqlite === undefined) return undefined;
    createOutboxTables(sqlite);
    this.#holdMemory(true);
    const open = this.#lanes.find(({ isDurable }) => isDurable);
    if (open !== undefined) return open;
    const opened = this.#openDurable(sqlite, 0);
    this.#closed = closedLaneSums(sqlite, 1);
    return opened;
  }

  #holdMemory(isHeld: boolean): void {
    this.#isEmptyingOutbox = isHeld;
    for (const { memory } of this.#lanes) if (memory !== undefined) memory.isHeld = isHeld;
  }

  /** Something was written: messages in memory go on once the outbox is empty that they waited for. */
  afterFlush(): void {
    if (!this.#isEmptyingOutbox || this.#lanes.some(({ outbox }) => (outbox?.rows ?? 0) > 0)) return;
    this.#holdMemory(false);
    for (const { memory, flusher } of this.#lanes) if (memory !== undefined) flusher.flush();
  }

  /** Makes durable what was gathered, and writes what is due of it. */
  store(): void {
    for (const lane of this.#lanes) lane.store();
  }

  /** Begins to write what was found at the start. */
  start(): void {
    for (const { flusher } of this.#lanes) flusher.notify();
  }

  /** Writes everything now, whatever its age and whatever failed before. */
  flush(): void {
    for (const { flusher } of this.#lanes) flusher.flush();
  }

  /** The same, but what has failed is not tried before its time. */
  flushSoon(): void {
    for (const { flusher } of this.#lanes) flusher.flushSoon();
  }

  /** Resolves when nothing is held any more. */
  async drained(): Promise<void> {
    while (this.isBusy) await Promise.all(this.#lanes.map(({ flusher }) => flusher.drained()));
  }

  /** An operator wants nothing to be written before `resume`. */
  pauseByOperator(): void {
    for (const { flusher } of this.#lanes) flusher.pauseByOperator();
  }

  /** An operator lets stopped or paused lanes go on, one after the other: a connection has room for one piece of work. */
  async resume(choice: MissingChoice | undefined): Promise<void> {
    const resumed = this.#resuming.then(async () => {
      for (const lane of this.#lanes) await lane.resume(choice);
    });
    this.#resuming = resumed.catch(() => {});
    await resumed;
  }

  /** What the database lacks, where a lane has stopped for that; the first of such lanes. */
  get missing(): MissingMessages | undefined {
    for (const { missing } of this.#lanes) if (missing !== undefined) return missing;
    return undefined;
  }

  /** What the lanes of the outbox have dealt with in all their lives, those that are not opened any more included. */
  get outboxSums(): LaneSums {
    const sums = { ...this.#closed };
    for (const { outbox } of this.#lanes) {
      if (outbox === undefined) continue;
      const { totals } = outbox;
      sums.stored += totals.stored;
      sums.dead += totals.dead;
      sums.rewritten += totals.rewritten;
    }
    return sums;
  }

  /** Text that was written to the outbox in this life. */
  get writtenBytes(): number {
    return this.#lanes.reduce((bytes, { outbox }) => bytes + (outbox?.writtenBytes ?? 0), 0);
  }

  /** When the oldest message was received that is not settled; undefined where none is. */
  get oldestAtMs(): number | undefined {
    let oldestMs: number | undefined;
    for (const { oldestAtMs } of this.#lanes)
      if (oldestAtMs !== undefined && !(oldestAtMs > (oldestMs ?? oldestAtMs))) oldestMs = oldestAtMs;
    return oldestMs;
  }

  /** Messages held. */
  get rows(): number {
    return this.#lanes.reduce((rows, { lane }) => rows + lane.rows, 0);
  }

  get isBusy(): boolean {
    return this.#lanes.some(({ lane }) => lane.rows > 0);
  }

  /** True once rows were committed since the start. */
  get hasCommitted(): boolean {
    return this.#lanes.some(({ flusher }) => flusher.stats.committed > 0);
  }

  /** True while a batch is on its way to Postgres. */
  get isWriting(): boolean {
    return this.#lanes.some(({ flusher }) => flusher.isWriting);
  }

  /** The worst state of any of them. */
  get state(): LaneState {
    return worstOf(this.#lanes.map(({ flusher }) => flusher.stats.state));
  }

  /** True where something is held, and all that is waits for an operator. */
  get isStopped(): boolean {
    const busy = this.#lanes.filter(({ lane }) => lane.rows > 0);
    return busy.length > 0 && busy.every(({ flusher }) => flusher.stats.state === 'stopped');
  }

  /** When the next try is due, of the first lane that has something to write; 0 where nothing holds one back. */
  get retryAtMs(): number {
    let retryAtMs = Number.POSITIVE_INFINITY;
    for (const { lane, flusher } of this.#lanes) {
      if (lane.rows > 0 && flusher.stats.state !== 'stopped')
        retryAtMs = Math.min(retryAtMs, flusher.retryAtMs);
    }
    return Number.isFinite(retryAtMs) ? retryAtMs : 0;
  }

  /** What the lanes have written and what failed, together. */
  get trouble(): FlusherStats {
    const sums = { ...emptyFlusherStats(), state: this.state };
    for (const { flusher } of this.#lanes) {
      const { stats } = flusher;
      sums.committed += stats.committed;
      sums.dead += stats.dead;
      sums.flushes += stats.flushes;
      if (stats.maxBatchRows !== null)
        sums.maxBatchRows = Math.min(sums.maxBatchRows ?? stats.maxBatchRows, stats.maxBatchRows);
      if (stats.troubleSinceMs !== null)
        sums.troubleSinceMs = Math.min(sums.troubleSinceMs ?? stats.troubleSinceMs, stats.troubleSinceMs);
      sums.failures += stats.failures;
      sums.failuresInARow = Math.max(sums.failuresInARow, stats.failuresInARow);
      // Beside a lane that waits for an operator, one that only tries again would hide the reason.
      const isTold = stats.state === sums.state && stats.lastErrorAtMs !== null;
      if (isTold && stats.lastErrorAtMs >= (sums.lastErrorAtMs ?? 0)) {
        sums.lastError = stats.lastError;
        sums.lastErrorCode = stats.lastErrorCode;
        sums.lastErrorAtMs = stats.lastErrorAtMs;
        sums.lastErrorDetails = stats.lastErrorDetails;
      }
    }
    return sums;
  }

  /** How long the batches took to be written, in seconds. */
  get flushLatency(): ExponentialHistogram {
    const latency = new ExponentialHistogram();
    for (const { flusher } of this.#lanes) latency.merge(flusher.latency.snapshot());
    return latency;
  }

  /** The figures of all lanes together; those of the shard are as if nothing had arrived. */
  stats(): IntakeStats {
    const sums = { ...emptyIntakeStats(), ...this.trouble };
    for (const { lane, outbox } of this.#lanes) {
      sums.buffered += lane.rows;
      sums.bufferedBytes += lane.bytes;
      sums.outboxBytes += lane.storedBytes;
      sums.keptBytes += outbox?.keptBytes ?? 0;
      sums.spilled += lane.spilledRows;
    }
    return { ...sums, latency: this.flushLatency.snapshot() };
  }
}

const STATES: readonly LaneState[] = ['running', 'retrying', 'paused', 'stopped'];

function worstOf(states: readonly LaneState[]): LaneState {
  return STATES[Math.max(0, ...states.map((state) => STATES.indexOf(state)))] as LaneState;
}
