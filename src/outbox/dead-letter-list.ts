/** What is read of the dead letters: pages of them, single ones, and those that a choice means. Nothing here changes them. */

import { DEAD_LETTER_EXCERPT_CHARACTERS, MAX_LISTED_DEAD_LETTERS } from '../core/limits.ts';
import type { Sqlite } from '../database/sqlite.ts';
import type { DeadLetter, DeadLetterPage } from './dead-letter.ts';
import {
  assertNumberOfIds,
  conditionOf,
  type DeadLetterChoice,
  type DeadLetterFilter,
  isFilter,
} from './dead-letter-filter.ts';
import { LETTER_COLUMNS, LETTER_HEAD, type LetterRow, letterOf } from './dead-letter-table.ts';

/** A letter's place in the table, and how long its payload is. */
export interface FoundRow {
  id: number;
  payload_bytes: number;
}

/** Which letters a page has: those that meet `where`, with ids above `afterId` (default 0), at most `limit` (default and most: 100). */
export interface LetterPageRequest {
  afterId?: number;
  limit?: number;
  where?: DeadLetterFilter;
}

/** One page of the letters. */
export function listLetters(
  sqlite: Sqlite,
  { afterId = 0, limit = MAX_LISTED_DEAD_LETTERS, where = {} }: LetterPageRequest,
): Omit<DeadLetterPage, 'totals'> {
  const { condition, bindings } = conditionOf(where);
  const most = Math.min(limit, MAX_LISTED_DEAD_LETTERS);
  const rows = sqlite.run<LetterRow & { payload_bytes: number }>(
    `select ${LETTER_HEAD}, payload_bytes,
      substr(payload, 1, ${DEAD_LETTER_EXCERPT_CHARACTERS}) as payload
      from dead_letters where id > ? and ${condition} order by id limit ?`,
    afterId,
    ...bindings,
    most + 1,
  );
  const letters = rows.slice(0, most).map((row) => {
    const { payload: excerpt, ...letter } = letterOf(row);
    return { ...letter, excerpt, payloadBytes: row.payload_bytes };
  });
  return { letters, next: rows.length > most ? (letters.at(-1)?.id ?? null) : null };
}

/** True where there are letters with ids above this one. */
export function hasLettersAfter(sqlite: Sqlite, id: number): boolean {
  return sqlite.run('select 1 from dead_letters where id > ? limit 1', id).length > 0;
}

/** The next letters above an id, as many as fit; the first one always does. */
export function readLettersAfter(
  sqlite: Sqlite,
  id: number,
  maxRows: number,
  maxBytes: number,
): DeadLetter[] {
  const found = sqlite.run<FoundRow>(
    'select id, payload_bytes from dead_letters where id > ? order by id limit ?',
    id,
    maxRows,
  );
  let bytes = 0;
  let last = id;
  for (const row of found) {
    bytes += row.payload_bytes;
    if (last > id && bytes > maxBytes) break;
    last = row.id;
  }
  return sqlite
    .run<LetterRow>(
      `select ${LETTER_COLUMNS} from dead_letters where id > ? and id <= ? order by id`,
      id,
      last,
    )
    .map(letterOf);
}

/** Those of these ids that have no letter. */
export function missingLetters(sqlite: Sqlite, ids: readonly number[]): number[] {
  const there = sqlite.run<{ id: number }>(
    'select id from dead_letters where id in (select value from json_each(?))',
    JSON.stringify(ids),
  );
  const known = new Set(there.map(({ id }) => id));
  return ids.filter((id) => !known.has(id));
}

/** One letter with all of its payload; null where there is none of that id. */
export function readLetter(sqlite: Sqlite, id: number): DeadLetter | null {
  const [row] = sqlite.run<LetterRow>(`select ${LETTER_COLUMNS} from dead_letters where id = ?`, id);
  return row === undefined ? null : letterOf(row);
}

/** How many letters meet a filter. */
export function countLetters(sqlite: Sqlite, filter: DeadLetterFilter): number {
  const { condition, bindings } = conditionOf(filter);
  const [row] = sqlite.run<{ count: number }>(
    `select count(*) as count from dead_letters where ${condition}`,
    ...bindings,
  );
  return row?.count ?? 0;
}

/**
 * The letters of these ids, oldest first; of all there are, or of those that meet a filter, the oldest `limit`.
 *
 * @throws SluiceError `invalid_options` for too many ids
 */
export function findLetters(sqlite: Sqlite, choice: DeadLetterChoice, limit: number): FoundRow[] {
  if (choice === 'all' || isFilter(choice)) {
    const { condition, bindings } = conditionOf(choice === 'all' ? {} : choice);
    return sqlite.run<FoundRow>(
      `select id, payload_bytes from dead_letters where ${condition} order by id limit ?`,
      ...bindings,
      limit,
    );
  }
  const ids = choice;
  assertNumberOfIds(ids);
  return sqlite.run<FoundRow>(
    'select id, payload_bytes from dead_letters where id in (select value from json_each(?)) order by id',
    JSON.stringify(ids),
  );
}
