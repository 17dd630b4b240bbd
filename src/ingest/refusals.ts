/** Refused rows of a batch: sorted by what they were refused for, and the rows beside them that may bear witness. */

import { faultClassOf } from '../database/fault-class.ts';
import { shapeOf } from '../database/fault-kind.ts';
import { serverErrorOf } from '../database/server-error.ts';
import { type MessageBatch, sliceBatch } from '../sinks/message-batch.ts';
import type { RefusedRows } from '../sinks/refused-rows.ts';
import type { RefusedRow } from '../writers/row-look.ts';
import type { Witnesses } from './evidence.ts';

/** What the mapping of a sink has named. */
export function namedBy({ rows }: RefusedRows): RefusedRow[] {
  return [...rows].map(([row, error]) => ({ row, error }));
}

/** Refused rows by what they were refused for, each in their order, the kind of the first row first. */
export function kindsOf(refused: readonly RefusedRow[]): RefusedRow[][] {
  const kinds = new Map<string, RefusedRow[]>();
  for (const found of refused) {
    const key = keyOf(found.error);
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, [found]);
    else kind.push(found);
  }
  return [...kinds.values()];
}

function keyOf(error: unknown): string {
  const server = serverErrorOf(error);
  // Of what the sink's own code threw, one is like the other: it is about the row in any case.
  if (server === undefined) return faultClassOf(error);
  const { sqlState, schema, table, column, dataType, constraint, message } = server;
  return JSON.stringify([sqlState, schema, table, column, dataType, constraint, shapeOf(message)]);
}

/** How far a witness is looked for, and how many later ones are named. */
const MAX_SCANNED = 5_000;
const MAX_LATER = 4;

/** Rows of a batch that were not refused: some after the last refused one, of a producer each, and one before it. */
export function witnessesOf(
  batch: MessageBatch,
  last: number,
  producers: ReadonlySet<string>,
  isRefused: ReadonlySet<number>,
): Pick<Witnesses, 'earlier' | 'later'> {
  const { columns, from, to } = batch;
  const one = (row: number): MessageBatch => sliceBatch(batch, row, row + 1);
  const isOthers = (row: number): boolean => !producers.has(columns.producers[row] as string);
  const later: number[] = [];
  const seen = new Set<string>();
  for (let row = last + 1; row < Math.min(to, last + MAX_SCANNED) && later.length < MAX_LATER; row += 1) {
    const producer = columns.producers[row] as string;
    if (isRefused.has(row) || seen.has(producer)) continue;
    seen.add(producer);
    later.push(row);
  }
  const earlier: number[] = [];
  for (let row = last - 1; row >= Math.max(from, last - MAX_SCANNED) && earlier.length < 1; row -= 1) {
    if (!isRefused.has(row)) earlier.push(row);
  }
  // Rows of other producers say more.
  return {
    later: [...later.filter(isOthers), ...later.filter((row) => !isOthers(row))].map(one),
    earlier: earlier.map(one),
  };
}

/** A batch in pieces, without some of its rows. */
export function runsWithout(batch: MessageBatch, left: { has(row: number): boolean }): MessageBatch[] {
  const runs: MessageBatch[] = [];
  let from = batch.from;
  for (let row = batch.from; row <= batch.to; row += 1) {
    if (row < batch.to && !left.has(row)) continue;
    if (row > from) runs.push(sliceBatch(batch, from, row));
    from = row + 1;
  }
  return runs;
}
