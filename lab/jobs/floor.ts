/**
 * The bare statements that a store is compared with: no checks, no positions to find, no JSON to write or to read; a table
 * with the columns of the store's, and one prepared statement for each operation.
 */

import type { SqliteValue } from '../../src/database/sqlite.ts';
import type { Audit } from '../result.ts';
import type { Fixture, Namespace } from './fixture.ts';
import type { FloorTable } from './floor-table.ts';
import { auditReads, type ReadVerdict } from './read-judge.ts';
import { type Step, unitsOnly } from './step.ts';

/** What a table for bare statements looks like, on both kinds of database. */
export interface FloorSpec<Row> {
  columns: readonly string[];
  /** The columns that tell two rows apart. */
  key: readonly string[];
  /** What follows `select … from …`, by name; `?` stands for a value. */
  selects: Readonly<Record<string, string>>;
  postgres: {
    create(table: string, hasIndexes: boolean): string[];
    /** What follows VALUES, with $1 and so on for what `values` returns. */
    insert: string;
    values(row: Row): unknown[];
    /** The fields of a row for COPY's text format. They hold nothing that would have to be escaped. */
    copyFields(row: Row): (string | number)[];
    /** Selects that differ from those above. */
    selects?: Readonly<Record<string, string>>;
  };
  sqlite: {
    create(hasIndexes: boolean): string[];
    insert: string;
    values(row: Row): SqliteValue[];
    /** Rows of a table that serves as an index, of what SQLite has no index of. */
    indexRows?: { insert: string; values(row: Row): SqliteValue[][] };
    /** Selects that differ from those above, whole. */
    selects?: Readonly<Record<string, string>>;
  };
}

/** A table with its namespace. */
export interface FloorFixture<Row> extends Fixture {
  floor: FloorTable<Row>;
}

/** Rows that go into a table at a time. */
const FILL_ROWS = 10_000;

/**
 * A table for bare statements, as a fixture.
 *
 * @param options.rows what is in it before it is read. Default: it is written to, and each repetition gets a new one
 * @param options.settles whether statistics are made of these rows
 */
export async function makeFloorFixture<Row>(
  namespace: Namespace<unknown, Row>,
  options: { hasIndexes: boolean; rows?: Iterable<Row>; settles?: boolean },
): Promise<FloorFixture<Row>> {
  const { hasIndexes, rows, settles = false } = options;
  const floor = await namespace.openFloor(hasIndexes);
  let isFilled = rows === undefined;
  return {
    floor,
    async fill() {
      if (isFilled) return 0;
      let batch: Row[] = [];
      for (const row of rows ?? []) {
        batch.push(row);
        if (batch.length < FILL_ROWS) continue;
        await floor.insert(batch);
        batch = [];
      }
      if (batch.length > 0) await floor.insert(batch);
      if (settles) await floor.settle();
      isFilled = true;
      return 0;
    },
    isWorn: () => rows === undefined,
    drop: () => namespace.drop(),
  };
}

/** Inserts: the rows of each attempt are made before the clock starts. */
export function floorWriteStep<Row>(floor: FloorTable<Row>, attempts: readonly (readonly Row[])[]): Step {
  const sent = attempts.reduce((sum, rows) => sum + rows.length, 0);
  return {
    attempt: (attempt) => floor.insert(attempts[attempt] ?? []),
    tally: () => unitsOnly(sent),
    audit: async () => auditFloor(await floor.count(), sent),
  };
}

/**
 * Selects, of which only the number of rows is looked at.
 *
 * @param select the rows of an attempt, or how many they were
 * @param expected how many rows an attempt must find
 */
export function floorReadStep(
  select: (attempt: number) => Promise<readonly unknown[] | number> | readonly unknown[],
  expected: (attempt: number) => number,
): Step {
  const sum: ReadVerdict = { sent: 0, right: 0, wrong: 0 };
  const take = (found: readonly unknown[] | number, count: number): void => {
    const rows = typeof found === 'number' ? found : found.length;
    sum.sent += count;
    sum.right += Math.min(rows, count);
    sum.wrong += Math.max(0, rows - count);
  };
  return {
    attempt(attempt) {
      const rows = select(attempt);
      if (rows instanceof Promise) return rows.then((found) => take(found, expected(attempt)));
      take(rows, expected(attempt));
      return undefined;
    },
    tally: () => unitsOnly(sum.right),
    audit: async () => auditReads(sum),
  };
}

function auditFloor({ rows, keys }: { rows: number; keys: number }, sent: number): Audit {
  return {
    sent,
    refused: 0,
    found: rows,
    lost: Math.max(0, sent - keys),
    duplicated: rows - keys,
    outOfOrder: 0,
  };
}
