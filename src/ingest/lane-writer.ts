/** One lane of a shard on its way to Postgres: its queue, its flusher, and how its batches are sent. */

import { isSluiceError } from '../core/errors.ts';
import type { Failpoints } from '../core/failpoints.ts';
import type { Timers } from '../core/timers.ts';
import type { Connection } from '../database/connection.ts';
import { ConnectionSlot } from '../database/connection-slot.ts';
import { type FaultClass, faultClassOf } from '../database/fault-class.ts';
import { faultKindOf } from '../database/fault-kind.ts';
import type { Sqlite } from '../database/sqlite.ts';
import type { DeadLetters } from '../outbox/dead-letters.ts';
import type { Lane } from '../outbox/lane.ts';
import { readLaneFault, saveLaneFault } from '../outbox/lane-faults.ts';
import { MemoryLane } from '../outbox/memory-lane.ts';
import type { MissingChoice, MissingMessages } from '../outbox/missing-messages.ts';
import type { OutboxLane } from '../outbox/outbox-lane.ts';
import { type Refusal, refusalOf } from '../outbox/refusal.ts';
import { type MessageBatch, messageAt } from '../sinks/message-batch.ts';
import type { LaneKey } from '../writers/checkpoint-survey.ts';
import type { Write } from '../writers/writer.ts';
import type { Writing } from '../writers/writers.ts';
import { FencedWriter } from './fenced-writer.ts';
import type { FlushFault } from './flush-faults.ts';
import { Flusher } from './flusher.ts';
import type { FlusherOptions, WriteEnd } from './flusher-options.ts';
import { GoodRows } from './good-rows.ts';
import type { InputGateHold } from './input-gate-hold.ts';
import { classOf, LaneIsolation, prepareRows, type Worker } from './lane-isolation.ts';
import type { Measurements } from './measurements.ts';
import { UnfencedWriter, writeUncounted } from './unfenced-writer.ts';

/** What all lanes of a shard have in common. */
export interface LaneWriterOptions {
  writing: Writing;
  /** The most that one batch holds, and waiting bytes that trigger a flush. */
  batchBytes: number;
  openConnection: () => Promise<Connection>;
  timers: Timers;
  measured: Measurements;
  /** A number from 0 to below 1. */
  random: () => number;
  /** The shard's storage. Missing: messages wait in memory only. */
  sqlite: Sqlite | undefined;
  /** Where messages go that Postgres refuses for their content. Missing: their batch is tried for ever. */
  deadLetters: DeadLetters | undefined;
  failpoints: Failpoints;
  /** Lets writes run while no frames are delivered. */
  hold: InputGateHold | undefined;
  /** Called when the storage cannot be written. */
  failStorage: (error: unknown) => void;
  /** Called when a message has become a dead letter. */
  onDeadLetter: (producer: string, epoch: number, sequence: number, refusal: Refusal) => void;
  /** Called when messages that had been committed are to be written again. */
  onRewritten: (messages: number) => void;
  /** Called after each batch that was written or failed. */
  onProgress: () => void;
}

export class LaneWriter {
  readonly lane: Lane;
  readonly flusher: Flusher;
  /** True where the lane is one of the outbox. */
  readonly isDurable: boolean;
  /** Where it is not. */
  readonly memory: MemoryLane | undefined;
  /** Where it is. */
  readonly outbox: OutboxLane | undefined;
  readonly #key: LaneKey;
  readonly #options: LaneWriterOptions;
  readonly #slots: readonly ConnectionSlot[];
  /** Where it writes exactly once. */
  readonly #fenced: FencedWriter | undefined;

  /** @param key the lane's number in it is that among the lanes of its kind */
  constructor(lane: OutboxLane | MemoryLane, key: LaneKey, options: LaneWriterOptions) {
    this.lane = lane;
    this.#key = key;
    this.#options = options;
    this.memory = lane instanceof MemoryLane ? lane : undefined;
    this.outbox = lane instanceof MemoryLane ? undefined : lane;
    this.isDurable = this.outbox !== undefined;
    const { writing, openConnection, timers, hold, measured } = options;
    const workers = Array.from({ length: writing.plan.workersPerLane }, () => ({
      slot: new ConnectionSlot({ open: openConnection, timers, watch: measured.connections }),
      prepare: writing.create(),
    }));
    this.#slots = workers.map(({ slot }) => slot);
    this.#fenced = this.#fence((workers[0] as Worker).slot);
    const sender = this.#sender();
    const { outbox } = this;
    const good = new GoodRows(() => outbox?.lastCommitted() ?? []);
    const prepare = (batch: MessageBatch, index: number): (() => Promise<WriteEnd>) => {
      const worker = workers[index] as Worker;
      const send = sender(batch, prepareRows(worker.prepare, batch), worker.slot);
      return hold === undefined ? send : () => hold.run(send);
    };
    const aids = new LaneIsolation({
      writing,
      fenced: this.#fenced,
      hasOutbox: this.outbox !== undefined,
      good,
      waiting: (rows) => this.flusher.peek(rows),
      deadLetters: options.deadLetters,
      hold,
    });
    this.flusher = this.#flusher({
      prepare,
      isolation: (index, failuresInARow) => aids.of(workers[index] as Worker, failuresInARow),
      onCommitted: (batch) => good.note(batch),
    });
  }

  #fence(slot: ConnectionSlot): FencedWriter | undefined {
    const { writing, sqlite, failpoints, failStorage } = this.#options;
    if (this.outbox === undefined || !writing.isExactlyOnce) return undefined;
    const { outbox } = this;
    return new FencedWriter({
      outbox,
      key: this.#key,
      sqlite: sqlite as Sqlite,
      slot,
      failpoints,
      failStorage,
    });
  }

  /** How a batch is sent. */
  #sender(): (batch: MessageBatch, write: Write, slot: ConnectionSlot) => () => Promise<WriteEnd> {
    const fenced = this.#fenced;
    if (fenced !== undefined) return (batch, write) => fenced.prepare(batch, write);
    if (this.outbox === undefined) return (_, write, slot) => () => writeUncounted(slot, write);
    const { failStorage } = this.#options;
    const unfenced = new UnfencedWriter({ outbox: this.outbox, key: this.#key, failStorage });
    return (_, write, slot) => unfenced.prepare(write, slot);
  }

  #flusher({
    isolation,
    ...given
  }: Pick<FlusherOptions, 'prepare' | 'onCommitted'> & Required<Pick<FlusherOptions, 'isolation'>>): Flusher {
    const { writing, batchBytes, timers, random, sqlite, deadLetters, onProgress, failStorage, measured } =
      this.#options;
    const { plan } = writing;
    const { lane: number } = this.#key;
    return new Flusher({
      buffer: this.lane,
      ...given,
      // Where nothing can become a dead letter, nothing is looked for.
      classify: (error, failuresInARow) =>
        deadLetters === undefined
          ? stopOr(error, faultClassOf)
          : stopOr(error, (fault) => classOf(faultKindOf(fault, writing.columns), failuresInARow)),
      ...(deadLetters === undefined
        ? {}
        : {
            deadLetter: (message, error) => this.#deadLetter(deadLetters, message, error),
            isolation,
          }),
      triggerRows: plan.triggerRows,
      maxRows: plan.maxRows,
      batchBytes,
      lingerMs: plan.lingerMs,
      workers: plan.workersPerLane,
      timers,
      random,
      measured,
      ...(this.outbox === undefined
        ? {}
        : {
            fault: readLaneFault(sqlite as Sqlite, number),
            onFault: (fault) => saveLaneFault(sqlite as Sqlite, number, fault),
          }),
      onProgress,
      onBufferFailure: failStorage,
    });
  }

  #deadLetter(deadLetters: DeadLetters, message: MessageBatch, error: unknown): boolean {
    const { timers, onDeadLetter, measured } = this.#options;
    const refused = messageAt(message.columns, message.from);
    const refusal = refusalOf(error);
    if (!deadLetters.add({ ...refused, ...refusal, failedAtMs: timers.now() })) return false;
    measured.deadLetter(message, refusal.sqlState ?? refusal.by ?? 'unknown');
    // In the same step of storage: the message is among the dead letters, or still in the outbox.
    this.lane.settleAsDead(message);
    onDeadLetter(refused.producer, refused.epoch, refused.sequence, refusal);
    return true;
  }

  /** When its oldest message was received; undefined where it has none. */
  get oldestAtMs(): number | undefined {
    if (this.outbox !== undefined) return this.outbox.oldestAtMs;
    return this.flusher.oldestOnItsWayMs ?? this.lane.oldestWaitingAtMs;
  }

  /** Asks something over a connection that is open and idle; undefined where none is. */
  askAside<Result>(
    ask: (connection: Connection) => PromiseLike<Result>,
    timeLimitMs: number,
  ): Promise<Result> | undefined {
    for (const slot of this.#slots) {
      const asked = slot.useAside(ask, timeLimitMs);
      if (asked !== undefined) return asked;
    }
    return undefined;
  }

  /** Makes durable what was gathered, and writes it when it is due. */
  store(): void {
    if (this.lane.gatheredRows === 0) return;
    this.lane.store();
    this.flusher.notify();
  }

  /** The same, where nobody else deals with a storage that cannot be written. */
  storeOrFail(): void {
    try {
      this.store();
    } catch (error) {
      this.#options.failStorage(error);
    }
  }

  /**
   * Lets a stopped or paused lane go on. For one that stopped because checkpoint and outbox did not fit, the checkpoint is
   * asked for again; where it still does not fit, the lane begins a new life in Postgres.
   *
   * @param choice what becomes of messages that the database has lost. Without one, a lane that still has some of them stays
   *   stopped, and says so
   */
  async resume(choice: MissingChoice | undefined): Promise<void> {
    const isUndecided = this.flusher.stats.state === 'stopped' && !this.flusher.isPausedByOperator;
    if (this.#fenced === undefined || !isUndecided) {
      this.flusher.resume();
      return;
    }
    const end = await this.#fenced.resume(choice);
    if (end.state === 'stopped') {
      this.flusher.stayStopped(end.error);
      return;
    }
    this.#options.onRewritten(end.rewrittenRows);
    this.flusher.resume(end.settledRows);
  }

  /** What the database lacks, where the lane has stopped for that. */
  get missing(): MissingMessages | undefined {
    if (this.#fenced === undefined) return undefined;
    const fault = readLaneFault(this.#options.sqlite as Sqlite, this.#key.lane);
    if (fault?.state !== 'stopped' || fault.details === null) return undefined;
    return (JSON.parse(fault.details) as { missing?: MissingMessages }).missing;
  }
}

const STOPS = new Set(['checkpoint_missing', 'checkpoint_behind', 'checkpoint_ahead']);

function stopOr(error: unknown, classify: (error: unknown) => FaultClass): FlushFault {
  return isSluiceError(error) && STOPS.has(error.code) ? 'stop' : classify(error);
}
