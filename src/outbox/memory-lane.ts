/** A lane in memory only: what it holds is gone when the shard restarts. */

import { type MessageBatch, rowsOf } from '../sinks/message-batch.ts';
import type { Lane } from './lane.ts';
import { MemoryBuffer, type TakeLimits } from './message-buffer.ts';
import type { Chunk, Producer } from './producer.ts';
import { RunLedger } from './run-ledger.ts';

export class MemoryLane implements Lane {
  readonly #buffer = new MemoryBuffer();
  readonly #ledger: RunLedger;
  #tail = 0;
  /** True while what it holds has to wait: nothing of it counts as waiting, so nothing is taken. */
  isHeld = false;
  readonly gatheredRows = 0;
  readonly gatheredCharacters = 0;
  readonly storedBytes = 0;
  readonly spilledRows = 0;

  readonly #onSettling: ((batch: MessageBatch) => void) | undefined;
  readonly #onHeld: (() => void) | undefined;

  /**
   * @param onSettled called when messages of a producer are settled, of whatever epoch
   * @param onSettling called before a batch is settled
   * @param onHeld called when memory holds another amount, but for what is gathered
   */
  constructor(
    onSettled: (producer: Producer) => void,
    onSettling?: (batch: MessageBatch) => void,
    onHeld?: () => void,
  ) {
    this.#onSettling = onSettling;
    this.#onHeld = onHeld;
    this.#ledger = new RunLedger(0n, ({ producer, epoch, lastSequence }) => {
      producer.pendingRuns -= 1;
      if (producer.epoch === epoch) producer.committed = Math.max(producer.committed, lastSequence);
      onSettled(producer);
    });
  }

  get rows(): number {
    return this.#buffer.rows;
  }

  get bytes(): number {
    return this.#buffer.bytes + this.#ledger.bytes;
  }

  get inFlightBytes(): number {
    return this.#buffer.bytes - this.#buffer.waitingBytes;
  }

  get waitingRows(): number {
    return this.isHeld ? 0 : this.#buffer.waitingRows;
  }

  get waitingBytes(): number {
    return this.isHeld ? 0 : this.#buffer.waitingBytes;
  }

  get oldestWaitingAtMs(): number | undefined {
    return this.#buffer.oldestWaitingAtMs;
  }

  gather(producer: Producer, firstSequence: number, { payloads, plain }: Chunk, receivedAtMs: number): void {
    const { name, epoch } = producer;
    this.#buffer.append({ producer: name, epoch, firstSequence, payloads, plain, receivedAtMs });
    this.#tail += payloads.length;
    // Nobody waits for a raw socket's messages.
    if (!producer.isTracked) return;
    producer.pendingRuns += 1;
    const lastSequence = firstSequence + payloads.length - 1;
    this.#ledger.push({ producer, epoch, lastSequence, end: BigInt(this.#tail), groupBytes: 0 });
  }

  gatherOne(
    producer: Producer,
    sequence: number,
    payload: string,
    isPlain: boolean,
    receivedAtMs: number,
  ): void {
    this.gather(producer, sequence, { payloads: [payload], plain: [isPlain], text: undefined }, receivedAtMs);
  }

  store(): void {}

  take(limits: TakeLimits): MessageBatch | undefined {
    const batch = this.isHeld ? undefined : this.#buffer.take(limits);
    if (batch !== undefined) this.#onHeld?.();
    return batch;
  }

  settle(batch: MessageBatch): void {
    this.#onSettling?.(batch);
    this.#buffer.settle(batch);
    this.#ledger.settle(batch.position, batch.position + BigInt(rowsOf(batch)));
    this.#onHeld?.();
  }

  settleAsDead(batch: MessageBatch): void {
    this.settle(batch);
  }

  putBack(batch: MessageBatch): void {
    this.#buffer.putBack(batch);
    this.#onHeld?.();
  }
}
