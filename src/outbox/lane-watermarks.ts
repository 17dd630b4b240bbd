/**
 * How far the producers of a lane are: by its runs that are settled, that are found in storage after a restart, or that are not
 * settled any more, since the lane went back.
 */

import { runsFrom, type StoredRun } from './group.ts';
import type { LaneStorage } from './lane-storage.ts';
import type { OutboxLaneOptions } from './outbox-lane-options.ts';
import type { OutboxTrimmer } from './outbox-trimmer.ts';
import type { Producer } from './producer.ts';

export interface LaneWatermarksOptions
  extends Pick<OutboxLaneOptions, 'lane' | 'producers' | 'hasSession' | 'onCommitted'> {
  storage: LaneStorage;
  trimmer: OutboxTrimmer;
}

export class LaneWatermarks {
  readonly #options: LaneWatermarksOptions;

  constructor(options: LaneWatermarksOptions) {
    this.#options = options;
  }

  /** A run was found in storage after a restart. */
  recover(
    { producer: name, epoch, firstSequence, rows, receivedAtMs, isTracked }: StoredRun,
    isSettled: boolean,
  ): void {
    const { producers, lane } = this.#options;
    if (!isTracked) return;
    // All of it is settled, and the producer has moved to another shard.
    if (isSettled && producers.find(name) === undefined) return;
    const lastSequence = firstSequence + rows - 1;
    const producer = producers.recover(name, epoch, firstSequence, lastSequence, receivedAtMs);
    producer.lane = lane;
    if (isSettled) this.pass(producer, epoch, lastSequence);
  }

  /** The last message of a run is settled. */
  pass(producer: Producer, epoch: number, lastSequence: number): void {
    if (!producer.isTracked) return;
    producer.pendingRuns -= 1;
    if (epoch !== producer.epoch || lastSequence <= producer.committed) {
      if (!this.#options.hasSession(producer)) this.#options.producers.release(producer);
      return;
    }
    producer.committed = lastSequence;
    producer.isChanged = true;
    this.#options.trimmer.changed(producer);
    this.#options.onCommitted(producer);
  }

  /** The runs that end after `from` and up to `to` are settled. */
  passBetween(from: bigint, to: bigint): void {
    const { storage, producers } = this.#options;
    for (const { start, runs } of storage.headers(0n)) {
      if (start >= to) break;
      for (const { run, end } of runsFrom(start, runs)) {
        if (!run.isTracked || end <= from || end > to) continue;
        const producer = producers.findEpoch(run.producer, run.epoch);
        if (producer !== undefined) this.pass(producer, run.epoch, run.firstSequence + run.rows - 1);
      }
    }
  }

  /** The runs that end after `from` and up to `to` are not settled any more. */
  recoverBetween(from: bigint, to: bigint): void {
    const { storage, producers, lane } = this.#options;
    for (const { start, runs } of storage.headers(storage.startOfGroupAt(from))) {
      if (start >= to) break;
      for (const { run, end } of runsFrom(start, runs)) {
        if (!run.isTracked || end <= from || end > to) continue;
        const lastSequence = run.firstSequence + run.rows - 1;
        producers.recover(run.producer, run.epoch, run.firstSequence, lastSequence).lane = lane;
      }
    }
  }
}
