/** Whose messages lie in a part of a lane: one range for each producer and epoch. */

import { runsFrom } from './group.ts';
import type { LaneStorage } from './lane-storage.ts';
import { MAX_MISSING_RANGES, type MissingMessages, type MissingRange } from './missing-messages.ts';

/** Gathers the ranges of missing messages, one for each producer and epoch. */
class MissingRanges {
  readonly #ranges = new Map<string, MissingRange>();
  #unlisted = 0;

  add(producer: string, epoch: number, firstSequence: number, messages: number): void {
    const lastSequence = firstSequence + messages - 1;
    const key = `${epoch} ${producer}`;
    const range = this.#ranges.get(key);
    if (range !== undefined) {
      range.firstSequence = Math.min(range.firstSequence, firstSequence);
      range.lastSequence = Math.max(range.lastSequence, lastSequence);
      range.messages += messages;
    } else if (this.#ranges.size < MAX_MISSING_RANGES) {
      this.#ranges.set(key, { producer, epoch, firstSequence, lastSequence, messages });
    } else this.#unlisted += messages;
  }

  get list(): Pick<MissingMessages, 'ranges' | 'unlisted'> {
    return { ranges: [...this.#ranges.values()], unlisted: this.#unlisted };
  }
}

/** Whose messages lie from a position to before another one. */
export function rangesBetween(
  from: bigint,
  end: bigint,
  storage: LaneStorage,
): Pick<MissingMessages, 'ranges' | 'unlisted'> {
  const ranges = new MissingRanges();
  for (const { start, runs } of storage.headers(storage.startOfGroupAt(from))) {
    if (start >= end) break;
    for (const { run, begin } of runsFrom(start, runs)) {
      const skipped = begin < from ? Math.min(run.rows, Number(from - begin)) : 0;
      const rows = Math.min(run.rows, Number(end - begin)) - skipped;
      if (rows > 0) ranges.add(run.producer, run.epoch, run.firstSequence + skipped, rows);
    }
  }
  return ranges.list;
}
