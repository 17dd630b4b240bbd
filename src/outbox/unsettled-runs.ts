/** What a lane has stored and not settled, by the runs of its producers. */

import type { DeadPositions } from './dead-positions.ts';
import { runsFrom } from './group.ts';
import type { LaneStorage } from './lane-storage.ts';

export interface UnsettledRun {
  producer: string;
  rows: number;
  /** Its share of the text of its group. */
  bytes: number;
}

/** When the message at a position was received; undefined where storage has none there. */
export function oldestUnsettledAtMs(head: bigint, storage: LaneStorage): number | undefined {
  const header = storage.headerAt(storage.startOfGroupAt(head));
  if (header === undefined) return undefined;
  for (const { run, end } of runsFrom(header.start, header.runs)) if (end > head) return run.receivedAtMs;
  return undefined;
}

/** The runs from a position on, of the first of them what lies after it; without dead letters. */
export function* unsettledRuns(
  head: bigint,
  storage: LaneStorage,
  dead: DeadPositions,
): Generator<UnsettledRun> {
  for (const { start, rows, bytes, runs } of storage.headers(storage.startOfGroupAt(head))) {
    for (const { run, begin, end } of runsFrom(start, runs)) {
      let from = begin;
      if (from < head) from = head;
      if (end <= from) continue;
      const left = Number(end - from) - dead.countBetween(from, end);
      yield { producer: run.producer, rows: left, bytes: Math.round((bytes * left) / rows) };
    }
  }
}
