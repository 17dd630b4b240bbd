/** The rows of `sluice_dead_letters` of one list. */

import { and, asc, eq, gt, inArray, type SQL } from 'drizzle-orm';
import type { Connection } from '../database/connection.ts';
import type { DeadLetter } from '../outbox/dead-letter.ts';
import { deadLetters } from '../schema/dead-letters.ts';

/** Names a list. */
export interface LetterList {
  sink: string;
  shard: string;
  list: string;
}

/** Writes letters; those that are there stay as they are, so that a step whose answer was lost may be repeated. */
export async function insertLetters(
  { db }: Connection,
  list: LetterList,
  letters: readonly DeadLetter[],
): Promise<void> {
  const rows = letters.map(({ id, epoch, sequence, receivedAtMs, failedAtMs, ...letter }) => ({
    ...letter,
    ...list,
    id: BigInt(id),
    epoch: BigInt(epoch),
    sequence: BigInt(sequence),
    receivedAt: new Date(receivedAtMs),
    failedAt: new Date(failedAtMs),
  }));
  await db.insert(deadLetters).values(rows).onConflictDoNothing();
}

/** Ids of a list's rows above `after`, the lowest first. */
export async function letterIds(
  { db }: Connection,
  list: LetterList,
  after: number,
  limit: number,
): Promise<number[]> {
  const rows = await db
    .select({ id: deadLetters.id })
    .from(deadLetters)
    .where(and(isOf(list), gt(deadLetters.id, BigInt(after))))
    .orderBy(asc(deadLetters.id))
    .limit(limit);
  return rows.map(({ id }) => Number(id));
}

export async function deleteLetters(
  { db }: Connection,
  list: LetterList,
  ids: readonly number[],
): Promise<void> {
  await db.delete(deadLetters).where(and(isOf(list), inArray(deadLetters.id, ids.map(BigInt))));
}

function isOf({ sink, shard, list }: LetterList): SQL | undefined {
  return and(eq(deadLetters.sink, sink), eq(deadLetters.shard, shard), eq(deadLetters.list, list));
}
