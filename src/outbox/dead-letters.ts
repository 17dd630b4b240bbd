/**
 * The dead letters of a shard: messages that were accepted and that Postgres refused for what is in them. They are kept
 * with the reason until somebody retries or drops them. All of it is synchronous, one step of the outbox like any other.
 */

import { SluiceError } from '../core/errors.ts';
import {
  DEAD_LETTER_EXCERPT_CHARACTERS,
  MAX_LISTED_DEAD_LETTERS,
  MAX_TAKEN_DEAD_LETTER_BYTES,
  MAX_TAKEN_DEAD_LETTERS,
} from '../core/limits.ts';
import type { Sqlite } from '../database/sqlite.ts';
import { conditionOf, type DeadLetterChoice, type DeadLetterFilter, isFilter } from './dead-letter-filter.ts';
import type { Refusal, Refuser } from './refusal.ts';

/** A message that Postgres refused, before it has an id. */
export interface NewDeadLetter extends Refusal {
  producer: string;
  /** 0 for a raw socket's message. */
  epoch: number;
  sequence: number;
  receivedAtMs: number;
  failedAtMs: number;
  /** The message's own text. */
  payload: string;
}

export interface DeadLetter extends NewDeadLetter {
  /** Grows with every letter of the shard; an id is never given twice. */
  id: number;
}

/** A dead letter in a listing. */
export interface DeadLetterExcerpt extends Omit<DeadLetter, 'payload'> {
  /** The payload's first `DEAD_LETTER_EXCERPT_CHARACTERS` characters. */
  excerpt: string;
  /** How long the whole payload is, in bytes of UTF-8. */
  payloadBytes: number;
}

export interface DeadLetterTotals {
  count: number;
  /** Payloads, and `DEAD_LETTER_OVERHEAD_BYTES` for each letter. */
  bytes: number;
  maxRows: number;
  maxBytes: number;
  /** True where `add` would keep nothing: the shard then pauses its writing. */
  isFull: boolean;
}

export interface DeadLetterPage {
  /** By id, oldest first. */
  letters: DeadLetterExcerpt[];
  /** What to ask for as `afterId` next; null where this was the last page. */
  next: number | null;
  totals: DeadLetterTotals;
}

export interface TakenDeadLetters {
  /** Oldest first. They are no longer among the dead letters. */
  letters: DeadLetter[];
  /** Ids that were asked for and that do not exist. */
  missing: number[];
  /** Letters that were asked for, exist, and stayed because a bound was reached. */
  remaining: number;
}

export interface DroppedDeadLetters {
  dropped: number;
  /** Ids that were asked for and that do not exist. */
  missing: number[];
}

/** What a letter counts beside its payload: the refusal's texts, producer's name, numbers, and SQLite's own. */
export const DEAD_LETTER_OVERHEAD_BYTES = 1_024;

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
    // The length of the payload stands before it: a row that is longer than a page is then counted by its first page.
    // With autoincrement no id comes back after its letter is gone, so that nobody drops a letter that they have not seen.
    sqlite.run(`create table if not exists dead_letters (
      id integer primary key autoincrement,
      producer text not null,
      epoch integer not null,
      sequence integer not null,
      received_at_ms integer not null,
      failed_at_ms integer not null,
      sql_state text,
      reason text not null,
      ${REFUSAL_COLUMNS.map((column) => `${column} text`).join(', ')},
      payload_bytes integer not null,
      payload text not null
    )`);
    this.#addMissingColumns();
    this.recount();
  }

  // The table of an older version says only the SQLSTATE and the reason.
  #addMissingColumns(): void {
    const there = new Set(
      this.#sqlite
        .run<{ name: string }>("select name from pragma_table_info('dead_letters')")
        .map(({ name }) => name),
    );
    for (const column of REFUSAL_COLUMNS)
      if (!there.has(column)) this.#sqlite.run(`alter table dead_letters add column ${column} text`);
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
    return true;
  }

  /** The letters that meet `where`, with ids above `afterId` (default 0), at most `limit` of them (default and most: 100). */
  list({
    afterId = 0,
    limit = MAX_LISTED_DEAD_LETTERS,
    where = {},
  }: {
    afterId?: number;
    limit?: number;
    where?: DeadLetterFilter;
  } = {}): DeadLetterPage {
    const { condition, bindings } = conditionOf(where);
    const most = Math.min(limit, MAX_LISTED_DEAD_LETTERS);
    const rows = this.#sqlite.run<LetterRow & { payload_bytes: number }>(
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
    return { letters, next: rows.length > most ? (letters.at(-1)?.id ?? null) : null, totals: this.totals };
  }

  /** True where there are letters with ids above this one. */
  hasAfter(id: number): boolean {
    return this.#sqlite.run('select 1 from dead_letters where id > ? limit 1', id).length > 0;
  }

  /** The next letters above an id, as many as fit; the first one always does. */
  readAfter(id: number, maxRows: number, maxBytes: number): DeadLetter[] {
    const found = this.#sqlite.run<FoundRow>(
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
    return this.#sqlite
      .run<LetterRow>(
        `select ${LETTER_COLUMNS} from dead_letters where id > ? and id <= ? order by id`,
        id,
        last,
      )
      .map(letterOf);
  }

  /** Those of these ids that have no letter. */
  missing(ids: readonly number[]): number[] {
    const there = this.#sqlite.run<{ id: number }>(
      'select id from dead_letters where id in (select value from json_each(?))',
      JSON.stringify(ids),
    );
    const known = new Set(there.map(({ id }) => id));
    return ids.filter((id) => !known.has(id));
  }

  /** One letter with all of its payload; null where there is none of that id. */
  read(id: number): DeadLetter | null {
    const [row] = this.#sqlite.run<LetterRow>(`select ${LETTER_COLUMNS} from dead_letters where id = ?`, id);
    return row === undefined ? null : letterOf(row);
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
    const found = this.#find(choice, maxRows);
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
    if (choice === 'all') return this.#count;
    const { condition, bindings } = conditionOf(choice);
    const [row] = this.#sqlite.run<{ count: number }>(
      `select count(*) as count from dead_letters where ${condition}`,
      ...bindings,
    );
    return row?.count ?? 0;
  }

  /** The letters of these ids, oldest first; of all there are, or of those that meet a filter, the oldest `limit`. */
  #find(choice: DeadLetterChoice, limit: number): FoundRow[] {
    if (choice === 'all' || isFilter(choice)) {
      const { condition, bindings } = conditionOf(choice === 'all' ? {} : choice);
      return this.#sqlite.run<FoundRow>(
        `select id, payload_bytes from dead_letters where ${condition} order by id limit ?`,
        ...bindings,
        limit,
      );
    }
    const ids = choice;
    assertNumberOfIds(ids);
    return this.#sqlite.run<FoundRow>(
      'select id, payload_bytes from dead_letters where id in (select value from json_each(?)) order by id',
      JSON.stringify(ids),
    );
  }

  #countIn(letters: number, payloadBytes: number): void {
    this.#count += letters;
    this.#bytes += payloadBytes + letters * DEAD_LETTER_OVERHEAD_BYTES;
  }
}

interface FoundRow {
  id: number;
  payload_bytes: number;
}

interface LetterRow {
  id: number;
  producer: string;
  epoch: number;
  sequence: number;
  received_at_ms: number;
  failed_at_ms: number;
  sql_state: string | null;
  reason: string;
  refused_by: Refuser | null;
  detail: string | null;
  hint: string | null;
  table_name: string | null;
  column_name: string | null;
  constraint_name: string | null;
  payload: string;
}

/** The columns that tables of versions before 0.3 lack. */
const REFUSAL_COLUMNS = ['refused_by', 'detail', 'hint', 'table_name', 'column_name', 'constraint_name'];

const LETTER_HEAD = `id, producer, epoch, sequence, received_at_ms, failed_at_ms, sql_state, reason, ${REFUSAL_COLUMNS.join(', ')}`;
const LETTER_COLUMNS = `${LETTER_HEAD}, payload`;

function letterOf(row: LetterRow): DeadLetter {
  return {
    id: row.id,
    producer: row.producer,
    epoch: row.epoch,
    sequence: row.sequence,
    receivedAtMs: row.received_at_ms,
    failedAtMs: row.failed_at_ms,
    sqlState: row.sql_state,
    reason: row.reason,
    // Before 0.3 only the SQLSTATE said it.
    by: row.refused_by ?? (row.sql_state === null ? null : 'postgres'),
    detail: row.detail,
    hint: row.hint,
    table: row.table_name,
    column: row.column_name,
    constraint: row.constraint_name,
    payload: row.payload,
  };
}

function assertNumberOfIds(ids: readonly number[]): void {
  if (ids.length <= MAX_TAKEN_DEAD_LETTERS) return;
  throw new SluiceError(
    'invalid_options',
    `Cannot use ${ids.length} ids: at most ${MAX_TAKEN_DEAD_LETTERS} at a time, or "all"`,
  );
}

function missingOf(choice: DeadLetterChoice, found: readonly FoundRow[]): number[] {
  if (choice === 'all' || isFilter(choice)) return [];
  const there = new Set(found.map(({ id }) => id));
  return [...new Set(choice)].filter((id) => !there.has(id));
}
