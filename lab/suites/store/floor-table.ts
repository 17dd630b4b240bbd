/**
 * The bare statements that the store is compared with: no checks, no positions to find, no JSON to write or to read;
 * a table with the columns of the store's, and one prepared statement for each operation.
 */

import { accountData, BENCH_CATEGORY, benchId, streamOf } from './store-order.ts';

/** A row in the order of `FLOOR_COLUMNS`. */
export type FloorRow = [
  globalPosition: number,
  stream: string,
  category: string,
  position: number,
  type: string,
  data: string,
  metadata: null,
  id: string,
  timeUs: number,
];

export const FLOOR_COLUMNS = [
  'global_position',
  'stream_name',
  'category',
  'position',
  'type',
  'data',
  'metadata',
  'id',
  'time',
] as const;

/** Synchronous engines answer at once; waiting for a promise would be time that a bare statement does not take. */
export interface FloorTable {
  /** Inserts one row by one statement, or several in one transaction (Postgres: by one COPY). */
  insert(rows: readonly FloorRow[]): Promise<unknown> | undefined;
  /** The first `limit` rows of a stream. */
  selectStream(stream: string, limit: number): Promise<readonly unknown[]> | readonly unknown[];
  /** The first `limit` rows of a category. */
  selectCategory(category: string, limit: number): Promise<readonly unknown[]> | readonly unknown[];
  /** How many rows there are, and how many different places they have. */
  count(): Promise<{ rows: number; places: number }>;
}

/** The rows that operation `operation` inserts, made ahead of the clock. */
export function floorRows(operation: number, count: number): FloorRow[] {
  return Array.from({ length: count }, (_, n) => {
    const globalPosition = operation * count + n + 1;
    return floorRow(globalPosition, streamOf(operation), operation, n);
  });
}

/** One row of the table. */
export function floorRow(globalPosition: number, stream: string, account: number, n: number): FloorRow {
  return [
    globalPosition,
    stream,
    BENCH_CATEGORY,
    n,
    'AccountCreated',
    JSON.stringify(accountData(account, n)),
    null,
    benchId(globalPosition),
    1_767_225_600_000_000 + globalPosition,
  ];
}
