/** Messages of the bench that share a key: which ones, and which of them have to be there in the end. */

import { type SQL, sql } from 'drizzle-orm';
import type { ColumnSource } from '../../../src/sinks/sink.ts';

/** A rule for messages that share a key, and how many do. */
export interface UpsertSpec {
  action: 'ignore' | 'update';
  /** Of a hundred messages of a producer, how many have the key of an earlier one. */
  duplicates: number;
  /** How many keys a producer has, each again and again; in place of `duplicates`. */
  keys?: number;
}

/** How far apart two messages of a key are where the earlier one is in the table already. More than a batch of one producer. */
const FAR = 20_000;

/**
 * The key of a producer's message `n`. Of a hundred messages, the first `duplicates` have the key of an earlier one: one half that
 * of a message shortly before, in the same batch, the other half that of one long before, if there is one.
 *
 * @param duplicates 0 to 50
 */
export function readingOf(n: number, duplicates: number): number {
  if (n % 100 >= duplicates || n < 100) return n;
  const before = n - duplicates;
  return n % 2 === 0 || before < FAR ? before : before - FAR;
}

/** The same as SQL. */
export function readingSql(n: SQL, duplicates: number): SQL {
  const before = sql`(${n} - ${sql.raw(String(duplicates))})`;
  return sql`case when ${n} % 100 >= ${sql.raw(String(duplicates))} or ${n} < 100 then ${n}
    when ${n} % 2 = 0 or ${before} < ${sql.raw(String(FAR))} then ${before} else ${before} - ${sql.raw(String(FAR))} end`;
}

/** The key, from the number in the message. */
export function readingSource({ duplicates, keys }: UpsertSpec): ColumnSource {
  return {
    shape: 'digits',
    origin: `the number in the message, ${duplicates} % of them those of earlier ones`,
    text: ({ payloads }, row) => {
      const payload = payloads[row] as string;
      const at = payload.indexOf('"n":') + 4;
      const n = Number.parseInt(payload.slice(at, at + 12), 10);
      return String(keys === undefined ? readingOf(n, duplicates) : n % keys);
    },
  };
}

/** The messages that have to be there in the end, of those that a producer sent, numbered from 0. */
export function survivors(messages: number, { action, duplicates }: UpsertSpec): Set<number> {
  const byKey = new Map<number, number>();
  for (let n = 0; n < messages; n += 1) {
    const key = readingOf(n, duplicates);
    if (action === 'update' || !byKey.has(key)) byKey.set(key, n);
  }
  return new Set(byKey.values());
}
