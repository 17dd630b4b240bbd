/**
 * How far the list of dead letters has been copied to the table in Postgres, kept in the shard's storage. It writes a row for
 * each step of the copy, and one when letters leave the list.
 */

import { hasTable, type Sqlite } from '../database/sqlite.ts';

interface CopyRow {
  list: string;
  copied_up_to: number;
  has_removed: number;
}

export class CopiedLetters {
  readonly #sqlite: Sqlite;
  /** Names this life of the list. */
  readonly list: string;
  #copiedUpTo: number;
  #hasRemoved: boolean;

  /** @param list a text that nobody else ever got, for a list that has none */
  constructor(sqlite: Sqlite, list: string) {
    this.#sqlite = sqlite;
    sqlite.run(
      'create table if not exists dead_letter_copy (list text not null, copied_up_to integer not null, has_removed integer not null)',
    );
    const [row] = sqlite.run<CopyRow>('select list, copied_up_to, has_removed from dead_letter_copy');
    if (row === undefined) sqlite.run('insert into dead_letter_copy values (?, 0, 0)', list);
    this.list = row?.list ?? list;
    this.#copiedUpTo = row?.copied_up_to ?? 0;
    this.#hasRemoved = (row?.has_removed ?? 0) === 1;
  }

  /** Letters up to this id are in the table, or were. */
  get copiedUpTo(): number {
    return this.#copiedUpTo;
  }

  /** True where the table may have letters that are no longer in the list. */
  get hasRemoved(): boolean {
    return this.#hasRemoved;
  }

  noteCopied(upTo: number): void {
    this.#copiedUpTo = upTo;
    this.#sqlite.run('update dead_letter_copy set copied_up_to = ?', upTo);
  }

  /** Letters have left the list, or those that had are gone from the table too. Writes nothing where that is so already. */
  noteRemoved(hasRemoved: boolean): void {
    if (this.#hasRemoved === hasRemoved) return;
    this.#hasRemoved = hasRemoved;
    this.#sqlite.run('update dead_letter_copy set has_removed = ?', hasRemoved ? 1 : 0);
  }
}

/** What leaves a list that is not copied any more is looked for should it be copied again. */
export function noteUncopied(sqlite: Sqlite): void {
  if (hasTable(sqlite, 'dead_letter_copy'))
    sqlite.run('update dead_letter_copy set has_removed = 1 where has_removed = 0');
}
