/**
 * Positions of messages that are settled by a dead letter. They are remembered as long as their group is in storage: a lane that
 * goes back to before them passes over them, since they have been dealt with.
 */

import type { LaneStorage } from './lane-storage.ts';

export class DeadPositions {
  readonly #storage: LaneStorage;
  /** Oldest first. */
  #positions: bigint[];
  #ahead = 0;

  constructor(storage: LaneStorage) {
    this.#storage = storage;
    this.#positions = storage.deadPositions;
  }

  /** How many of them are not settled, since the lane went back to before them. */
  get ahead(): number {
    return this.#ahead;
  }

  /** The lane begins at `head`, as after a restart. */
  countAhead(head: bigint): void {
    this.#ahead = this.#positions.filter((position) => position >= head).length;
  }

  /** Remembers a position, in the same step of storage that settles it. */
  add(position: bigint): void {
    const last = this.#positions[this.#positions.length - 1];
    this.#positions.push(position);
    // Some are settled ahead of others.
    if (last !== undefined && last > position) this.#positions.sort((left, right) => Number(left - right));
    this.#storage.addDeadPosition(position);
  }

  has(position: bigint): boolean {
    return this.#positions.includes(position);
  }

  /** One that was ahead is settled. */
  passed(): void {
    this.#ahead -= 1;
  }

  /** How many messages there are from a position up to the next one that is passed over; that one alone where it is next. */
  rowsUpToNext(from: bigint): number {
    const next = this.#positions.find((position) => position >= from);
    return next === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Number(next - from));
  }

  /** How many there are from a position on. Few are: it is the last ones that are asked for. */
  countFrom(position: bigint): number {
    let first = this.#positions.length;
    while (first > 0 && (this.#positions[first - 1] as bigint) >= position) first -= 1;
    return this.#positions.length - first;
  }

  /** How many there are from a position to before another one. */
  countBetween(from: bigint, end: bigint): number {
    return this.#positions.filter((position) => position >= from && position < end).length;
  }

  /** Their groups are deleted. */
  forgetBefore(end: bigint): void {
    if (this.#positions[0] === undefined || this.#positions[0] >= end) return;
    this.#storage.deleteDeadPositionsBefore(end);
    this.#positions = this.#positions.filter((position) => position >= end);
  }
}
