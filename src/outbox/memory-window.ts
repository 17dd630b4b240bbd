/**
 * The part of an outbox lane that is in memory: the oldest messages that are not settled, as many of them as there is room for.
 * What comes after messages that are in SQLite only waits there too, and is read back when memory has been written.
 */

import { MESSAGE_OVERHEAD_BYTES, type MessageBatch } from '../sinks/message-batch.ts';
import { decodeRuns } from './group.ts';
import type { LaneStorage, StoredGroup } from './lane-storage.ts';
import { MemoryBuffer, type TakeLimits } from './message-buffer.ts';
import { RAW_EPOCH, type Run, untrackedProducer } from './producer.ts';
import type { ProducerRegistry } from './producer-registry.ts';
import type { RunLedger, RunMark } from './run-ledger.ts';

/** Stands where a run's producer is of no interest. */
const NO_PRODUCER = untrackedProducer('', RAW_EPOCH, 1);

export interface MemoryWindowOptions {
  storage: LaneStorage;
  producers: ProducerRegistry;
  /** Gets a mark for each run that is in memory. Its head is the lane's. */
  ledger: RunLedger;
  /** Text of messages, with their overhead, that memory may hold. */
  maxBytes: number;
  /** True where memory may keep so many bytes beside those that it has. What it may not waits in storage. */
  mayKeep: (memoryBytes: number, ownBytes: number) => boolean;
}

export class MemoryWindow {
  readonly #options: MemoryWindowOptions;
  readonly #ledger: RunLedger;
  #buffer: MemoryBuffer;
  /** Position after the last message that memory holds, or held. */
  #loaded: bigint;
  /** Messages that are in SQLite only, and what they will take in memory. */
  #spilledRows = 0;
  #spilledBytes = 0;

  constructor(options: MemoryWindowOptions) {
    this.#options = options;
    this.#ledger = options.ledger;
    this.#buffer = new MemoryBuffer(this.#ledger.head);
    this.#loaded = this.#ledger.head;
  }

  /**
   * Forgets what is in memory, and begins where the lane's head is now.
   *
   * @param tail position after the last message in storage
   */
  restart(tail: bigint): void {
    const { storage } = this.#options;
    const { head } = this.#ledger;
    this.#buffer = new MemoryBuffer(head);
    this.#loaded = storage.startOfGroupAt(head);
    const { rows, bytes } = storage.totalsFrom(this.#loaded);
    this.#spilledRows = Math.max(0, rows - Number(head - this.#loaded));
    this.#spilledBytes = this.#spilledRows === 0 ? 0 : memoryBytesOf(bytes, this.#spilledRows);
    if (this.#spilledRows === 0) this.#loaded = tail;
  }

  /** What memory holds: messages, and the marks of their runs. */
  get bytes(): number {
    return this.#buffer.bytes + this.#ledger.bytes;
  }

  /** What messages count for that are on their way to Postgres. */
  get inFlightBytes(): number {
    return this.#buffer.bytes - this.#buffer.waitingBytes;
  }

  /** Messages that are in SQLite only. */
  get spilledRows(): number {
    return this.#spilledRows;
  }

  /** Messages that are not on their way to Postgres, those that are in SQLite only included. */
  get waitingRows(): number {
    return this.#buffer.waitingRows + this.#spilledRows;
  }

  get waitingBytes(): number {
    return this.#buffer.waitingBytes + this.#spilledBytes;
  }

  /** When the oldest message that waits was received; long ago where it is in SQLite only. */
  get oldestWaitingAtMs(): number | undefined {
    return this.#buffer.oldestWaitingAtMs ?? (this.#spilledRows > 0 ? 0 : undefined);
  }

  /** Where the next batch begins. */
  get takenTo(): bigint {
    return this.#loaded - BigInt(this.#buffer.waitingRows);
  }

  /**
   * Takes in a group that was just stored, if there is room for it.
   *
   * @param start its first position
   * @param bytes text of its row
   */
  add(runs: readonly Run[], start: bigint, rows: number, bytes: number): void {
    const memoryBytes = memoryBytesOf(bytes, rows);
    const { maxBytes, mayKeep } = this.#options;
    if (this.#spilledRows > 0 || this.bytes + memoryBytes > maxBytes || !mayKeep(memoryBytes, this.bytes)) {
      this.#spilledRows += rows;
      this.#spilledBytes += memoryBytes;
      return;
    }
    let end = start;
    for (const { producer, epoch, firstSequence, receivedAtMs, chunks, rows: runRows } of runs) {
      let sequence = firstSequence;
      for (const { payloads, plain } of chunks) {
        this.#buffer.append({
          producer: producer.name,
          epoch,
          firstSequence: sequence,
          payloads,
          plain,
          receivedAtMs,
        });
        sequence += payloads.length;
      }
      end += BigInt(runRows);
      this.#ledger.push({ producer, epoch, lastSequence: sequence - 1, end, groupBytes: 0 });
    }
    (this.#ledger.last as RunMark).groupBytes = bytes;
    this.#loaded = end;
  }

  /** Takes a batch from the front; it stays counted until it is settled or put back. */
  take(limits: TakeLimits): MessageBatch | undefined {
    return this.#buffer.take(limits);
  }

  settle(batch: MessageBatch): void {
    this.#buffer.settle(batch);
  }

  putBack(batch: MessageBatch): void {
    this.#buffer.putBack(batch);
  }

  /** Brings messages back that are in SQLite only, where memory has fewer than a batch of so many bytes. */
  fill(maxBytes: number, tail: bigint): void {
    if (this.#spilledRows === 0 || this.#buffer.waitingBytes >= maxBytes) return;
    const { storage } = this.#options;
    const last = this.#lastThatFits(maxBytes);
    if (last === undefined) return;
    for (const group of storage.read(this.#loaded, last)) this.#load(group);
    if (this.#loaded < tail) return;
    this.#spilledRows = 0;
    this.#spilledBytes = 0;
  }

  // The last group to be read back: about `maxBytes` of what they take in memory, and no more than there is room for. Where
  // nothing waits, at least one group, however large.
  #lastThatFits(maxBytes: number): bigint | undefined {
    const { storage, maxBytes: maxMemoryBytes, mayKeep } = this.#options;
    const room = Math.min(maxBytes, maxMemoryBytes - this.bytes);
    let bytes = 0;
    let last: bigint | undefined;
    for (const size of storage.sizesFrom(this.#loaded)) {
      bytes += memoryBytesOf(size.bytes, size.rows);
      const isTooMuch = bytes > room || !mayKeep(bytes, this.bytes);
      if (isTooMuch && (last !== undefined || this.#buffer.waitingRows > 0)) break;
      last = size.start;
    }
    return last;
  }

  #load({ rows, bytes, runs, body }: StoredGroup): void {
    const { producers } = this.#options;
    const { head } = this.#ledger;
    const start = this.#loaded;
    const settledRows = start < head ? Number(head - start) : 0;
    const payloads = body.split('\n');
    let from = 0;
    let end = start;
    for (const run of decodeRuns(runs)) {
      const to = from + run.rows;
      end += BigInt(run.rows);
      const skip = Math.max(0, Math.min(run.rows, settledRows - from));
      if (skip < run.rows) {
        const texts = payloads.slice(from + skip, to);
        const { plain } = run;
        this.#buffer.append({
          producer: run.producer,
          epoch: run.epoch,
          firstSequence: run.firstSequence + skip,
          payloads: texts,
          plain: texts.map((_, index) => plain === '' || plain[index + skip] === '1'),
          receivedAtMs: run.receivedAtMs,
        });
        const known = run.isTracked ? producers.findEpoch(run.producer, run.epoch) : undefined;
        this.#ledger.push({
          producer: known ?? NO_PRODUCER,
          epoch: run.epoch,
          lastSequence: run.firstSequence + run.rows - 1,
          end,
          groupBytes: 0,
        });
      }
      from = to;
    }
    const mark = this.#ledger.last;
    if (mark !== undefined) mark.groupBytes = bytes;
    this.#loaded = end;
    const loadedRows = rows - settledRows;
    this.#spilledRows -= loadedRows;
    this.#spilledBytes -= memoryBytesOf(bytes, loadedRows);
  }
}

/** What messages count for in memory, by the text of their row, which holds their runs' as well. */
function memoryBytesOf(bytes: number, rows: number): number {
  return bytes + rows * MESSAGE_OVERHEAD_BYTES;
}
