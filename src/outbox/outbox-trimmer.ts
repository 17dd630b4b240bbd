/**
 * Deletes what is settled from a lane of the outbox, and writes how far its producers are: once in a while, since a trim writes a
 * row for each producer; and when all is settled, so that a shard that falls asleep leaves nothing behind.
 *
 * Maintained invariants: a group is deleted only once all of its messages are settled, and the youngest of these not before
 * they were kept for a while; the lane's row and the producers' watermarks are written in the step that deletes.
 */

import type { Failpoints } from '../core/failpoints.ts';
import { TRIM_BYTES, TRIM_INTERVAL_MS } from '../core/limits.ts';
import type { DeadPositions } from './dead-positions.ts';
import { KeptGroups, type KeptGroupsOptions } from './kept-groups.ts';
import type { LaneCheckpoint } from './lane-checkpoint.ts';
import type { LaneStorage } from './lane-storage.ts';
import type { Producer } from './producer.ts';
import type { ProducerRegistry } from './producer-registry.ts';

export interface OutboxTrimmerOptions {
  storage: LaneStorage;
  checkpoint: LaneCheckpoint;
  dead: DeadPositions;
  producers: ProducerRegistry;
  failpoints: Failpoints;
  /** How long settled groups are kept, and how much text of them. */
  keep: KeptGroupsOptions;
  now: () => number;
  /** True while a socket of the producer is open. */
  hasSession: (producer: Producer) => boolean;
}

export class OutboxTrimmer {
  readonly #options: OutboxTrimmerOptions;
  readonly #kept: KeptGroups;
  /** Text in SQLite, settled groups that the next trim deletes or keeps included. */
  #storedBytes = 0;
  /** Text of settled groups that were not trimmed yet, and the position after them. */
  #untrimmedBytes = 0;
  #trimEnd: bigint | undefined;
  /** Producers whose rows are older than what is known of them. */
  readonly #changed = new Set<Producer>();
  /** The first message whose group is in SQLite. */
  #held: bigint;
  #lastTrimAtMs: number;

  /** @param head the first position that is not settled */
  constructor(options: OutboxTrimmerOptions, head: bigint) {
    this.#options = options;
    this.#kept = new KeptGroups(options.keep);
    this.#held = head;
    this.#lastTrimAtMs = options.now();
  }

  /** Text of settled groups that are kept. */
  get keptBytes(): number {
    return this.#kept.bytes;
  }

  /** Text in SQLite, without what is settled and kept. */
  get storedBytes(): number {
    return this.#storedBytes;
  }

  /** The first message whose group is in SQLite; it may be settled. */
  get held(): bigint {
    return this.#held;
  }

  /** A group was found in storage: it is kept where it is settled. */
  found(start: bigint, end: bigint, bytes: number, head: bigint): void {
    if (start < this.#held) this.#held = start;
    if (end <= head) this.#kept.add(end, bytes, this.#options.now());
    else this.#storedBytes += bytes;
  }

  /** A group was stored. */
  stored(bytes: number): void {
    this.#storedBytes += bytes;
  }

  /** The last message of a group is settled. */
  settled(end: bigint, bytes: number): void {
    this.#untrimmedBytes += bytes;
    this.#trimEnd = end;
  }

  /** A producer's `committed` has moved. */
  changed(producer: Producer): void {
    this.#changed.add(producer);
  }

  /** Counts again what is settled and kept, and what is stored beside it: the lane has gone to another position. */
  recount(head: bigint): void {
    this.#untrimmedBytes = 0;
    this.#trimEnd = undefined;
    this.#kept.clear();
    this.#storedBytes = 0;
    for (const { start, rows, bytes } of this.#options.storage.headers(0n))
      this.found(start, start + BigInt(rows), bytes, head);
  }

  /** @param isEmpty true where all that the lane has is settled */
  trimIfDue(isEmpty: boolean): void {
    if (this.#trimEnd === undefined) return;
    const isLongAgo = this.#options.now() - this.#lastTrimAtMs >= TRIM_INTERVAL_MS;
    if (isEmpty || this.#untrimmedBytes >= TRIM_BYTES || isLongAgo) this.trim();
  }

  trim(): void {
    const { storage, checkpoint, dead, producers, failpoints, now, hasSession } = this.#options;
    failpoints.hit('before_outbox_trim');
    if (this.#trimEnd !== undefined) this.#kept.add(this.#trimEnd, this.#untrimmedBytes, now());
    const end = this.#kept.release(now());
    if (end !== undefined) {
      storage.deleteGroupsBefore(end);
      this.#held = end;
      dead.forgetBefore(end);
    }
    const changed = [...this.#changed];
    // One that has begun a new epoch since was written then, and may be another object by now.
    producers.save(
      changed.filter(({ isChanged }) => isChanged),
      now(),
    );
    checkpoint.save();
    for (const producer of changed) if (!hasSession(producer)) producers.release(producer);
    this.#storedBytes -= this.#untrimmedBytes;
    this.#untrimmedBytes = 0;
    this.#trimEnd = undefined;
    this.#changed.clear();
    this.#lastTrimAtMs = now();
  }
}
