/**
 * Columns from the members of a message. Values are cut from the message's text and never become numbers here, so Postgres
 * gets the digits that were sent.
 */

import { is, SQL, StringChunk } from 'drizzle-orm';
import { PgArray, type PgColumn } from 'drizzle-orm/pg-core';
import { SluiceError } from '../core/errors.ts';
import { elementsOf, membersOf, stringOf } from '../core/json-parts.ts';
import { fromReceivedAt } from './column-sources.ts';
import type { MessageColumns } from './message-batch.ts';
import type { ColumnSource } from './sink.ts';

/** How the JSON of a member becomes the text that Postgres reads a type from; for an array, how its elements do. */
type Reading = 'json' | 'plain' | { elements: Reading };

interface MemberColumn {
  reading: Reading;
  /** What a message without the member gets; null for NULL. */
  missing: (columns: MessageColumns, row: number) => string | null;
}

/**
 * A source for each column that takes the member of its name, by the keys of the Drizzle table.
 *
 * @param options `isNamed`: true for columns that need no source; `refusal`: the sentence for a message that is not an object,
 *   undefined where such a message has no members and is taken
 */
export function memberSources(
  tableColumns: Record<string, PgColumn>,
  { isNamed, refusal }: { isNamed: (key: string) => boolean; refusal: string | undefined },
): Map<string, ColumnSource> {
  const members: MemberColumn[] = [];
  const places = new Map<string, number>();
  const keys: string[] = [];
  for (const [key, column] of Object.entries(tableColumns)) {
    if (isNamed(key) || isFilledByPostgres(column)) continue;
    // The key wins where one column's key is another's name.
    places.set(key, members.length);
    if (!Object.hasOwn(tableColumns, column.name)) places.set(column.name, members.length);
    keys.push(key);
    members.push({ reading: readingOf(column), missing: missingOf(column) });
  }
  const rows = new ReadRows(refusal, places, members);
  return new Map(
    keys.map((key, index) => [
      key,
      { shape: 'any', text: (columns, row) => rows.read(columns, row)[index] as string | null },
    ]),
  );
}

/** Characters of messages whose values are kept: writers that go column by column ask for each row again. */
const KEPT_CHARACTERS = 1_000_000;

interface ReadRow {
  payload: string;
  values: (string | null)[];
}

/** Reads each message once, as long as it is asked for again soon. */
class ReadRows {
  readonly #refusal: string | undefined;
  readonly #places: ReadonlyMap<string, number>;
  readonly #members: readonly MemberColumn[];
  #columns: MessageColumns | undefined;
  #kept = new Map<number, ReadRow>();
  #keptCharacters = 0;
  #last: ReadRow | undefined;
  #lastRow = -1;

  constructor(
    refusal: string | undefined,
    places: ReadonlyMap<string, number>,
    members: readonly MemberColumn[],
  ) {
    this.#refusal = refusal;
    this.#places = places;
    this.#members = members;
  }

  read(columns: MessageColumns, row: number): readonly (string | null)[] {
    const payload = columns.payloads[row] as string;
    if (this.#columns !== columns) this.#begin(columns);
    if (this.#lastRow === row && this.#last?.payload === payload) return this.#last.values;
    let known = this.#kept.get(row);
    if (known?.payload !== payload) {
      known = { payload, values: this.#valuesOf(columns, row, payload) };
      if (this.#keptCharacters + payload.length > KEPT_CHARACTERS) this.#forget(columns);
      this.#keptCharacters += payload.length;
      this.#kept.set(row, known);
    }
    this.#last = known;
    this.#lastRow = row;
    return known.values;
  }

  // Batches are prepared without a pause. After that nothing is kept: the columns hold far more messages than this may keep.
  #begin(columns: MessageColumns): void {
    if (this.#columns === undefined) queueMicrotask(() => this.#forget(undefined));
    this.#forget(columns);
  }

  #forget(columns: MessageColumns | undefined): void {
    this.#columns = columns;
    this.#kept = new Map();
    this.#keptCharacters = 0;
    this.#last = undefined;
  }

  #valuesOf(columns: MessageColumns, row: number, payload: string): (string | null)[] {
    const members = membersOf(payload);
    if (members === undefined && this.#refusal !== undefined)
      throw new SluiceError('invalid_message', this.#refusal);
    const values = new Array<string | null | undefined>(this.#members.length);
    for (const [name, json] of members ?? []) {
      const place = this.#places.get(name);
      // Of several with one name the last counts, as JSON.parse has it.
      if (place !== undefined) values[place] = textOf(json, (this.#members[place] as MemberColumn).reading);
    }
    return this.#members.map(({ missing }, index) => {
      const value = values[index];
      return value === undefined ? missing(columns, row) : value;
    });
  }
}

function textOf(json: string, reading: Reading): string | null {
  if (json === 'null') return null;
  if (reading === 'json') return json;
  if (reading !== 'plain' && json.startsWith('[')) return arrayText(json, reading.elements);
  return json.startsWith('"') ? stringOf(json) : json;
}

/** A JSON array as an array literal of Postgres: `["a",null]` becomes `{"a",NULL}`. */
function arrayText(json: string, reading: Reading): string {
  const elements = (elementsOf(json) ?? []).map((element) => {
    // An array in an array of jsonb is a value. Any other is a dimension, which Postgres keeps whether it was declared or not.
    if (element.startsWith('[') && reading !== 'json')
      return arrayText(element, typeof reading === 'object' ? reading.elements : reading);
    const text = textOf(element, typeof reading === 'object' ? 'plain' : reading);
    return text === null ? 'NULL' : `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
  });
  return `{${elements.join(',')}}`;
}

function readingOf(column: PgColumn): Reading {
  if (is(column, PgArray)) return { elements: readingOf(column.baseColumn as PgColumn) };
  return /^jsonb?$/.test(column.getSQLType()) ? 'json' : 'plain';
}

/** True for columns that only Postgres can fill where a message does not. */
function isFilledByPostgres(column: PgColumn): boolean {
  if (column.generated !== undefined || column.generatedIdentity !== undefined) return true;
  if (/serial$/.test(column.getSQLType())) return true;
  return is(column.default, SQL) && !isNow(column.default);
}

// What a message that lacks the member gets. Writers name all columns in every row, so a default is worked out here.
function missingOf(column: PgColumn): MemberColumn['missing'] {
  if (is(column.default, SQL)) return (columns, row) => fromReceivedAt.text(columns, row);
  const { default: constant, defaultFn, onUpdateFn } = column;
  if (constant !== undefined) {
    const text = defaultText(column, constant);
    return () => text;
  }
  // Drizzle takes either for a new row.
  const make = defaultFn ?? onUpdateFn;
  if (make !== undefined) return () => defaultText(column, make());
  return () => null;
}

function defaultText(column: PgColumn, value: unknown): string | null {
  if (value === null) return null;
  if (is(value, SQL))
    throw new SluiceError(
      'invalid_options',
      `The default of the column ${column.name} is made by a function as SQL, which cannot be worked out here: make it the column's own default in SQL, or leave the column out of the sink by columns: { …: 'default' }`,
    );
  const encoded: unknown = column.mapToDriverValue(value);
  if (typeof encoded === 'string') return encoded;
  if (typeof encoded === 'bigint') return String(encoded);
  return encoded instanceof Date ? encoded.toISOString() : JSON.stringify(encoded);
}

function isNow(value: SQL): boolean {
  const [chunk, ...others] = value.queryChunks;
  return others.length === 0 && is(chunk, StringChunk) && chunk.value.join('') === 'now()';
}
