/**
 * What a run with upserts is judged by: of all messages with one key there is one row, and it is the right one's. Pure, like the
 * rest of the oracle.
 */

import type { UpsertSpec } from '../../lab/suites/ingest/upsert-keys.ts';
import type { Entry } from './ledger.ts';
import { contentHash, type StoredMessage } from './message.ts';

/** What a sink does with a message whose key is there. */
export type UpsertAction = 'ignore' | 'update';

/** So few keys that most messages meet another one. */
const KEYS_OF_PRODUCER = 8;

/** The rule of a run's sink. A broken one lets the wrong message win. */
export function upsertSpec({
  action,
  isBroken = false,
}: {
  action: UpsertAction;
  isBroken?: boolean;
}): UpsertSpec {
  const other = action === 'ignore' ? 'update' : 'ignore';
  return { action: isBroken ? other : action, duplicates: 0, keys: KEYS_OF_PRODUCER };
}

/** The key of a message in the table. */
export function upsertKeyOf({ producer, n }: Pick<Entry, 'producer' | 'n'>): string {
  return `${producer}/${n % KEYS_OF_PRODUCER}`;
}

export interface MergedRows {
  /** Acked messages that rightly have no row, since another one of their key has it. */
  overtaken: ReadonlySet<Entry>;
  lost: string[];
  doubled: string[];
}

/**
 * Finds the row of each key. Messages of a producer are written in the order of sending, so of those that were acked the first, or
 * the last, has the row; or one that was never acked and came before the first, or after the last: it may be in the database too.
 */
export function mergeRows(
  entries: readonly Entry[],
  rows: readonly StoredMessage[],
  action: UpsertAction,
): MergedRows {
  const isThere = new Map<string, number>();
  for (const { payload } of rows) {
    const hash = contentHash(payload);
    isThere.set(hash, (isThere.get(hash) ?? 0) + 1);
  }
  const found: MergedRows & { overtaken: Set<Entry> } = { overtaken: new Set(), lost: [], doubled: [] };
  for (const [key, ofKey] of Map.groupBy(entries, upsertKeyOf)) {
    const sent = ofKey.toSorted((a, b) => a.client - b.client || a.n - b.n);
    const acked = sent.filter(({ outcome }) => outcome.state === 'acked');
    const there = sent.filter(({ hash }) => isThere.has(hash));
    const [row] = there;
    const promised = action === 'ignore' ? acked[0] : acked.at(-1);
    if (there.length > 1) found.doubled.push(`the key ${key} has ${there.length} rows`);
    if (promised === undefined) continue;
    const isRight =
      row !== undefined &&
      (action === 'ignore'
        ? sent.indexOf(row) <= sent.indexOf(promised)
        : sent.indexOf(there.at(-1) as Entry) >= sent.indexOf(promised));
    if (isRight) for (const entry of acked) if (!there.includes(entry)) found.overtaken.add(entry);
    if (!isRight)
      found.lost.push(
        `the key ${key} has ${row === undefined ? 'no row' : `the row of message ${row.n}`}, where message ${promised.n} had to win (${action})`,
      );
  }
  return found;
}
