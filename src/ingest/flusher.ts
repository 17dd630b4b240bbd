/**
 * Moves messages from a buffer to Postgres at its own pace: cuts batches by rows, bytes and age, keeps at most
 * `workers` of them in flight, and tries again with backoff until each is written. A batch that Postgres refuses for
 * what is in it is split until the messages at fault are found.
 *
 * Maintained invariant: a message taken from the buffer is settled after its write resolved, or a dead letter after it
 * was refused alone, or put back; nothing is dropped here. With one worker, batches are written in the order of their
 * messages.
 */

import { ExponentialHistogram } from '../core/exponential-histogram.ts';
import { type MessageBatch, rowsOf } from '../sinks/message-batch.ts';
import { BatchLimit, isTooLarge } from './batch-limit.ts';
import { type FlushFault, FlushFaults } from './flush-faults.ts';
import { isolateRefused } from './flush-isolation.ts';
import { FlushSchedule } from './flush-schedule.ts';
import type { FlusherOptions, WriteEnd } from './flusher-options.ts';
import { emptyFlusherStats, type FlusherStats } from './flusher-stats.ts';
import { peekBatches } from './peek-batches.ts';

interface PreparedBatch {
  batch: MessageBatch;
  write: () => Promise<WriteEnd>;
}

export class Flusher {
  readonly #options: FlusherOptions;
  readonly #idleWorkers: number[];
  readonly #latency = new ExponentialHistogram();
  readonly #stats = emptyFlusherStats();
  readonly #faults: FlushFaults;
  readonly #schedule: FlushSchedule;
  readonly #limit = new BatchLimit();
  /** Batches that are on their way, or whose rows are looked for. */
  readonly #running = new Set<MessageBatch>();

  // With one worker, the batch after the one in flight: ready to be sent the moment that the way is free.
  #next: PreparedBatch | undefined;
  readonly #emptyWaiters: (() => void)[] = [];

  constructor(options: FlusherOptions) {
    this.#options = options;
    this.#faults = new FlushFaults(this.#stats, options);
    this.#schedule = new FlushSchedule({
      ...options,
      faults: this.#faults,
      stats: this.#stats,
      onTimer: () => this.#pump(),
    });
    this.#idleWorkers = Array.from({ length: options.workers }, (_, index) => options.workers - 1 - index);
  }

  get stats(): Readonly<FlusherStats> {
    return this.#stats;
  }

  /** How long the batches took to be written, in seconds. */
  get latency(): ExponentialHistogram {
    return this.#latency;
  }

  /** True while a batch is on its way to Postgres. */
  get isWriting(): boolean {
    return this.#idleWorkers.length < this.#options.workers;
  }

  /** When the oldest message on its way was received; undefined where none is. */
  get oldestOnItsWayMs(): number | undefined {
    let oldestMs: number | undefined;
    const prepared = this.#next === undefined ? [] : [this.#next.batch];
    for (const { columns, from } of [...this.#running, ...prepared]) {
      const receivedAtMs = columns.receivedAtMs[from] as number;
      if (oldestMs === undefined || receivedAtMs < oldestMs) oldestMs = receivedAtMs;
    }
    return oldestMs;
  }

  /** When the next try is due after a failure; 0 where nothing holds one back. */
  get retryAtMs(): number {
    return this.#faults.retryAtMs;
  }

  /** Call after each append: starts what is due, and sets the timer for what is not. */
  notify(): void {
    // The hot path: while a timer is set and no size is reached, there is nothing to do.
    if (this.#idleWorkers.length === 0) {
      this.#prepareNext();
      return;
    }
    if (this.#schedule.isAtRest) return;
    this.#pump();
  }

  /** Flushes what is in the buffer now, without waiting for its age, nor for a backoff to end: somebody asks for a try. */
  flush(): void {
    this.#schedule.forcedRows = this.#options.buffer.waitingRows;
    this.#faults.retryAtMs = 0;
    this.#pump();
  }

  /** The same, but a backoff has to end first. An alarm does so: what fails is not asked more often for it. */
  flushSoon(): void {
    this.#schedule.forcedRows = this.#options.buffer.waitingRows;
    this.#pump();
  }

  /**
   * Ends a stop or a pause: an operator says that it may go on.
   *
   * @param settledRows messages of which the buffer has learned that they are committed
   */
  resume(settledRows = 0): void {
    this.#stats.committed += settledRows;
    this.#faults.resumed();
    this.flush();
  }

  /** An operator wants nothing to be written before `resume`. A batch that is on its way is not called back. */
  pauseByOperator(): void {
    this.#faults.pauseByOperator();
  }

  /** True where `resume` is all that it takes to go on. */
  get isPausedByOperator(): boolean {
    return this.#faults.isPausedByOperator;
  }

  /** An operator's `resume` changed nothing: this is why. */
  stayStopped(error: unknown): void {
    this.#faults.stayStopped(error);
  }

  /** Resolves when everything that is in the buffer now, or comes in until then, is committed. */
  drained(): Promise<void> {
    if (this.#options.buffer.rows === 0) return Promise.resolve();
    return new Promise((resolve) => this.#emptyWaiters.push(resolve));
  }

  #pump(): void {
    while (this.#idleWorkers.length > 0 && this.#schedule.isDue) {
      const batch = this.#take(this.#maxRows);
      if (batch === undefined) break;
      this.#schedule.taken(rowsOf(batch));
      const worker = this.#idleWorkers.pop() as number;
      this.#start(this.#prepare(batch, worker), worker);
    }
    if (this.#idleWorkers.length > 0) this.#schedule.setTimer();
  }

  // Only a batch that cannot grow any more is prepared ahead: a partial one may still become a full one.
  #prepareNext(): void {
    const { buffer, workers, batchBytes } = this.#options;
    if (workers > 1 || this.#next !== undefined) return;
    if (buffer.waitingRows < this.#maxRows && buffer.waitingBytes < batchBytes) return;
    const batch = this.#take(this.#maxRows);
    if (batch === undefined) return;
    this.#schedule.taken(rowsOf(batch));
    this.#next = this.#prepare(batch, 0);
  }

  /** The most rows that a batch may have at the moment. */
  get #maxRows(): number {
    return Math.min(this.#options.maxRows, this.#limit.rows);
  }

  #take(maxRows: number): MessageBatch | undefined {
    try {
      return this.#options.buffer.take({ maxRows, maxBytes: this.#options.batchBytes });
    } catch (error) {
      this.#bufferFailed(error);
      return undefined;
    }
  }

  // What a write is rejected with is dealt with in `#run`, so whatever is left is the buffer's own failure.
  #start(prepared: PreparedBatch, worker: number): void {
    this.#run(prepared, worker).catch((error: unknown) => this.#bufferFailed(error));
  }

  #bufferFailed(error: unknown): void {
    const { onBufferFailure } = this.#options;
    if (onBufferFailure === undefined) throw error;
    onBufferFailure(error);
  }

  // A sink's own code runs in `prepare`. If it throws, the batch's write is what fails, so that the batch is put back.
  #prepare(batch: MessageBatch, worker: number): PreparedBatch {
    const { measured, prepare, timers } = this.#options;
    const startedAtMs = measured === undefined ? 0 : timers.now();
    try {
      return { batch, write: prepare(batch, worker) };
    } catch (error) {
      return { batch, write: () => Promise.reject(error) };
    } finally {
      if (measured !== undefined) measured.serialisationMs += Math.max(0, timers.now() - startedAtMs);
    }
  }

  async #run(prepared: PreparedBatch, worker: number): Promise<void> {
    this.#running.add(prepared.batch);
    try {
      await this.#write(prepared, worker);
    } finally {
      this.#running.delete(prepared.batch);
    }
    this.#proceed(worker);
  }

  async #write({ batch, write }: PreparedBatch, worker: number): Promise<void> {
    const { buffer, timers, measured } = this.#options;
    const startedAtMs = timers.now();
    if (measured !== undefined) measured.lastTryAtMs = startedAtMs;
    let end: WriteEnd;
    try {
      end = await write();
    } catch (error) {
      await this.#recover(batch, error, worker);
      return;
    }
    // Counted before it is settled: that may be the last time for long that figures are written to storage.
    this.#stats.flushes += 1;
    if (end.state === 'committed') {
      const nowMs = timers.now();
      this.#latency.record((nowMs - startedAtMs) / 1_000);
      measured?.committed(batch, nowMs);
      buffer.settle(batch);
      this.#options.onCommitted?.(batch);
      this.#stats.committed += rowsOf(batch);
      this.#limit.written(rowsOf(batch), this.#options.maxRows);
      this.#stats.maxBatchRows = Number.isFinite(this.#limit.rows) ? this.#limit.rows : null;
    } else {
      this.#stats.committed += end.settledRows;
      this.#next = undefined;
    }
    this.#succeeded();
  }

  // A batch that was prepared ahead was taken from the buffer: nothing may be taken and sent before it.
  #proceed(worker: number): void {
    // The one that was prepared stays, too.
    if (this.#faults.isPausedByOperator) this.#putAllBack([]);
    const next = this.#next;
    if (next === undefined) {
      this.#release(worker);
      return;
    }
    this.#next = undefined;
    this.#options.onProgress?.();
    this.#start(next, worker);
    this.#prepareNext();
  }

  #succeeded(): void {
    this.#faults.succeeded();
  }

  async #recover(batch: MessageBatch, error: unknown, worker: number): Promise<void> {
    const { classify, deadLetter } = this.#options;
    if (isTooLarge(error) && this.#limit.shrink(rowsOf(batch))) {
      this.#stats.maxBatchRows = this.#limit.rows;
      this.#putAllBack([batch]);
      this.#faults.shrunk(error);
      return;
    }
    const fault = classify(error, this.#stats.failuresInARow);
    if (fault === 'isolate' && deadLetter !== undefined)
      await this.#isolate(batch, error, worker, deadLetter);
    else this.#failed([batch], fault, error);
  }

  async #isolate(
    batch: MessageBatch,
    error: unknown,
    worker: number,
    deadLetter: NonNullable<FlusherOptions['deadLetter']>,
  ): Promise<void> {
    const { buffer, classify, isolation } = this.#options;
    const { failuresInARow } = this.#stats;
    const isTold = this.#faults.note(error);
    const end = await isolateRefused(batch, error, {
      aids: isolation?.(worker, failuresInARow) ?? {},
      write: (rows) => this.#prepare(rows, worker).write(),
      classify: (fault) => classify(fault, failuresInARow),
      settle: (rows, position) => {
        this.#stats.flushes += 1;
        this.#options.measured?.committed(rows, this.#options.timers.now());
        buffer.settle(rows, position);
        this.#options.onCommitted?.(rows);
        this.#stats.committed += rowsOf(rows);
        this.#succeeded();
      },
      moved: (settledRows) => {
        this.#stats.committed += settledRows;
      },
      deadLetter: (row, fault) => {
        if (!deadLetter(row, fault)) return false;
        this.#stats.dead += 1;
        return true;
      },
    });
    if (end.state === 'stopped') {
      const fault = classify(end.error, failuresInARow) === 'stop' ? 'stop' : end.reason;
      this.#failed(end.rest, fault, end.error, end.isUndecided);
      return;
    }
    if (end.state === 'moved') this.#next = undefined;
    if (!isTold) this.#faults.tell(error);
    this.#stats.flushes += 1;
    this.#succeeded();
  }

  /** Messages that wait, the next ones first: about `rows` of them. They stay where they are. */
  peek(rows: number): readonly MessageBatch[] {
    if (this.#next !== undefined) return [this.#next.batch];
    const { buffer, batchBytes } = this.#options;
    // It goes out as it is cut here.
    return peekBatches(buffer, rows, batchBytes, () => this.#take(Math.min(rows, this.#maxRows)));
  }

  #failed(batches: readonly MessageBatch[], fault: FlushFault, error: unknown, isUndecided = false): void {
    this.#putAllBack(batches);
    this.#faults.failed(fault, error, isUndecided);
  }

  #putAllBack(batches: readonly MessageBatch[]): void {
    // The youngest batch first: what is put back last goes out first.
    if (this.#next !== undefined) this.#putBack(this.#next.batch);
    this.#next = undefined;
    for (const batch of batches.toReversed()) this.#putBack(batch);
  }

  // What was due once stays due: it does not wait for its age again when the backoff is over.
  #putBack(batch: MessageBatch): void {
    this.#options.buffer.putBack(batch);
    this.#schedule.forcedRows += rowsOf(batch);
  }

  #release(worker: number): void {
    const { buffer, onProgress } = this.#options;
    this.#idleWorkers.push(worker);
    this.#pump();
    if (buffer.rows === 0) {
      for (const resolve of this.#emptyWaiters.splice(0)) resolve();
    }
    onProgress?.();
  }

  /** Cancels the timer. What is in the buffer stays there. */
  close(): void {
    this.#schedule.close();
  }
}
