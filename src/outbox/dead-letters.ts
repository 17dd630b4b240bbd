/**
 * The dead letters of a shard: messages that were accepted and that Postgres refused for what is in them. They are kept
 * with the reason until somebody retries or drops them. All of it is synchronous, one step of the outbox like any other.
 */

import { MAX_TAKEN_DEAD_LETTER_BYTES, MAX_TAKEN_DEAD_LETTERS } from '../core/limits.ts';
import type { Sqlite } from '../database/sqlite.ts';
import {
  DEAD_LETTER_OVERHEAD_BYTES,
  type DeadLetter,
  type DeadLetterPage,
  type DeadLetterTotals,
  type DroppedDeadLetters,
  type NewDeadLetter,
  type TakenDeadLetters,
} from './dead-letter.ts';
import {
  assertNumberOfIds,
  conditionOf,
  type DeadLetterChoice,
  type DeadLetterFilter,
  isFilter,
  missingOf,
} from './dead-letter-filter.ts';
import { type DeadLetterGroup, groupLetters } from './dead-letter-groups.ts';
import {
  countLetters,
  type FoundRow,
  findLetters,
  hasLettersAfter,
  type LetterPageRequest,
  listLetters,
  missingLetters,
  readLetter,
  readLettersAfter,
} from './dead-letter-list.ts';
import {
  createDeadLetterTable,
  LETTER_COLUMNS,
  type LetterRow,
  letterOf,
  REFUSAL_COLUMNS,
} from './dead-letter-table.ts';

const encoder = new TextEncoder();

export interface DeadLettersOptions {
  sqlite: Sqlite;
  /** How many letters there may be. */
  maxRows: number;
  /**
   * How many bytes they may count. The letter that reaches the bound is still kept, however large, so that a message
   * larger than the bound cannot keep a shard from ever going on: the bytes may lie above it by one message.
   */
  maxBytes: number;
}

/**
 * Letters in the table `dead_letters`, which is created where it is missing. Count and bytes are kept in memory: after
 * a transaction around any of the calls was undone, `recount` has to be called.
 */
export class DeadLetters {
  readonly #sqlite: Sqlite;
  readonly #maxRows: number;
  readonly #maxBytes: number;
  #count = 0;
  #bytes = 0;

  constructor({ sqlite, maxRows, maxBytes }: DeadLettersOptions) {
    this.#sqlite = sqlite;
    this.#maxRows = maxRows;
    this.#maxBytes = maxBytes;
    createDeadLetterTable(sqlite);
    this.recount();
  }

  get count(): number {
    return this.#count;
  }

  /** Payloads, and `DEAD_LETTER_OVERHEAD_BYTES` for each letter. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True where `add` would keep nothing. */
  get isFull(): boolean {
    return this.#count >= this.#maxRows || this.#bytes >= this.#maxBytes;
  }

  get totals(): DeadLetterTotals {
    return {
      count: this.#count,
      bytes: this.#bytes,
      maxRows: this.#maxRows,
      maxBytes: this.#maxBytes,
      isFull: this.isFull,
    };
  }

  /** How many of these payloads there is room for, from the first on. */
  roomFor(payloads: readonly string[]): number {
    let bytes = this.#bytes;
    let rows = 0;
    for (const payload of payloads) {
      if (this.#count + rows >= this.#maxRows || bytes >= this.#maxBytes) break;
      bytes += encoder.encode(payload).byteLength + DEAD_LETTER_OVERHEAD_BYTES;
      rows += 1;
    }
    return rows;
  }

  /** Reads count and bytes from the table: needed after a transaction around any of the other calls was undone. */
  recount(): void {
    const [row] = this.#sqlite.run<{ count: number; bytes: number }>(
      'select count(*) as count, coalesce(sum(payload_bytes), 0) as bytes from dead_letters',
    );
    this.#count = row?.count ?? 0;
    this.#bytes = (row?.bytes ?? 0) + this.#count * DEAD_LETTER_OVERHEAD_BYTES;
  }

  /**
   * Keeps a letter.
   *
   * @returns false where there is no room: nothing was written, and the message must stay where it was
   */
  add(letter: NewDeadLetter): boolean {
    if (this.isFull) return false;
    this.putBack(letter);
    return true;
  }

  /**
   * Keeps a letter that `take` has handed out in the same step of storage, with a new id, whether there is room or not: the
   * bytes may lie above the bound by one message, and it is nowhere else.
   */
  putBack(letter: NewDeadLetter): void {
    const payloadBytes = encoder.encode(letter.payload).byteLength;
    this.#sqlite.run(
      `insert into dead_letters
        (producer, epoch, sequence, received_at_ms, failed_at_ms, sql_state, reason, ${REFUSAL_COLUMNS.join(', ')},
        payload_bytes, payload)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      letter.producer,
      letter.epoch,
      letter.sequence,
      letter.receivedAtMs,
      letter.failedAtMs,
      letter.sqlState,
      letter.reason,
      letter.by,
      letter.detail,
      letter.hint,
      letter.table,
      letter.column,
      letter.constraint,
      payloadBytes,
      letter.payload,
    );
    this.#countIn(1, payloadBytes);
  }

  /** The letters that meet `where`, with ids above `afterId` (default 0), at most `limit` of them (default and most: 100). */
  list(request: LetterPageRequest = {}): DeadLetterPage {
    return { ...listLetters(this.#sqlite, request), totals: this.totals };
  }

  /** Why they were refused, and how many for each reason. */
  groups(): DeadLetterGroup[] {
    return groupLetters(this.#sqlite);
  }

  /** True where there are letters with ids above this one. */
  hasAfter(id: number): boolean {
    return hasLettersAfter(this.#sqlite, id);
  }

  /** The next letters above an id, as many as fit; the first one always does. */
  readAfter(id: number, maxRows: number, maxBytes: number): DeadLetter[] {
    return readLettersAfter(this.#sqlite, id, maxRows, maxBytes);
  }

  /** Those of these ids that have no letter. */
  missing(ids: readonly number[]): number[] {
    return missingLetters(this.#sqlite, ids);
  }

  /** One letter with all of its payload; null where there is none of that id. */
  read(id: number): DeadLetter | null {
    return readLetter(this.#sqlite, id);
  }

  /**
   * Removes letters and hands them out, oldest first, to be written again. The caller puts them where they are as
   * safe as here within the same transaction.
   *
   * @param choice at most `MAX_TAKEN_DEAD_LETTERS` ids, `all`, or a filter
   * @param bounds how many letters (default and most: 1,000), with payloads of how many bytes (default and most:
   *   8 MiB). The first letter that does not fit ends the taking, so that none overtakes an older one.
   * @throws SluiceError `invalid_options` for too many ids
   */
  take(choice: DeadLetterChoice, bounds: { maxRows?: number; maxBytes?: number } = {}): TakenDeadLetters {
    const maxRows = Math.min(bounds.maxRows ?? MAX_TAKEN_DEAD_LETTERS, MAX_TAKEN_DEAD_LETTERS);
    const maxBytes = Math.min(bounds.maxBytes ?? MAX_TAKEN_DEAD_LETTER_BYTES, MAX_TAKEN_DEAD_LETTER_BYTES);
    const found = findLetters(this.#sqlite, choice, maxRows);
    const asked = Array.isArray(choice) ? found.length : this.countOf(choice as 'all' | DeadLetterFilter);
    let bytes = 0;
    const taken: number[] = [];
    for (const { id, payload_bytes: payloadBytes } of found) {
      if (taken.length >= maxRows || bytes + payloadBytes > maxBytes) break;
      taken.push(id);
      bytes += payloadBytes;
    }
    const rows = this.#sqlite.run<LetterRow>(
      `delete from dead_letters where id in (select value from json_each(?)) returning ${LETTER_COLUMNS}`,
      JSON.stringify(taken),
    );
    this.#countIn(-rows.length, -bytes);
    return {
      // SQLite promises no order of what it returns.
      letters: rows.map(letterOf).sort((left, right) => left.id - right.id),
      missing: missingOf(choice, found),
      remaining: asked - rows.length,
    };
  }

  /**
   * Removes letters for good.
   *
   * @param choice at most `MAX_TAKEN_DEAD_LETTERS` ids; `all` and filters have no bound
   * @throws SluiceError `invalid_options` for too many ids
   */
  drop(choice: DeadLetterChoice): DroppedDeadLetters {
    if (isFilter(choice)) return { dropped: this.#dropWhere(choice), missing: [] };
    const ids = choice;
    if (ids === 'all') {
      const dropped = this.#count;
      this.#sqlite.run('delete from dead_letters');
      this.#count = 0;
      this.#bytes = 0;
      return { dropped, missing: [] };
    }
    assertNumberOfIds(ids);
    const rows = this.#sqlite.run<FoundRow>(
      'delete from dead_letters where id in (select value from json_each(?)) returning id, payload_bytes',
      JSON.stringify(ids),
    );
    this.#countIn(
      -rows.length,
      rows.reduce((sum, { payload_bytes: payloadBytes }) => sum - payloadBytes, 0),
    );
    return { dropped: rows.length, missing: missingOf(ids, rows) };
  }

  #dropWhere(filter: DeadLetterFilter): number {
    const { condition, bindings } = conditionOf(filter);
    const [sum] = this.#sqlite.run<{ count: number; bytes: number }>(
      `select count(*) as count, coalesce(sum(payload_bytes), 0) as bytes from dead_letters where ${condition}`,
      ...bindings,
    );
    this.#sqlite.run(`delete from dead_letters where ${condition}`, ...bindings);
    this.#countIn(-(sum?.count ?? 0), -(sum?.bytes ?? 0));
    return sum?.count ?? 0;
  }

  /** How many letters meet a filter. */
  countOf(choice: 'all' | DeadLetterFilter): number {
    return choice === 'all' ? this.#count : countLetters(this.#sqlite, choice);
  }

  #countIn(letters: number, payloadBytes: number): void {
    this.#count += letters;
    this.#bytes += payloadBytes + letters * DEAD_LETTER_OVERHEAD_BYTES;
  }
}
