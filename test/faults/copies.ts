/** What a run is judged by whose messages go to two tables: both have the same rows, each once. Pure, like the rest of the oracle. */

import type { StoredMessage } from './message.ts';

export interface ComparedCopies {
  /** Messages that are in one of the tables, and not in the other. */
  lost: string[];
  /** Messages that are more often in the second table than once. Of the first one the rest of the oracle says so. */
  doubled: string[];
}

/** Compares the rows of both tables, whether they were acked or not. */
export function compareCopies(
  rows: readonly StoredMessage[],
  copies: readonly StoredMessage[],
): ComparedCopies {
  const first = countRows(rows);
  const second = countRows(copies);
  const found: ComparedCopies = { lost: [], doubled: [] };
  for (const row of first.keys())
    if (!second.has(row)) found.lost.push(`in the first table only: ${row.slice(0, 120)}`);
  for (const [row, count] of second) {
    if (!first.has(row)) found.lost.push(`in the second table only: ${row.slice(0, 120)}`);
    if (count > 1) found.doubled.push(`${count} times in the second table: ${row.slice(0, 120)}`);
  }
  return found;
}

function countRows(rows: readonly StoredMessage[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { producer, epoch, sequence, payload } of rows) {
    const row = JSON.stringify([producer, epoch, sequence, payload]);
    counts.set(row, (counts.get(row) ?? 0) + 1);
  }
  return counts;
}
