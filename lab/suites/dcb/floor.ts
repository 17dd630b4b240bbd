/**
 * The bare statements that the event store is compared with: no checks, no conditions, no JSON to write or to read; a
 * table with the columns of the store's, and one prepared statement for each operation.
 */

import type { DataSet } from './data-set.ts';
import type { DcbOperation } from './order.ts';
import { attemptEvents, TEST_DATA_TEXT } from './written-events.ts';

export interface FloorRow {
  position: number;
  timeUs: number;
  type: string;
  tags: readonly string[];
  data: string;
}

/** Synchronous engines answer at once; waiting for a promise would be time that a bare statement does not take. */
export interface FloorTable {
  /** Inserts one row by one statement, or several in one transaction (Postgres: by one COPY). */
  insert(rows: readonly FloorRow[]): Promise<unknown> | undefined;
  /** The rows that have a tag, by position; with their index only. */
  selectTag(tag: string): Promise<readonly unknown[]> | readonly unknown[];
  /** The first rows behind a position, as arrays that begin with theirs. */
  selectPage(after: number, limit: number): Promise<readonly FloorValues[]> | readonly FloorValues[];
  /** How many rows there are, and how many different positions they have. */
  count(): Promise<{ rows: number; places: number }>;
  /** To be called once what is read is there: its statistics are made. */
  settle(): Promise<void>;
}

export type FloorValues = readonly [position: number | string, ...more: unknown[]];

const FIRST_TIME_US = Date.UTC(2026, 0, 1) * 1_000;

/** The rows of an attempt, made ahead of the clock. */
export function attemptRows(operation: DcbOperation, attempt: number): FloorRow[] {
  const events = attemptEvents(operation, attempt, '');
  return events.map(({ type, tags = [] }, index) => {
    const position = attempt * events.length + index + 1;
    return { position, timeUs: FIRST_TIME_US + position, type, tags, data: TEST_DATA_TEXT };
  });
}

/** The rows of a set, from event `from` on. */
export function setRows(set: DataSet, from: number, count: number): FloorRow[] {
  return Array.from({ length: Math.min(count, set.events - from) }, (_, index) => {
    const position = from + index + 1;
    const { type, tags, data } = set.event(from + index);
    return { position, timeUs: FIRST_TIME_US + position, type, tags, data: JSON.stringify(data) };
  });
}
