/**
 * What a lane of the outbox knows of its checkpoint in Postgres: under which name it is there, where it is, how far it may be,
 * and where the batches end that were cut. All of it is in the lane's row of storage, but how far the checkpoint may be.
 */

import type { LaneRow, LaneStorage } from './lane-storage.ts';
import type { LaneTotals } from './lane-totals.ts';
import type { RunLedger } from './run-ledger.ts';

export class LaneCheckpoint {
  readonly #storage: LaneStorage;
  readonly #ledger: RunLedger;
  readonly #totals: () => LaneTotals;
  readonly #counts: () => string;
  #incarnation: string;
  #fence: bigint | null;
  #maxSentPosition: bigint;
  /** Ends of the batches that were cut and are not settled. */
  #cuts: bigint[];
  /** Ends at which batches were cut before the shard restarted, and are cut again. */
  #recuts: bigint[];

  /**
   * @param row what storage says of the lane
   * @param ledger knows the lane's head, which is written with the rest
   * @param totals what the lane has dealt with, and `counts` the shard's figures as JSON text: written with the rest too
   */
  constructor(
    storage: LaneStorage,
    { incarnation, fence, cuts }: LaneRow,
    ledger: RunLedger,
    { totals, counts }: { totals: () => LaneTotals; counts: () => string },
  ) {
    this.#storage = storage;
    this.#ledger = ledger;
    this.#totals = totals;
    this.#counts = counts;
    this.#incarnation = incarnation;
    this.#fence = fence;
    this.#maxSentPosition = ledger.head;
    this.#recuts = cuts.filter((cut) => cut > ledger.head);
    this.#cuts = [...this.#recuts];
  }

  /** Names this lane's life in Postgres: a wiped shard never takes an old checkpoint for its own. */
  get incarnation(): string {
    return this.#incarnation;
  }

  /** The last known position of the checkpoint; null before the first batch. */
  get fence(): bigint | null {
    return this.#fence;
  }

  /** How far the checkpoint may be: what was found in the outbox may be settled, and the batches that were sent since. */
  get maxSentPosition(): bigint {
    return this.#maxSentPosition;
  }

  /** True where batches were cut that are not settled. */
  get hasCuts(): boolean {
    return this.#cuts.length > 0;
  }

  /** Everything up to a position may have been sent. */
  noteSent(end: bigint): void {
    if (end > this.#maxSentPosition) this.#maxSentPosition = end;
  }

  /** A batch is committed, and the checkpoint is at its end. Written with the next trim. */
  passed(end: bigint): void {
    this.#fence = end;
  }

  /** The checkpoint was found, or created, at this position. */
  setFence(position: bigint): void {
    this.#fence = position;
    this.save();
  }

  /** The lane goes on at a position where its batches have not been cut yet. Not written by itself. */
  moveTo(position: bigint): void {
    this.#fence = position;
    this.#cuts = [];
    this.#recuts = [];
  }

  /** How many rows there are from a position to where a batch was cut before; that batch may have been written. */
  rowsToRecut(from: bigint): number {
    while (this.#recuts[0] !== undefined && this.#recuts[0] <= from) this.#recuts.shift();
    const recut = this.#recuts[0];
    return recut === undefined ? Number.POSITIVE_INFINITY : Number(recut - from);
  }

  /** A batch ends here. It is written before the batch is sent, unless it was cut there before. */
  cutAt(end: bigint): void {
    if (this.#cuts.includes(end)) return;
    this.#cuts.push(end);
    // Smaller batches than before may end in front of ends that are there.
    this.#cuts.sort((left, right) => Number(left - right));
    this.save();
  }

  /** What ends up to the lane's head is settled. */
  forgetSettledCuts(): void {
    this.#cuts = this.#cuts.filter((cut) => cut > this.#ledger.head);
  }

  /** No batch that was cut is in Postgres. */
  forgetCuts(): void {
    this.#cuts = [];
    this.#recuts = [];
    this.save();
  }

  /** The names under which a database may have this lane's checkpoint: its own, and those that it had before. */
  get incarnations(): string[] {
    return [this.#incarnation, ...this.#storage.incarnations];
  }

  /** Keeps the name of another life in Postgres, beside that of today. */
  propose(incarnation: string): void {
    this.#storage.addIncarnation(this.#incarnation);
    this.#storage.addIncarnation(incarnation);
  }

  /** Begins a life in Postgres; see `OutboxLane.startIncarnation`. */
  start(incarnation: string, fence: bigint | null, isNewCount: boolean): void {
    if (isNewCount) this.#storage.forgetIncarnations();
    this.#incarnation = incarnation;
    this.#fence = fence;
    this.save();
  }

  save(): void {
    const { head } = this.#ledger;
    const row = { incarnation: this.#incarnation, head, fence: this.#fence, cuts: this.#cuts };
    this.#storage.save({ ...row, totals: this.#totals() }, this.#counts());
  }
}
